//! What a number compares by, and the bytes that hold it.

/// Words that make a pre-release of the number that they follow without a dash.
const PRE_RELEASE_WORDS: [&str; 13] = [
    "alpha",
    "beta",
    "canary",
    "cr",
    "dev",
    "ea",
    "milestone",
    "nightly",
    "pre",
    "preview",
    "rc",
    "snapshot",
    "unstable",
];

/// What a number compares by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// Begins with a letter.
    Named(Vec<Run>),
    /// Begins with a digit.
    Numbered {
        /// Digits without leading zeros, trailing zeros left out: the release.
        numbers: Vec<String>,
        suffix: Suffix,
    },
}

/// What follows the numbers of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Suffix {
    /// Comes before the release.
    PreRelease(Vec<Run>),
    /// The release itself.
    None,
    /// Comes after it.
    After(Vec<Run>),
}

/// Letters or digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// Without leading zeros; nothing stands for zero.
    Digits(String),
    Letters(String),
}

impl Order {
    pub(super) fn of(spelling: &str) -> Self {
        let text = match spelling.strip_prefix(['v', 'V']) {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => rest,
            _ => spelling,
        };
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Self::Named(runs(text));
        }
        let text = text.split_once('+').map_or(text, |(number, _build)| number);
        if let Some(version) = semantic(text) {
            let pre_release: Vec<Run> =
                version.pre.split('.').filter(|part| !part.is_empty()).map(identifier).collect();
            let numbers = [version.major, version.minor, version.patch].map(|number| number.to_string());
            return Self::numbered(numbers.iter().map(String::as_str), Suffix::pre_release(pre_release));
        }
        if text.chars().all(|c| c.is_ascii_digit() || c == '-') && !text.ends_with('-') {
            return Self::numbered(text.split('-').filter(|part| !part.is_empty()), Suffix::None);
        }

        let mut numbers = Vec::new();
        let mut rest = text;
        loop {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            numbers.push(number);
            rest = after;
            match after.strip_prefix('.') {
                Some(next) if next.starts_with(|c: char| c.is_ascii_digit()) => rest = next,
                _ => break,
            }
        }
        let suffix = match rest.strip_prefix('-') {
            Some(pre_release) => {
                let parts = pre_release.split(|c: char| c.is_ascii_punctuation() && c != '-');
                Suffix::pre_release(parts.filter(|part| !part.is_empty()).map(identifier).collect())
            }
            None => match runs(rest) {
                runs if runs.is_empty() => Suffix::None,
                runs if starts_with_word(&runs) => Suffix::PreRelease(runs),
                runs => Suffix::After(runs),
            },
        };
        Self::numbered(numbers.into_iter(), suffix)
    }

    /// Bytes that compare as the numbers do. Every list ends with a byte that is smaller than all that begin an entry
    /// of it, so that what ends first comes first; numbers are preceded by their length.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        match self {
            Self::Named(runs) => {
                key.push(1);
                push_runs(&mut key, runs);
            }
            Self::Numbered { numbers, suffix } => {
                key.push(2);
                for number in numbers {
                    key.push(4);
                    push_number(&mut key, number);
                }
                match suffix {
                    Suffix::PreRelease(runs) => {
                        key.push(1);
                        push_runs(&mut key, runs);
                    }
                    Suffix::None => key.push(2),
                    Suffix::After(runs) => {
                        key.push(3);
                        push_runs(&mut key, runs);
                    }
                }
            }
        }
        key
    }

    pub(super) fn normal_form(&self) -> String {
        match self {
            Self::Named(runs) => joined(runs),
            Self::Numbered { numbers, suffix } => {
                let shown = |index: usize| match numbers.get(index).map(String::as_str) {
                    None | Some("") => "0",
                    Some(number) => number,
                };
                let release = (0..numbers.len().max(3)).map(shown).collect::<Vec<_>>().join(".");
                match suffix {
                    Suffix::PreRelease(runs) => format!("{release}-{}", joined(runs)),
                    Suffix::None => release,
                    Suffix::After(runs) => format!("{release}_{}", joined(runs)),
                }
            }
        }
    }

    pub(super) fn is_pre_release(&self) -> bool {
        matches!(self, Self::Numbered { suffix: Suffix::PreRelease(_), .. })
    }

    fn numbered<'a>(numbers: impl Iterator<Item = &'a str>, suffix: Suffix) -> Self {
        let mut numbers: Vec<String> = numbers.map(|number| number.trim_start_matches('0').to_owned()).collect();
        while numbers.last().is_some_and(String::is_empty) {
            numbers.pop();
        }
        Self::Numbered { numbers, suffix }
    }
}

impl Suffix {
    fn pre_release(runs: Vec<Run>) -> Self {
        if runs.is_empty() { Self::None } else { Self::PreRelease(runs) }
    }
}

/// The semantic version that a text is once its missing parts are added.
fn semantic(text: &str) -> Option<semver::Version> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = match numbers.matches('.').count() {
        // One number, a dash and digits is a date.
        0 if rest.starts_with('-') && rest.chars().all(|c| c.is_ascii_digit() || c == '-') => return None,
        0 => ".0.0",
        1 => ".0",
        _ => "",
    };
    semver::Version::parse(&format!("{numbers}{missing}{rest}")).ok()
}

/// An identifier of a pre-release is a number or a word as a whole, as semantic versions have it.
fn identifier(text: &str) -> Run {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        Run::Digits(text.trim_start_matches('0').to_owned())
    } else {
        Run::Letters(text.to_owned())
    }
}

/// Runs of digits and of letters; ASCII punctuation separates them, all else counts as letters.
fn runs(text: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut rest = text.trim_start_matches(|c: char| c.is_ascii_punctuation());
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_punctuation() || c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        runs.push(if digits {
            Run::Digits(run.trim_start_matches('0').to_owned())
        } else {
            Run::Letters(run.to_owned())
        });
        rest = after.trim_start_matches(|c: char| c.is_ascii_punctuation());
    }
    runs
}

fn starts_with_word(runs: &[Run]) -> bool {
    matches!(runs.first(), Some(Run::Letters(word)) if PRE_RELEASE_WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

fn joined(runs: &[Run]) -> String {
    let shown = |run: &Run| match run {
        Run::Digits(digits) if digits.is_empty() => "0".to_owned(),
        Run::Digits(text) | Run::Letters(text) => text.clone(),
    };
    runs.iter().map(shown).collect::<Vec<_>>().join(".")
}

fn push_runs(key: &mut Vec<u8>, runs: &[Run]) {
    for run in runs {
        match run {
            Run::Digits(digits) => {
                key.push(1);
                push_number(key, digits);
            }
            Run::Letters(letters) => {
                key.push(2);
                key.extend(letters.bytes());
                key.push(0);
            }
        }
    }
    key.push(0);
}

fn push_number(key: &mut Vec<u8>, digits: &str) {
    // At most 64 characters make a version number.
    key.push(u8::try_from(digits.len()).unwrap_or(u8::MAX));
    key.extend(digits.bytes());
}
