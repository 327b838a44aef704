//! What becomes of each secret.
//!
//! Entries that hold the same secret keep holding the same one: a rule to generate it that names no group gets one that
//! they share.

use super::{Notes, PublicationInput, SecretPlace, Undecided, content::Sources, keys::Keys};
use crate::{
    change::Owner,
    digest::Digest,
    key::{ComponentKey, SecretId},
    model::{GenerateRule, SecretDecision, Value, Variable, looks_like_secret},
    text::{Part, Text},
};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of the values that look like secrets, or about which something was decided.
pub(super) struct Decided {
    /// By place.
    pub(super) decisions: BTreeMap<SecretPlace, SecretDecision>,
    /// Those of them that are only proposals.
    pub(super) undecided: Vec<Undecided>,
    /// The plain texts that are known here and must not be published, with the name of what holds each.
    pub(super) hidden: Vec<(String, String)>,
}

/// A value with its place.
struct Entry<'a> {
    place: SecretPlace,
    owner_name: &'a str,
    owner_slug: Option<&'a str>,
    name: &'a str,
    value: &'a Value,
    offered: bool,
    said: Option<&'a SecretDecision>,
    looks_secret: bool,
}

/// What makes two entries hold the same secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Same {
    Sealed(SecretId),
    Text(Text),
}

pub(super) fn decide(input: &PublicationInput, sources: &Sources, keys: &Keys, notes: &mut Notes) -> Decided {
    let mut entries = entries(sources);
    entries.sort_by(|one, two| one.place.cmp(&two.place));
    for place in input.decisions.keys().filter(|place| !is_known(sources, &entries, place)) {
        let message = format!("there is no {} to decide about in what is published", place.path);
        notes.block("DECISION_UNKNOWN", component(place.owner, keys), message);
    }
    entries.retain(|entry| entry.looks_secret || entry.said(input).is_some());

    let shares = shares(&entries);
    let mut decisions = BTreeMap::new();
    let mut undecided = Vec::new();
    for entry in &entries {
        let decision = if let Some(said) = entry.said(input) {
            said.clone()
        } else {
            let proposal = proposal(entry, &shares, &entries);
            undecided.push(Undecided {
                place: entry.place.clone(),
                owner_name: entry.owner_name.to_owned(),
                name: entry.name.to_owned(),
                proposal: proposal.clone(),
            });
            proposal
        };
        if let SecretDecision::Generate(rule) = &decision
            && let Err(error) = GenerateRule::new(rule.length, rule.group.clone())
        {
            let message = format!("{} of {}: {error}", entry.place.path, entry.owner_name);
            notes.block("RULE_INVALID", component(entry.place.owner, keys), message);
        }
        decisions.insert(entry.place.clone(), decision);
    }
    for same in shares.values() {
        share_group(same, &entries, &mut decisions, notes);
    }
    for item in &mut undecided {
        if let Some(decision) = decisions.get(&item.place) {
            item.proposal = decision.clone();
        }
    }
    let hidden = hidden(input, &entries, &decisions);
    Decided { decisions, undecided, hidden }
}

/// Whether a text holds a password in the address of a service, such as `postgres://shop:secret@db/shop`. A reference
/// to another variable in its place is none.
pub(super) fn has_credentials(text: &Text) -> bool {
    let literal = |part: &Part| match part {
        Part::Literal(literal) => literal.clone(),
        Part::Host { .. } => "host".to_owned(),
    };
    let whole: String = text.parts().iter().map(literal).collect();
    whole.match_indices("://").any(|(at, scheme)| {
        let rest = &whole[at + scheme.len()..];
        let end = rest.find(|c: char| c == '/' || c.is_whitespace() || c == '"' || c == '\'').unwrap_or(rest.len());
        let Some((user, _host)) = rest[..end].rsplit_once('@') else { return false };
        let Some((_name, password)) = user.split_once(':') else { return false };
        !password.is_empty() && !password.starts_with("$(") && !password.starts_with("${")
    })
}

fn entries(sources: &Sources) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    for source in &sources.components {
        let component = &source.component;
        let owner = Owner::Component(component.key);
        let mut push = |path: String, name, value, said, offered, looks_secret| {
            entries.push(Entry {
                place: SecretPlace { owner, path },
                owner_name: &component.name,
                owner_slug: Some(component.slug.as_str()),
                name,
                value,
                offered,
                said,
                looks_secret,
            });
        };
        let lists =
            [("environment", &component.environment, false), ("connectionInfo", &component.connection_info, true)];
        for (field, list, offered) in lists {
            for Variable { name, value, decision, .. } in list {
                let secret = looks_like_secret(name) || is_secret(value);
                push(format!("{field}/{name}"), name.as_str(), value, decision.as_ref(), offered, secret);
            }
        }
        for file in &component.config_files {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            let secret = looks_like_secret(name) || is_secret(&file.content);
            let path = format!("configFiles/{}", file.path);
            push(path, file.path.as_str(), &file.content, file.decision.as_ref(), false, secret);
        }
    }
    for source in &sources.resources {
        for Variable { name, value, decision, .. } in &source.resource.secret_data {
            entries.push(Entry {
                place: SecretPlace { owner: Owner::Resource(source.resource.key), path: format!("secretData/{name}") },
                owner_name: &source.resource.name,
                owner_slug: None,
                name,
                value,
                offered: false,
                said: decision.as_ref(),
                // Whatever comes from a Secret.
                looks_secret: true,
            });
        }
    }
    entries
}

