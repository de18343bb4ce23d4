//! A configured secret: read once, never shown, not even in a printed configuration.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that no output repeats. Printed, it keeps its kind (`sk_test_`, `whsec_`) and hides the rest.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// For the crates that take it.
    #[must_use]
    pub fn to_secret(&self) -> SecretString {
        self.0.clone()
    }

    /// What may be shown: the prefix that names its kind.
    #[must_use]
    pub fn shown(&self) -> String {
        const KINDS: [&str; 6] = ["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "qk_"];
        let text = self.expose();
        if text.is_empty() {
            return String::new();
        }
        let kind = KINDS.into_iter().find(|kind| text.starts_with(kind)).unwrap_or_default();
        format!("{kind}(hidden)")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.expose().as_bytes(), other.expose().as_bytes()).into()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
