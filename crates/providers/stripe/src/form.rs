//! Builds the bodies and query strings of Stripe's v1 API: `application/x-www-form-urlencoded` with bracketed keys.
//!
//! `items[0][price]=p&metadata[a]=%C3%A9`; booleans are `true`/`false`, times are Unix seconds, and an empty string means *unset*.
//! It does not know which parameters a call has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// An ordered list of parameters, already percent-encoded. Keys are fixed words and indexes of ours; only values and
/// [`Metadata`] keys come from outside.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    encoded: String,
}

impl std::fmt::Debug for Form {
    /// Shows the keys only: the values can hold an e-mail address or a name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.encoded.split('&').filter_map(|pair| pair.split('=').next());
        f.debug_list().entries(keys.filter(|key| !key.is_empty())).finish()
    }
}

impl Form {
    /// An empty form.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text value.
    #[must_use]
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.push(key, value);
        self
    }

    /// Adds a text value when there is one.
    #[must_use]
    pub fn text_if(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// Adds a whole number: an amount in minor units, a quantity or Unix seconds.
    #[must_use]
    pub fn int(self, key: &str, value: i64) -> Self {
        self.text(key, &value.to_string())
    }

    /// Adds a whole number when there is one.
    #[must_use]
    pub fn int_if(self, key: &str, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.int(key, value),
            None => self,
        }
    }

    /// Adds `true` or `false`.
    #[must_use]
    pub fn flag(self, key: &str, value: bool) -> Self {
        self.text(key, if value { "true" } else { "false" })
    }

    /// Adds `true` or `false` when it is known.
    #[must_use]
    pub fn flag_if(self, key: &str, value: Option<bool>) -> Self {
        match value {
            Some(value) => self.flag(key, value),
            None => self,
        }
    }

    /// Unsets a parameter at Stripe (what the official libraries send for null).
    #[must_use]
    pub fn unset(self, key: &str) -> Self {
        self.text(key, "")
    }

    /// Adds an indexed list: `key[0]=a&key[1]=b`.
    #[must_use]
    pub fn list<'v>(mut self, key: &str, values: impl IntoIterator<Item = &'v str>) -> Self {
        for (index, value) in values.into_iter().enumerate() {
            self.push(&format!("{key}[{index}]"), value);
        }
        self
    }

    /// Adds metadata under `key`, for example `metadata` or `subscription_data[metadata]`.
    #[must_use]
    pub fn metadata(mut self, key: &str, metadata: &Metadata) -> Self {
        for (name, value) in &metadata.entries {
            self.push(&format!("{key}[{name}]"), value);
        }
        self
    }

    /// True when nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// The encoded text, as body or as query string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.encoded
    }

    fn push(&mut self, key: &str, value: &str) {
        if !self.encoded.is_empty() {
            self.encoded.push('&');
        }
        percent_encode(&mut self.encoded, key, b"[]");
        self.encoded.push('=');
        percent_encode(&mut self.encoded, value, b"");
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters and those in `keep`.
pub(crate) fn percent_encode(out: &mut String, text: &str, keep: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Metadata within Stripe's limits: at most 50 keys of at most 40 characters without brackets, values of at most 500.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: BTreeMap<String, String>,
}

/// Why a metadata entry was refused. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The key is empty, too long or holds brackets.
    #[error("the metadata key {0:?} must have 1 to 40 characters and no square brackets")]
    Key(String),
    /// The value is too long; its text is not repeated here.
    #[error("the value of metadata key {0:?} must have at most 500 characters")]
    Value(String),
    /// There are more than 50 keys.
    #[error("there can be at most 50 metadata keys")]
    TooMany,
}

impl Metadata {
    /// No entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces one entry. An empty value deletes the key at Stripe.
    ///
    /// # Errors
    /// [`MetadataError`] when the entry is outside Stripe's limits.
    pub fn with(mut self, key: &str, value: &str) -> Result<Self, MetadataError> {
        let bad_key = key.is_empty() || key.chars().count() > 40 || key.contains(['[', ']']);
        if bad_key {
            return Err(MetadataError::Key(key.chars().take(60).collect()));
        }
        if value.chars().count() > 500 {
            return Err(MetadataError::Value(key.to_owned()));
        }
        if self.entries.len() >= 50 && !self.entries.contains_key(key) {
            return Err(MetadataError::TooMany);
        }
        self.entries.insert(key.to_owned(), value.to_owned());
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encodes_what_the_official_libraries_encode() {
        let form = Form::new()
            .text("items[0][price]", "p")
            .int("items[0][quantity]", 2)
            .metadata("metadata", &Metadata::new().with("a", "é").unwrap().with("b", "").unwrap())
            .flag("cancel_at_period_end", false)
            .text("discounts[0][coupon]", "c")
            .list("expand", ["latest_invoice.confirmation_secret"]);
        assert_eq!(
            form.as_str(),
            "items[0][price]=p&items[0][quantity]=2&metadata[a]=%C3%A9&metadata[b]=&cancel_at_period_end=false\
             &discounts[0][coupon]=c&expand[0]=latest_invoice.confirmation_secret"
        );
    }

    #[test]
    fn unset_sends_an_empty_value_and_none_sends_nothing() {
        let form = Form::new().unset("cancel_at").text_if("a", None).int_if("b", None).flag_if("c", None);
        assert_eq!(form.as_str(), "cancel_at=");
        assert!(Form::new().is_empty());
    }

    #[test]
    fn reserved_characters_are_encoded() {
        let form = Form::new().text("success_url", "https://a.b/c?x={CHECKOUT_SESSION_ID}&y=1 2+3");
        assert_eq!(
            form.as_str(),
            "success_url=https%3A%2F%2Fa.b%2Fc%3Fx%3D%7BCHECKOUT_SESSION_ID%7D%26y%3D1%202%2B3"
        );
    }

    #[test]
    fn metadata_keeps_stripes_limits() {
        for key in ["", "a[b]", "a]", &"k".repeat(41)] {
            assert!(matches!(Metadata::new().with(key, "v"), Err(MetadataError::Key(_))), "{key}");
        }
        assert!(Metadata::new().with(&"k".repeat(40), &"v".repeat(500)).is_ok());
        assert_eq!(Metadata::new().with("k", &"v".repeat(501)), Err(MetadataError::Value("k".into())));
        let full = (0..50).try_fold(Metadata::new(), |m, i| m.with(&format!("k{i}"), "v")).unwrap();
        assert_eq!(full.clone().with("one more", "v"), Err(MetadataError::TooMany));
        assert!(full.with("k7", "replaced").is_ok());
    }

    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", Form::new().text("email", "jane@example.com").text("name", "Jane"));
        assert_eq!(shown, r#"["email", "name"]"#);
    }

    proptest! {
        #[test]
        fn no_value_can_add_a_parameter(value in ".{0,80}") {
            let form = Form::new().text("a", &value);
            prop_assert!(form.as_str().starts_with("a="));
            prop_assert!(!form.as_str()[2..].contains(['&', '=', '[', '#', '?', ' ', '\n']));
        }

        #[test]
        fn no_metadata_key_can_add_a_parameter(key in ".{1,40}", value in ".{0,20}") {
            if let Ok(metadata) = Metadata::new().with(&key, &value) {
                let form = Form::new().metadata("metadata", &metadata);
                prop_assert_eq!(form.as_str().matches('=').count(), 1);
                prop_assert_eq!(form.as_str().matches('&').count(), 0);
                prop_assert_eq!(form.as_str().matches('[').count(), 1);
            }
        }
    }
}
