//! Kubernetes quantities: `250m`, `512Mi`, `1.5Gi`, `2e3`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr};

/// A non-negative Kubernetes quantity. It keeps its spelling; `512Mi` and `0.5Gi` compare as equal amounts with
/// [`Quantity::cmp_amount`] and differ as values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity(String);

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Kubernetes quantity such as \"250m\", \"512Mi\" or \"10Gi\"")]
pub struct InvalidQuantity(String);

impl Quantity {
    /// The spelling that was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The amount in thousandths, rounded up, as Kubernetes rounds what is finer.
    pub fn milli(&self) -> u128 {
        milli(&self.0).unwrap_or(0)
    }

    /// Compares the amounts, whatever their spelling.
    pub fn cmp_amount(&self, other: &Self) -> Ordering {
        self.milli().cmp(&other.milli())
    }
}

/// At most 32 characters: a number with at most 18 digits before the point, and one of the suffixes of Kubernetes.
fn milli(text: &str) -> Option<u128> {
    if text.len() > 32 {
        return None;
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 18 || fraction.len() > 12 {
        return None;
    }
    // multiplier = top / bottom
    let (top, bottom): (u128, u128) = match suffix {
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "" => (1, 1),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let power: i32 = digits.parse().ok()?;
            if !(-9..=18).contains(&power) {
                return None;
            }
            let power_of_ten = 10u128.pow(power.unsigned_abs());
            if power < 0 { (1, power_of_ten) } else { (power_of_ten, 1) }
        }
    };
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let numerator = digits.checked_mul(top)?.checked_mul(1000)?;
    Some(numerator.div_ceil(bottom.checked_mul(scale)?))
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        match milli(&text) {
            Some(_) => Ok(Self(text)),
            None => Err(InvalidQuantity(text.chars().take(40).collect())),
        }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_those_of_kubernetes() {
        for (text, amount) in [
            ("0", 0),
            ("1", 1000),
            ("250m", 250),
            ("0.1", 100),
            ("1.5Gi", 1_610_612_736_000),
            ("512Mi", 536_870_912_000),
            ("2e3", 2_000_000),
            ("1E", 1_000_000_000_000_000_000_000),
            ("1n", 1),
            (".5", 500),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().milli(), amount, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "-1", "1.2.3", "Gi", "1 Gi", "1gi", "1e99", "٣", "1234567890123456789", "1Mi1"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }
}
