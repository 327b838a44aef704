//! Enums that have one spelling everywhere: in JSON, in the API and in the database.

/// A text that spells none of an enum's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}")]
pub struct UnknownSpelling {
    /// What was expected.
    pub what: &'static str,
    /// What stood there, cut after 64 characters.
    pub text: String,
}

/// Declares an enum whose values are spelled as given: for serde, by `as_str`, `Display` and `FromStr`.
macro_rules! spelled {
    ($($(#[$meta:meta])* $what:literal enum $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $value,)*
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$value),*];

            /// The one spelling.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::spelling::UnknownSpelling;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$value),)*
                    _ => Err(crate::spelling::UnknownSpelling { what: $what, text: text.chars().take(64).collect() }),
                }
            }
        }
    )*};
}
pub(crate) use spelled;
