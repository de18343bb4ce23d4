//! Decodes the JSON bodies of version 2 of the API into the same parameters that forms give.
//!
//! `null` and an empty list mean *unset*, as an empty text does in a form.

use serde_json::Value;

use super::form::{FormError, Param, Tree};

/// Decodes a body, which is an object.
pub(crate) fn decode(raw: &[u8]) -> Result<Tree, FormError> {
    match serde_json::from_slice(raw) {
        Ok(Value::Object(fields)) => {
            Ok(fields.into_iter().map(|(name, value)| (name, param(value))).collect())
        }
        Ok(_) | Err(_) => Err(FormError::Encoding),
    }
}

fn param(value: Value) -> Param {
    match value {
        Value::Null => Param::Text(String::new()),
        Value::Bool(flag) => Param::Text(flag.to_string()),
        Value::Number(number) => Param::Text(number.to_string()),
        Value::String(text) => Param::Text(text),
        Value::Array(list) if list.is_empty() => Param::Text(String::new()),
        Value::Array(list) => Param::Tree(
            list.into_iter().enumerate().map(|(index, value)| (index.to_string(), param(value))).collect(),
        ),
        Value::Object(fields) => {
            Param::Tree(fields.into_iter().map(|(name, value)| (name, param(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::form;

    #[test]
    fn a_body_gives_what_the_same_form_gives() {
        let body = br#"{"a":"x","b":{"c":[1,true],"d":null},"e":[]}"#;
        assert_eq!(decode(body).unwrap(), form::decode(b"a=x&b[c][0]=1&b[c][1]=true&b[d]=&e=").unwrap());
        for wrong in [&b"[]"[..], b"a=1", b"", b"\xff"] {
            assert!(decode(wrong).is_err());
        }
    }
}
