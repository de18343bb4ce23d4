//! JSON that is kept for long and seldom read: as text, which takes a fraction of the memory of a tree.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A value as text. In snapshots it is the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed(Box<str>);

impl From<&Value> for Packed {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Packed {
    /// The value.
    pub(crate) fn value(&self) -> Value {
        // It was written from a value, so it can be read.
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Self::from(&value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_packed_value_comes_back_and_is_itself_in_snapshots() {
        let value =
            json!({ "b": [1, null, "ü\"\n"], "a": { "rate": 8.875, "big": i64::MAX, "low": i64::MIN } });
        let packed = Packed::from(&value);
        assert_eq!(packed.value(), value);
        let written = serde_json::to_value(&packed).unwrap();
        assert_eq!(written, value);
        assert_eq!(serde_json::from_value::<Packed>(written).unwrap(), packed);
    }
}
