//! What a component runs, how much of it, and after what.

use super::{Class, Held, Leaf, Merge, Mode, Rule};
use crate::{
    model::{Component, Image, Resources, Value},
    quantity::Quantity,
    text::Text,
};

/// Display name, kind, image, command and arguments.
pub(super) fn merge_process<V: Held>(
    merge: &mut Merge<'_>,
    base: Option<&Component<V>>,
    target: &Component<V>,
    live: &mut Component<Value>,
) {
    single(merge, "name", &Rule::NAMING, base.map(|side| &side.name), &target.name, &mut live.name);
    single(merge, "kind", &Rule::RECREATE, base.map(|side| &side.kind), &target.kind, &mut live.kind);
    let leaf = |of: &Image| image(merge.mode, of);
    let sides = [base.map(|side| leaf(&side.image)), Some(leaf(&target.image)), Some(leaf(&live.image))];
    if decide(merge, "image", &Rule::TAKE, &sides) {
        live.image = target.image.clone();
    }
    words(merge, "command", base.map(|side| &side.command), &target.command, &mut live.command);
    words(merge, "arguments", base.map(|side| &side.arguments), &target.arguments, &mut live.arguments);
}

/// CPU, memory, replicas and the rule for them.
pub(super) fn merge_size<V>(
    merge: &mut Merge<'_>,
    base: Option<&Component<V>>,
    target: &Component<V>,
    live: &mut Component<Value>,
) {
    type Field = (&'static str, fn(&Resources) -> &Option<Quantity>, fn(&mut Resources) -> &mut Option<Quantity>);
    const FIELDS: [Field; 4] = [
        ("resources/cpuRequest", |side| &side.cpu_request, |side| &mut side.cpu_request),
        ("resources/cpuLimit", |side| &side.cpu_limit, |side| &mut side.cpu_limit),
        ("resources/memoryRequest", |side| &side.memory_request, |side| &mut side.memory_request),
        ("resources/memoryLimit", |side| &side.memory_limit, |side| &mut side.memory_limit),
    ];
    for (path, get, set) in FIELDS {
        let all = [base.map(|side| &side.resources), Some(&target.resources), Some(&live.resources)];
        let sides = all.map(|side| side.map(|side| quantity(get(side).as_ref())));
        if decide(merge, path, &Rule::OFFER, &sides) {
            set(&mut live.resources).clone_from(get(&target.resources));
        }
    }
    let scale = &mut live.scale;
    let rule = &Rule::OFFER;
    single(merge, "scale/rule", rule, base.map(|side| &side.scale.rule), &target.scale.rule, &mut scale.rule);
    let before = base.map(|side| &side.scale.replicas);
    single(merge, "scale/replicas", rule, before, &target.scale.replicas, &mut scale.replicas);
}

/// Dependencies, one by one.
pub(super) fn merge_dependencies<V>(
    merge: &mut Merge<'_>,
    base: Option<&Component<V>>,
    target: &Component<V>,
    live: &mut Component<Value>,
) {
    let mut keys = live.dependencies.clone();
    keys.extend(&target.dependencies);
    keys.extend(base.iter().flat_map(|side| &side.dependencies));
    for key in keys {
        let name = merge.name_of(key);
        let leaf = |there: bool| there.then(|| Leaf::new(&key, name.clone()));
        let sides = [
            leaf(base.is_some_and(|side| side.dependencies.contains(&key))),
            leaf(target.dependencies.contains(&key)),
            leaf(live.dependencies.contains(&key)),
        ];
        // A rollback cuts what the upgrade tied, whatever has become of the other end.
        let cut = merge.mode == Mode::Rollback && sides[1].is_none();
        let is_member = merge.members.contains_key(&key) || merge.mode == Mode::Replace || cut;
        let rule = if is_member {
            Rule::TAKE
        } else if sides[1].is_some() {
            Rule::never("that component is not here")
        } else {
            Rule::never("that component is not of this installation")
        };
        if decide(merge, &format!("dependencies/{key}"), &rule, &sides) {
            if target.dependencies.contains(&key) {
                live.dependencies.insert(key);
            } else {
                live.dependencies.remove(&key);
            }
        }
    }
}

pub(super) fn decide(merge: &mut Merge<'_>, path: &str, rule: &Rule, sides: &[Option<Leaf>; 3]) -> bool {
    merge.decide(path, rule, sides[0].as_ref(), sides[1].as_ref(), sides[2].as_ref())
}

/// Merges a field that is always there.
pub(super) fn single<T: serde::Serialize + Clone>(
    merge: &mut Merge<'_>,
    path: &str,
    rule: &Rule,
    base: Option<&T>,
    target: &T,
    live: &mut T,
) {
    let sides = [base.map(Leaf::json), Some(Leaf::json(target)), Some(Leaf::json(live))];
    if decide(merge, path, rule, &sides) {
        live.clone_from(target);
    }
}

/// Images are the same where their digests are, wherever they come from; but a deployment brings exactly what is desired.
fn image(mode: Mode, image: &Image) -> Leaf {
    let shown = match image {
        Image::Library { repository, digest } => format!("{repository}@sha256:{}", &digest.hex()[..12]),
        Image::Reference { reference } => reference.clone(),
    };
    match image.digest().filter(|_| mode != Mode::Replace) {
        Some(digest) => Leaf::new(&digest, shown),
        None => Leaf::new(image, shown),
    }
}

/// Amounts are the same however they are spelt.
pub(super) fn quantity(quantity: Option<&Quantity>) -> Leaf {
    let amount = quantity.map(|quantity| quantity.milli().to_string());
    Leaf::new(&amount, quantity.map_or("", Quantity::as_str))
}

fn words(merge: &mut Merge<'_>, path: &str, base: Option<&Vec<Text>>, target: &[Text], live: &mut Vec<Text>) {
    let leaf = |words: &[Text]| {
        let shown: Vec<String> = words.iter().map(|word| format!("{:?}", word.shown(&merge.names))).collect();
        let own = "(the image's own)".to_owned();
        Leaf::new(&words, if words.is_empty() { own } else { shown.join(" ") })
    };
    let sides = [base.map(|words| leaf(words)), Some(leaf(target)), Some(leaf(live))];
    if decide(merge, path, &Rule::TAKE, &sides) {
        live.clear();
        live.extend_from_slice(target);
    }
}

/// Added where it is new; otherwise as said.
pub(super) const fn changed(class: Class) -> Rule {
    Rule { add: Class::Take, change: class, remove: class, only_undone: false }
}
