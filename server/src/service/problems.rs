//! Gathers everything that is wrong with an input, so that a caller mends it in one go.

use crate::error::{Error, Result, UserError};

/// The most characters of a name for people.
pub const MAX_DISPLAY_NAME: usize = 100;

/// The most problems that one answer lists.
const MAX_PROBLEMS: usize = 100;

/// What is wrong with an input.
#[derive(Debug, Default)]
pub struct Problems(Vec<UserError>);

impl Problems {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, error: UserError) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push(error);
        }
    }

    /// Adds one about one field of the input.
    pub fn at(&mut self, field: &str, code: &str, message: impl Into<String>) {
        self.add(UserError::new(code, message).at([field]));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A name for people: 1 to 100 characters that can be printed, not all of them blank.
    pub fn check_display_name(&mut self, field: &str, name: &str) {
        if !is_display_name(name) {
            let message = format!("a name has 1 to {MAX_DISPLAY_NAME} characters, none of them a control character");
            self.at(field, "INVALID_NAME", message);
        }
    }

    /// Goes on if there is none.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}

/// Whether a text can be the name of a thing for people.
pub fn is_display_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=MAX_DISPLAY_NAME).contains(&length)
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || is_direction(c))
}

/// Whether somebody can sign in with this name: 1 to 63 of `a-z 0-9 . _ @ -`, the first a letter or digit.
pub fn is_user_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().next().is_some_and(word)
        && name.bytes().all(|b| word(b) || b"._@-".contains(&b))
}

/// Whether a text is a DNS label of at most 63 characters, as names of namespaces and clusters are.
pub fn is_dns_label(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().next().is_some_and(word)
        && name.bytes().last().is_some_and(word)
        && name.bytes().all(|b| word(b) || b == b'-')
}

/// Characters that turn the direction of text around: a name must not look like another one.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_for_people_are_short_and_can_be_printed() {
        for good in ["a", "Großhandel 北京", &"x".repeat(100)] {
            assert!(is_display_name(good), "{good}");
        }
        for bad in ["", " ", " a", "a ", "a\nb", "a\u{0}", "a\u{202e}b", &"x".repeat(101)] {
            assert!(!is_display_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_to_sign_in_with_are_plain() {
        for good in ["a", "0", "jana@example.com", "a.b_c-d", &"a".repeat(63)] {
            assert!(is_user_name(good), "{good}");
        }
        for bad in ["", ".a", "@a", "A", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_user_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn labels_are_those_of_the_domain_name_system() {
        for good in ["a", "0a", "a-b", &"a".repeat(63)] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "A", "a_b", &"a".repeat(64)] {
            assert!(!is_dns_label(bad), "{bad:?}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut problems = Problems::new();
        problems.check_display_name("name", "");
        problems.at("slug", "INVALID_NAME", "no");
        let Err(Error::Invalid(errors)) = problems.finish() else { panic!("accepted") };
        assert_eq!(errors.iter().map(|e| e.path[0].as_str()).collect::<Vec<_>>(), ["name", "slug"]);
    }
}
