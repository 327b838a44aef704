//! Environment, connection info, entries of Secrets, and configuration files.

use super::{
    Held, Leaf, Merge, Rule,
    list::{Entry, Sides, merge_list},
    runtime::decide,
};
use crate::model::{ConfigFile, SecretDecision, Value, Variable, looks_like_secret};

impl<V> Entry for Variable<V> {
    fn key(&self) -> String {
        self.name.clone()
    }
}

impl<V> Entry for ConfigFile<V> {
    fn key(&self) -> String {
        self.path.clone()
    }
}

/// Merges variables under `prefix/<name>`. What a publication shall do with one is a matter of here, no difference.
pub(super) fn merge_variables<V: Held>(
    merge: &mut Merge<'_>,
    prefix: &str,
    rule: &Rule,
    base: &[Variable<V>],
    target: &[Variable<V>],
    live: &mut Vec<Variable<Value>>,
) {
    merge_list(merge, base, target, live, |merge, sides, _| {
        let name = name_of(sides.target.or(sides.base).map(Entry::key), sides.live.map(Entry::key));
        let path = format!("{prefix}/{name}");
        let [base, target] = [sides.base, sides.target].map(|side| side.map(|entry| variable_leaf(merge, entry)));
        let here = sides.live.map(|entry| variable_leaf(merge, entry));
        let mut result = sides.live.cloned();
        if merge.decide(&path, rule, base.as_ref(), target.as_ref(), here.as_ref()) {
            let wanted = sides.target?;
            if let Some(value) = merge.obtain(&path, wanted.description.as_deref(), &wanted.value) {
                if let Some(entry) = &mut result {
                    entry.value = value;
                } else {
                    let description = wanted.description.clone();
                    result = Some(Variable { name, value, description, decision: None });
                }
            }
        }
        describe(merge, &path, sides, result.as_mut());
        result
    });
}

/// Merges files under `configFiles/<path>`: their contents and permission bits.
pub(super) fn merge_files<V: Held>(
    merge: &mut Merge<'_>,
    base: &[ConfigFile<V>],
    target: &[ConfigFile<V>],
    live: &mut Vec<ConfigFile<Value>>,
) {
    merge_list(merge, base, target, live, |merge, sides, _| {
        let path = name_of(sides.target.or(sides.base).map(Entry::key), sides.live.map(Entry::key));
        let at = format!("configFiles/{path}");
        let names = &merge.names;
        let [base, target] = [sides.base, sides.target].map(|side| side.map(|entry| entry.content.leaf(names)));
        let here = sides.live.map(|entry| entry.content.leaf(names));
        let mut result = sides.live.cloned();
        if merge.decide(&at, &Rule::CONFIGURATION, base.as_ref(), target.as_ref(), here.as_ref()) {
            let wanted = sides.target?;
            if let Some(content) = merge.obtain(&at, None, &wanted.content) {
                match &mut result {
                    Some(entry) => entry.content = content,
                    None => result = Some(ConfigFile { path, content, mode: wanted.mode, decision: None }),
                }
            }
        }
        if let (Some(wanted), Some(_), Some(entry)) = (sides.target, sides.live, result.as_mut()) {
            let leaf = |mode: Option<u16>| Leaf::new(&mode, mode.map(|mode| format!("{mode:#o}")).unwrap_or_default());
            let sides = [sides.base.map(|entry| leaf(entry.mode)), Some(leaf(wanted.mode)), Some(leaf(entry.mode))];
            if decide(merge, &format!("{at}/mode"), &Rule::OFFER, &sides) {
                entry.mode = wanted.mode;
            }
        }
        result
    });
}

/// Descriptions are for people and follow the target.
fn describe<V>(
    merge: &mut Merge<'_>,
    path: &str,
    sides: &Sides<'_, Variable<V>, Variable<Value>>,
    result: Option<&mut Variable<Value>>,
) {
    let (Some(wanted), Some(_), Some(entry)) = (sides.target, sides.live, result) else { return };
    let base = sides.base.map(|entry| Leaf::field(entry.description.as_ref()));
    let leaves = [base, Some(Leaf::field(wanted.description.as_ref())), Some(Leaf::field(entry.description.as_ref()))];
    if decide(merge, &format!("{path}/description"), &Rule::NAMING, &leaves) {
        entry.description.clone_from(&wanted.description);
    }
}

/// A value whose name says that it is a secret is not shown, unless a person said that it is none. In a version such a
/// text was said to be public.
fn variable_leaf<V: Held>(merge: &Merge<'_>, variable: &Variable<V>) -> Leaf {
    let leaf = variable.value.leaf(&merge.names);
    if V::IS_HERE && variable.decision != Some(SecretDecision::Public) && looks_like_secret(&variable.name) {
        leaf.masked()
    } else {
        leaf
    }
}

fn name_of(wanted: Option<String>, here: Option<String>) -> String {
    here.or(wanted).unwrap_or_default()
}
