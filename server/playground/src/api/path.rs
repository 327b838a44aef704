//! Addresses of the API and the options behind them.

use std::collections::BTreeMap;

use crate::kind::Kind;
use crate::status::{Cause, Status};
use crate::write::{Unknown, Writer};

/// What an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/version`, `/healthz` and the like; `/api`, `/apis` and below.
    Other(Vec<String>),
    /// A list of objects, in a namespace or everywhere.
    Collection(Kind, Option<String>),
    /// One object, perhaps a subresource of it.
    Object(Kind, String, String, Option<String>),
}

/// The options of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options(BTreeMap<String, String>);

/// Reads an address.
pub(crate) fn parse(path: &str) -> Target {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let words: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match words.as_slice() {
        ["api", "v1", rest @ ..] => ("", "v1", rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Target::Other(parts),
    };
    let find = |plural: &str| Kind::find(group, version, plural);
    let namespaced = |kind: &Kind| kind.description().namespaced;
    let target = match rest {
        ["namespaces", space, plural, rest @ ..]
            if find(plural).is_some_and(|kind| namespaced(&kind)) && rest.len() <= 2 =>
        {
            find(plural).map(|kind| match rest {
                [] => Target::Collection(kind, Some((*space).to_owned())),
                [name] => Target::Object(kind, (*space).to_owned(), (*name).to_owned(), None),
                [name, part, ..] => {
                    Target::Object(kind, (*space).to_owned(), (*name).to_owned(), Some((*part).to_owned()))
                }
            })
        }
        [plural] => find(plural).map(|kind| Target::Collection(kind, None)),
        [plural, name] => find(plural)
            .filter(|kind| !namespaced(kind))
            .map(|kind| Target::Object(kind, String::new(), (*name).to_owned(), None)),
        [plural, name, part] => find(plural)
            .filter(|kind| !namespaced(kind))
            .map(|kind| Target::Object(kind, String::new(), (*name).to_owned(), Some((*part).to_owned()))),
        _ => None,
    };
    target.unwrap_or(Target::Other(parts))
}

impl Options {
    /// Reads the query of an address.
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(&value.replace('+', " ")))
        });
        Self(pairs.collect())
    }

    /// An option, empty where it is not given.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether an option is on.
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self.text(name), "true" | "1")
    }

    /// The number that an option gives.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Status> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Status::bad_request(format!("strconv.ParseUint: parsing \"{text}\": invalid syntax (option {name})"))
            }),
        }
    }

    /// Who writes, and how.
    pub(crate) fn writer(&self, agent: &str) -> Result<Writer, Status> {
        let manager = match self.text("fieldManager") {
            "" => agent.split('/').next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(128).collect(),
            manager if manager.len() > 128 => {
                let cause =
                    Cause::invalid("fieldManager", &serde_json::json!(manager), "may not be more than 128 bytes");
                return Err(Status::invalid_options("PatchOptions", &[cause]));
            }
            manager => manager.to_owned(),
        };
        let manager = if manager.is_empty() { "unknown".to_owned() } else { manager };
        let dry_run = match self.text("dryRun") {
            "" => false,
            "All" => true,
            other => {
                let cause = Cause::unsupported("dryRun", other, &["All"]);
                return Err(Status::invalid_options("CreateOptions", &[cause]));
            }
        };
        let unknown = match self.text("fieldValidation") {
            "" | "Warn" => Unknown::Warn,
            "Ignore" => Unknown::Ignore,
            "Strict" => Unknown::Refuse,
            other => {
                let cause = Cause::unsupported("fieldValidation", other, &["Ignore", "Strict", "Warn"]);
                return Err(Status::invalid_options("CreateOptions", &[cause]));
            }
        };
        Ok(Writer { manager, dry_run, unknown })
    }
}

/// Undoes percent encoding; what is none stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            result.push(byte);
            at += 3;
        } else {
            result.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&result).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_what_kubernetes_means() {
        let object = |kind, space: &str, name: &str, part: Option<&str>| {
            Target::Object(kind, space.to_owned(), name.to_owned(), part.map(str::to_owned))
        };
        for (path, target) in [
            ("/api/v1/pods", Target::Collection(Kind::Pod, None)),
            ("/api/v1/namespaces/a/pods", Target::Collection(Kind::Pod, Some("a".to_owned()))),
            ("/api/v1/namespaces/a/pods/b", object(Kind::Pod, "a", "b", None)),
            ("/api/v1/namespaces/a/pods/b/log", object(Kind::Pod, "a", "b", Some("log"))),
            ("/api/v1/namespaces/a", object(Kind::Namespace, "", "a", None)),
            ("/api/v1/namespaces/a/status", object(Kind::Namespace, "", "a", Some("status"))),
            ("/api/v1/nodes/n%31", object(Kind::Node, "", "n1", None)),
            ("/apis/apps/v1/namespaces/a/deployments/b/scale", object(Kind::Deployment, "a", "b", Some("scale"))),
        ] {
            assert_eq!(parse(path), target, "{path}");
        }
        for path in ["/apis/apps/v2/deployments", "/api/v1/pods/b", "/apis/apps/v1"] {
            assert!(matches!(parse(path), Target::Other(_)), "{path}");
        }
    }
}
