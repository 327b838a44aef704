//! Kubernetes quantities such as `500m`, `64` or `256Gi`.

/// The quantity in thousandths, rounded up; None if it is not one or too large.
///
/// CPU is read as it is (`500m` is 500, `2` is 2000).
pub fn millis(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (multiplier, divisor): (u128, u128) = match suffix {
        "" => (1000, 1),
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "k" => (1_000_000, 1),
        "M" => (10_u128.pow(9), 1),
        "G" => (10_u128.pow(12), 1),
        "T" => (10_u128.pow(15), 1),
        "P" => (10_u128.pow(18), 1),
        "E" => (10_u128.pow(21), 1),
        "Ki" => (1000 << 10, 1),
        "Mi" => (1000 << 20, 1),
        "Gi" => (1000 << 30, 1),
        "Ti" => (1000 << 40, 1),
        "Pi" => (1000 << 50, 1),
        "Ei" => (1000 << 60, 1),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            match power {
                0..=18 => (1000 * 10_u128.pow(power.unsigned_abs()), 1),
                -18..0 => (1000, 10_u128.pow(power.unsigned_abs())),
                _ => return None,
            }
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 20 || fraction.len() > 12 {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?).checked_mul(divisor)?;
    u64::try_from(digits.checked_mul(multiplier)?.div_ceil(scale)).ok()
}

/// The quantity in whole units, rounded up: bytes of memory or storage. Larger ones than 2^64 are None.
pub fn whole(text: &str) -> Option<u64> {
    // The thousandths of large sizes do not fit: their suffix is a whole number, and so is what is before it.
    match text.trim().parse::<u64>() {
        Ok(plain) => Some(plain),
        Err(_) => match millis(text) {
            Some(millis) => Some(millis.div_ceil(1000)),
            None => large(text.trim()),
        },
    }
}

fn large(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, suffix) = text.split_at(end);
    let unit = match suffix {
        "P" => 10_u64.pow(15),
        "E" => 10_u64.pow(18),
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("500m", Some(500)),
            ("64", Some(64_000)),
            ("0.5", Some(500)),
            ("1e3", Some(1_000_000)),
            ("100n", Some(1)),
            ("", None),
            ("x", None),
            ("-1", None),
            ("1.2.3", None),
            ("1e99", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
        for (text, expected) in [
            ("256Gi", Some(256 << 30)),
            ("1Ti", Some(1 << 40)),
            ("128974848", Some(128_974_848)),
            ("1500m", Some(2)),
            ("1.5Gi", Some(1_610_612_736)),
            ("8Ei", Some(1 << 63)),
            ("99Ei", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }
}
