//! Versions of Kubernetes, as API servers say them.

use std::{fmt, str::FromStr};

/// The first two parts of a version, which is all that decides what a cluster serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterVersion {
    /// 1.
    pub major: u32,
    /// Such as 33.
    pub minor: u32,
}

/// A text that begins with no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version of Kubernetes begins with two numbers, such as v1.33.2 or 1.30+")]
pub struct InvalidClusterVersion;

impl FromStr for ClusterVersion {
    type Err = InvalidClusterVersion;

    /// Reads `v1.33.2`, `1.33`, `1.20+` and `v1.30.1-aliyun.1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, rest) = text.strip_prefix('v').unwrap_or(text).split_once('.').ok_or(InvalidClusterVersion)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = |digits: &str| digits.parse().map_err(|_| InvalidClusterVersion);
        Ok(Self { major: number(major)?, minor: number(&rest[..end])? })
    }
}

impl fmt::Display for ClusterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_providers_are_read() {
        for (text, minor) in [
            ("v1.33.2", Some(33)),
            ("1.9", Some(9)),
            ("1.20+", Some(20)),
            ("v1.30.1-aliyun.1", Some(30)),
            ("v1.28.3-tke.4", Some(28)),
            ("", None),
            ("v1", None),
            ("1.x", None),
            ("latest", None),
        ] {
            let expected = minor.map(|minor| ClusterVersion { major: 1, minor }).ok_or(InvalidClusterVersion);
            assert_eq!(text.parse::<ClusterVersion>(), expected, "{text}");
        }
    }
}