impl Entry<'_> {
    fn said<'a>(&'a self, input: &'a PublicationInput) -> Option<&'a SecretDecision> {
        input.decisions.get(&self.place).or(self.said)
    }

    fn same(&self) -> Option<Same> {
        match self.value {
            Value::Sealed { sealed } => Some(Same::Sealed(*sealed)),
            Value::Text(text) if text.parts().is_empty() => None,
            Value::Text(text) => Some(Same::Text(text.clone())),
        }
    }
}

fn is_secret(value: &Value) -> bool {
    match value {
        Value::Sealed { .. } => true,
        Value::Text(text) => has_credentials(text),
    }
}

/// The entries that hold the same secret, by their indices.
fn shares(entries: &[Entry<'_>]) -> BTreeMap<Same, Vec<usize>> {
    let mut shares: BTreeMap<Same, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(same) = entry.same() {
            shares.entry(same).or_default().push(index);
        }
    }
    shares
}

/// Connection info is made for this application, so that each installation can have its own; so is whatever holds the
/// same secret. Else only the installer can know it.
fn proposal(entry: &Entry<'_>, shares: &BTreeMap<Same, Vec<usize>>, entries: &[Entry<'_>]) -> SecretDecision {
    let holders = entry.same().and_then(|same| shares.get(&same));
    let offered = entry.offered || holders.is_some_and(|holders| holders.iter().any(|index| entries[*index].offered));
    let has_address = matches!(entry.value, Value::Text(text) if has_credentials(text));
    if offered && !has_address && !entry.place.path.starts_with("configFiles/") {
        SecretDecision::Generate(GenerateRule::default())
    } else {
        SecretDecision::Ask
    }
}

/// Gives the rules of entries that hold the same secret the group that they share.
fn share_group(
    shared: &[usize],
    entries: &[Entry<'_>],
    decisions: &mut BTreeMap<SecretPlace, SecretDecision>,
    notes: &mut Notes,
) {
    let places: Vec<&Entry<'_>> = shared.iter().map(|index| &entries[*index]).collect();
    let generated: Vec<&&Entry<'_>> = places
        .iter()
        .filter(|entry| matches!(decisions.get(&entry.place), Some(SecretDecision::Generate(_))))
        .collect();
    let asked = places.iter().any(|entry| decisions.get(&entry.place) == Some(&SecretDecision::Ask));
    if asked && !generated.is_empty() {
        let names = places.iter().map(|entry| format!("{} of {}", entry.place.path, entry.owner_name));
        let names = names.collect::<Vec<_>>().join(", ");
        notes.warnings.push(format!("{names} hold the same secret here, and would not in an installation"));
    }
    if generated.len() < 2 {
        return;
    }
    let given: BTreeSet<String> = generated
        .iter()
        .filter_map(|entry| match decisions.get(&entry.place) {
            Some(SecretDecision::Generate(rule)) => rule.group.clone(),
            _ => None,
        })
        .collect();
    let named = generated.iter().find(|entry| entry.offered).unwrap_or(&generated[0]);
    let group = match given.len() {
        1 => given.into_iter().next().unwrap_or_default(),
        _ => group_name(named),
    };
    for entry in generated {
        if let Some(SecretDecision::Generate(rule)) = decisions.get_mut(&entry.place)
            && rule.group.is_none()
        {
            rule.group = Some(group.clone());
        }
    }
}

/// A group's name for people, of at most 64 bytes.
fn group_name(entry: &Entry<'_>) -> String {
    let name = format!("{}/{}", entry.owner_slug.unwrap_or(entry.owner_name), entry.name);
    if name.len() <= 64 {
        return name;
    }
    let digest = Digest::of(name.as_bytes());
    let kept: String = name.chars().filter(char::is_ascii).take(47).collect();
    format!("{kept}-{}", &digest.hex()[..16])
}

/// The plain texts of what is generated or asked for, unless a person says somewhere that they are public.
fn hidden(
    input: &PublicationInput,
    entries: &[Entry<'_>],
    decisions: &BTreeMap<SecretPlace, SecretDecision>,
) -> Vec<(String, String)> {
    let literal = |entry: &Entry<'_>| match entry.value {
        Value::Text(text) => match text.parts() {
            [Part::Literal(literal)] => Some(literal.clone()),
            _ => None,
        },
        Value::Sealed { sealed } => input.plaintexts.get(sealed).or_else(|| input.hidden_texts.get(sealed)).cloned(),
    };
    let (public, secret): (Vec<&Entry<'_>>, Vec<&Entry<'_>>) =
        entries.iter().partition(|entry| decisions.get(&entry.place) == Some(&SecretDecision::Public));
    let public: BTreeSet<String> = public.into_iter().filter_map(literal).collect();
    secret
        .into_iter()
        .filter_map(|entry| Some((format!("{} of {}", entry.place.path, entry.owner_name), literal(entry)?)))
        .filter(|(_, text)| !public.contains(text))
        .collect()
}

/// Whether a decision is about something that is published. Values that can only be public are known by their paths.
fn is_known(sources: &Sources, entries: &[Entry<'_>], place: &SecretPlace) -> bool {
    entries.iter().any(|entry| entry.place == *place)
        || match place.owner {
            Owner::Component(key) => {
                ["attributes/env/", "command/", "arguments/", "probes/"]
                    .iter()
                    .any(|field| place.path.starts_with(field))
                    && sources.components.iter().any(|source| source.component.key == key)
            }
            Owner::Resource(key) => {
                place.path.starts_with("manifest/data/")
                    && sources.resources.iter().any(|source| source.resource.key == key)
            }
        }
}

fn component(owner: Owner, keys: &Keys) -> Option<ComponentKey> {
    match owner {
        Owner::Component(key) => keys.components.get(&key).copied(),
        Owner::Resource(_) => None,
    }
}
