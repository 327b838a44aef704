//! The address of a registry as people write it: `https://registry.example.com:5000/prefix`, with or without a scheme
//! and a prefix.

use ropeway_library::RepositoryName;

/// The longest address.
const MAX_LENGTH: usize = 400;

/// A registry's address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host[:port]`.
    pub host: String,
    /// What the names of repositories begin with; empty, or ends with `/`.
    pub prefix: String,
    /// Whether the scheme says that it is spoken to without TLS; none: there is no scheme.
    pub plain_http: Option<bool>,
}

/// Takes an address apart, or says what is wrong with it.
pub fn parse(text: &str) -> Result<Address, &'static str> {
    if text.len() > MAX_LENGTH {
        return Err("an address has at most 400 characters");
    }
    let (plain_http, rest) = match text.split_once("://") {
        Some(("https", rest)) => (Some(false), rest),
        Some(("http", rest)) => (Some(true), rest),
        Some(_) => return Err("the scheme is https or http"),
        None => (None, text),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(allowed) {
        return Err("an address is host[:port][/prefix], without a user, a query or blanks");
    }
    let path = path.trim_end_matches('/');
    let prefix = match path {
        "" => String::new(),
        path if path.parse::<RepositoryName>().is_ok() => format!("{path}/"),
        _ => return Err("a prefix is lower-case letters, digits and single separators, in parts between slashes"),
    };
    Ok(Address { host: host.to_ascii_lowercase(), prefix, plain_http })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, host, prefix, plain_http) in [
            ("registry.example.com", "registry.example.com", "", None),
            ("https://registry.example.com/", "registry.example.com", "", Some(false)),
            ("http://10.0.0.1:5000/team/apps", "10.0.0.1:5000", "team/apps/", Some(true)),
            ("[::1]:5000/a/", "[::1]:5000", "a/", None),
            ("Registry.Example.com", "registry.example.com", "", None),
        ] {
            let expected = Address { host: host.into(), prefix: prefix.into(), plain_http };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in
            ["", "/a", "ftp://a", "a b", "user:pw@a", "a?b", "a#b", "a/../b", "a/B", "https://", &"a".repeat(401)]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
