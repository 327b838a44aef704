//! Scalars beside those of the specification. `DateTime` (RFC 3339, UTC), `JSON` and `Cursor` are defined elsewhere.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// A number of bytes: an integer that is not negative and may be larger than 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteCount(pub u64);

/// A quantity as Kubernetes writes it, such as `250m` or `512Mi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity(pub ropeway_domain::Quantity);

/// A number of bytes: an integer that is not negative and may be larger than 32 bits.
#[Scalar]
impl ScalarType for ByteCount {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => match number.as_u64() {
                Some(bytes) => Ok(Self(bytes)),
                None => Err(InputValueError::custom("a number of bytes is an integer that is not negative")),
            },
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.into())
    }
}

/// A quantity as Kubernetes writes it, such as `250m` or `512Mi`.
#[Scalar]
impl ScalarType for Quantity {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if text.len() <= 64 => {
                text.parse().map(Self).map_err(|_| InputValueError::custom("this is no quantity; write 250m or 512Mi"))
            }
            Value::String(_) => Err(InputValueError::custom("a quantity has at most 64 characters")),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<u64> for ByteCount {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl From<ropeway_domain::Quantity> for Quantity {
    fn from(quantity: ropeway_domain::Quantity) -> Self {
        Self(quantity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_beyond_32_bits_come_back_as_they_went() {
        let bytes = ByteCount(20 << 30);
        assert_eq!(ByteCount::parse(bytes.to_value()).unwrap(), bytes);
        assert!(ByteCount::parse(Value::from(-1)).is_err());
        assert!(ByteCount::parse(Value::from("1")).is_err());
    }

    #[test]
    fn only_quantities_are_quantities() {
        assert_eq!(Quantity::parse(Value::from("512Mi")).unwrap().to_value(), Value::from("512Mi"));
        for bad in ["", "much", "1 GiB"] {
            assert!(Quantity::parse(Value::from(bad)).is_err(), "{bad}");
        }
    }
}
