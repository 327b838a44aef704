//! Quantities such as `500m` or `1Gi`: exact values and the canonical spelling of the API server.

use serde_json::{Map, Value};

/// Maps of quantities, by the name of the field that holds them.
const MAPS: &[&str] = &[
    "limits",
    "requests",
    "hard",
    "used",
    "capacity",
    "allocatable",
    "allocatedResources",
    "overhead",
    "max",
    "min",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];
/// Fields that hold one quantity.
const SCALARS: &[&str] = &["sizeLimit", "divisor", "averageValue"];
/// Fields under which everything is text of the user, whatever its name.
const OPAQUE: &[&str] =
    &["data", "stringData", "binaryData", "labels", "annotations", "matchLabels", "parameters", "managedFields"];

/// Units of the decimal kind, as powers of a thousand.
const DECIMAL: &[(&str, i32)] =
    &[("n", -3), ("u", -2), ("m", -1), ("", 0), ("k", 1), ("M", 2), ("G", 3), ("T", 4), ("P", 5), ("E", 6)];
/// Units of the binary kind, as powers of 1024.
const BINARY: &[(&str, u32)] = &[("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];

const NANO: i128 = 1_000_000_000;

/// The value in billionths, or nothing where the text is no quantity.
pub(crate) fn nanos(text: &str) -> Option<i128> {
    parse(text).map(|(value, _)| value)
}

/// The value at a place, zero where there is none.
pub(crate) fn of(value: &Value) -> i128 {
    match value {
        Value::String(text) => nanos(text).unwrap_or(0),
        Value::Number(number) => nanos(&number.to_string()).unwrap_or(0),
        _ => 0,
    }
}

/// What a pod asks for at most at one time (`requests`) or may use (`limits`) of a resource: what its containers have
/// together, or one of its init containers beside the sidecars that are there by then.
pub(crate) fn of_pod(spec: &Value, field: &str, resource: &str) -> i128 {
    let amount = |container: &Value| of(&container["resources"][field][resource]);
    let list = |name: &str| spec[name].as_array().map_or(&[][..], Vec::as_slice);
    let (mut sidecars, mut most) = (0, 0);
    for container in list("initContainers") {
        if container["restartPolicy"] == "Always" {
            sidecars += amount(container);
            most = most.max(sidecars);
        } else {
            most = most.max(sidecars + amount(container));
        }
    }
    let together: i128 = list("containers").iter().map(amount).sum();
    let whole = &spec["resources"][field][resource];
    if whole.is_null() { most.max(together + sidecars) } else { of(whole) }
}

/// The canonical spelling of a quantity.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (value, binary) = parse(text)?;
    Some(spell(value, binary))
}

/// The spelling of a value, in units of 1024 where `binary`.
pub(crate) fn spell(value: i128, binary: bool) -> String {
    if value == 0 {
        return "0".to_owned();
    }
    if binary && value % NANO == 0 && (value / NANO).abs() >= 1024 {
        let mut whole = value / NANO;
        let mut unit = "";
        for (name, _) in BINARY {
            if whole % 1024 != 0 {
                break;
            }
            whole /= 1024;
            unit = name;
        }
        return format!("{whole}{unit}");
    }
    let mut rest = value;
    let mut unit = "n";
    for (name, _) in &DECIMAL[1..] {
        if rest % 1000 != 0 {
            break;
        }
        rest /= 1000;
        unit = name;
    }
    format!("{rest}{unit}")
}

/// Spells every quantity of an object in the canonical way; text that is none stays.
pub(crate) fn normalize(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                if OPAQUE.contains(&field.as_str()) {
                    continue;
                }
                match value {
                    Value::Object(inner) if MAPS.contains(&field.as_str()) && scalars_only(inner) => {
                        inner.values_mut().for_each(respell);
                    }
                    Value::String(_) | Value::Number(_) if SCALARS.contains(&field.as_str()) => respell(value),
                    _ => normalize(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        _ => {}
    }
}

fn scalars_only(fields: &Map<String, Value>) -> bool {
    fields.values().all(|value| matches!(value, Value::String(_) | Value::Number(_)))
}

fn respell(value: &mut Value) {
    let text = match &*value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    *value = Value::String(canonical(&text).unwrap_or(text));
}

fn parse(text: &str) -> Option<(i128, bool)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() || part.len() > 18 || whole.len() > 19 {
        return None;
    }
    if !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mantissa: i128 = format!("0{whole}{part}").parse().ok()?;
    let scale = 10_i128.pow(u32::try_from(part.len()).ok()?);
    let (factor, divisor, binary) = if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == unit) {
        (NANO.checked_mul(1024_i128.pow(*power))?, 1, true)
    } else if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == unit) {
        let thousands = 1000_i128.pow(power.unsigned_abs());
        if *power < 0 { (NANO, thousands, false) } else { (NANO.checked_mul(thousands)?, 1, false) }
    } else {
        let exponent: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok().filter(|power: &i32| power.abs() <= 18)?;
        let tens = 10_i128.pow(exponent.unsigned_abs());
        if exponent < 0 { (NANO, tens, false) } else { (NANO.checked_mul(tens)?, 1, false) }
    };
    let below = scale.checked_mul(divisor)?;
    let exact = mantissa.checked_mul(factor)?;
    let value = exact / below + i128::from(exact % below != 0);
    Some((if negative { -value } else { value }, binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_like_the_api_server() {
        for (text, expected) in [
            ("1024Mi", "1Gi"),
            ("1", "1"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1e3", "1k"),
            ("1536Mi", "1536Mi"),
            ("0", "0"),
            ("0Mi", "0"),
            ("100Mi", "100Mi"),
            ("1G", "1G"),
            ("1.5Gi", "1536Mi"),
            ("64", "64"),
            ("5000", "5k"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "Mi", "1X", "one", "1.2.3", "1e99"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn text_of_the_user_is_left_alone() {
        let mut object = serde_json::json!({"data": {"limits": {"cpu": "0.5"}}, "spec": {"limits": {"cpu": 1}}});
        normalize(&mut object);
        assert_eq!(object, serde_json::json!({"data": {"limits": {"cpu": "0.5"}}, "spec": {"limits": {"cpu": "1"}}}));
    }
}
