//! Label and field selectors: of requests (text) and of objects (`matchLabels`, `matchExpressions`).

use serde_json::{Map, Value};

use crate::kind::Kind;
use crate::object::{at, items};
use crate::status::Status;

/// Terms that one selector may have.
const MAXIMUM_TERMS: usize = 200;

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// Chooses objects by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(Vec<(String, Rule)>);

/// Chooses objects by some of their fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, bool, String)>);

impl Labels {
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        let wrong = || Status::bad_request(format!("unable to parse requirement: invalid label selector {text:?}"));
        let mut rules = Vec::new();
        for term in split_terms(text) {
            let term = term.trim();
            if term.is_empty() {
                if text.trim().is_empty() {
                    continue;
                }
                return Err(wrong());
            }
            let rule = if let Some(key) = term.strip_prefix('!') {
                (key.trim().to_owned(), Rule::DoesNotExist)
            } else if let Some((key, value)) = term.split_once("!=") {
                (key.trim().to_owned(), Rule::NotIn(vec![value.trim().to_owned()]))
            } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (key.trim().to_owned(), Rule::In(vec![value.trim().to_owned()]))
            } else if let Some(open) = term.find('(') {
                let values =
                    term[open..].strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(wrong)?;
                let values = values.split(',').map(|value| value.trim().to_owned()).collect();
                match term[..open].split_whitespace().collect::<Vec<_>>().as_slice() {
                    [key, "in"] => ((*key).to_owned(), Rule::In(values)),
                    [key, "notin"] => ((*key).to_owned(), Rule::NotIn(values)),
                    _ => return Err(wrong()),
                }
            } else {
                (term.to_owned(), Rule::Exists)
            };
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            if rule.0.is_empty() || !rule.0.chars().all(legal) || rules.len() == MAXIMUM_TERMS {
                return Err(wrong());
            }
            rules.push(rule);
        }
        Ok(Self(rules))
    }

    /// Reads the selector of an object (`spec.selector` of a Deployment, for instance).
    pub(crate) fn of(selector: &Value) -> Self {
        let mut rules = Vec::new();
        if let Some(labels) = selector["matchLabels"].as_object() {
            rules.extend(
                labels
                    .iter()
                    .map(|(key, value)| (key.clone(), Rule::In(vec![value.as_str().unwrap_or_default().to_owned()]))),
            );
        }
        for expression in items(selector, "/matchExpressions") {
            let values =
                items(expression, "/values").iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
            let rule = match expression["operator"].as_str() {
                Some("In") => Rule::In(values),
                Some("NotIn") => Rule::NotIn(values),
                Some("Exists") => Rule::Exists,
                Some("DoesNotExist") => Rule::DoesNotExist,
                _ => continue,
            };
            rules.push((expression["key"].as_str().unwrap_or_default().to_owned(), rule));
        }
        Self(rules)
    }

    /// Whether it says nothing, and so chooses everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels is chosen.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let labels = object["metadata"]["labels"].as_object().unwrap_or(&NONE);
        self.0.iter().all(|(key, rule)| {
            let value = labels.get(key).and_then(Value::as_str);
            match rule {
                Rule::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
                Rule::NotIn(values) => !value.is_some_and(|value| values.iter().any(|one| one == value)),
                Rule::Exists => value.is_some(),
                Rule::DoesNotExist => value.is_none(),
            }
        })
    }
}

impl Fields {
    /// Reads `metadata.name=a,status.phase!=b`; only fields that the kind can be chosen by.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, Status> {
        let mut rules = Vec::new();
        for term in text.split(',').filter(|term| !term.is_empty()).take(MAXIMUM_TERMS) {
            let (field, equal, value) = if let Some((field, value)) = term.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
                (field, true, value)
            } else {
                return Err(Status::bad_request(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            if !supported(kind).contains(&field) {
                return Err(Status::bad_request(format!("field label not supported: {field}")));
            }
            rules.push((field.to_owned(), equal, value.to_owned()));
        }
        Ok(Self(rules))
    }

    /// Whether the object is chosen.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, equal, value)| {
            let pointer = match field.as_str() {
                "status.successful" => "/status/succeeded".to_owned(),
                field => format!("/{}", field.replace('.', "/")),
            };
            let same = match at(object, &pointer) {
                Value::String(text) => text == value,
                // What is left out is the zero of its type.
                Value::Null => match field.as_str() {
                    "status.successful" => value == "0",
                    "spec.unschedulable" => value == "false",
                    _ => value.is_empty(),
                },
                Value::Bool(is) => value.parse() == Ok(*is),
                Value::Number(number) => value.parse().is_ok_and(|asked: serde_json::Number| asked == *number),
                Value::Array(_) | Value::Object(_) => false,
            };
            same == *equal
        })
    }
}

fn supported(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Event => &[
            "metadata.name",
            "metadata.namespace",
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
        Kind::Namespace => &["metadata.name", "status.phase"],
        Kind::Secret => &["metadata.name", "metadata.namespace", "type"],
        Kind::Service => &["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"],
        Kind::Node => &["metadata.name", "spec.unschedulable"],
        Kind::Job => &["metadata.name", "metadata.namespace", "status.successful"],
        _ if kind.description().namespaced => &["metadata.name", "metadata.namespace"],
        _ => &["metadata.name"],
    }
}

/// Splits at commas outside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let (mut terms, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn label_selectors_choose_as_kubernetes_does() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        for (text, chosen) in [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            ("app=api", false),
            ("app!=api", true),
            ("none!=x", true),
            ("app in (web,api)", true),
            ("app notin (web,api)", false),
            ("app in (api),tier=front", false),
            ("app", true),
            ("!app", false),
            ("!none", true),
            ("none", false),
            ("app in (web), tier", true),
        ] {
            assert_eq!(Labels::parse(text).expect(text).matches(&object), chosen, "{text}");
        }
        for text in ["app in web", "a b", ",", "app in (web", "app wants (web)"] {
            assert!(Labels::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(Fields::parse(Kind::Pod, "spec.nodeName=a,status.phase!=Running").is_ok());
        assert!(Fields::parse(Kind::ConfigMap, "spec.nodeName=a").is_err());
    }
}
