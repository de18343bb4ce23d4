//! Typed ids, so that one kind can never stand where another belongs.
//!
//! Ids of ours are a prefix and 128 bits in base 32. Chance is an argument: an id is made from bytes
//! that the caller drew, or derived from what it stands for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::digest;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {reason}")]
pub struct IdError {
    /// The kind of id that was wanted, for example `customer id`.
    pub kind: &'static str,
    /// What is wrong with the text.
    pub reason: &'static str,
}

/// Crockford's alphabet in lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn base32(bytes: [u8; 16]) -> String {
    let mut number = u128::from_be_bytes(bytes);
    let mut text = [b'0'; 26];
    for slot in text.iter_mut().rev() {
        let digit = usize::try_from(number & 31).unwrap_or(0);
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
        number >>= 5;
    }
    String::from_utf8_lossy(&text).into_owned()
}

macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// What each id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from 128 random bits that the caller drew.
            #[must_use]
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(format!("{}{}", $prefix, base32(bytes)))
            }

            /// The id that always belongs to these parts: the same wish gives the same id.
            #[must_use]
            pub fn derived(parts: &[&str]) -> Self {
                let mut bytes = [0_u8; 16];
                for (to, from) in bytes.iter_mut().zip(digest(parts)) {
                    *to = from;
                }
                Self::from_random(bytes)
            }

            /// Reads an id back.
            ///
            /// # Errors
            /// When the prefix, the length or a character is not that of this kind of id.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let rest = text.strip_prefix($prefix).ok_or(IdError {
                    kind: $kind,
                    reason: concat!("must start with ", $prefix),
                })?;
                if rest.len() != 26 || !rest.bytes().all(|b| ALPHABET.contains(&b)) {
                    return Err(IdError { kind: $kind, reason: "is not one that Quittance gave out" });
                }
                Ok(Self(text.to_owned()))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

own_id!(
    /// A checkout that we opened (ours, not the provider's session).
    CheckoutId, "chk_", "checkout id"
);
own_id!(
    /// A change that we ask a provider to make.
    CommandId, "cmd_", "command id"
);
own_id!(
    /// What a change was said to cost.
    QuoteId, "qt_", "quote id"
);
own_id!(
    /// A feature or plan that an operator gave by hand.
    GrantId, "grt_", "grant id"
);
own_id!(
    /// An API key's public id (never the key itself).
    ApiKeyId, "key_", "API key id"
);
own_id!(
    /// A change that the app is told of.
    AppEventId, "aev_", "app event id"
);
own_id!(
    /// An address of the app that is told of changes.
    WebhookEndpointId, "whe_", "webhook endpoint id"
);
own_id!(
    /// The token of one lease: the fence of engine.md section 3.
    LeaseToken, "lea_", "lease token"
);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Most bytes that such a name may have.
            pub const MAX_LEN: usize = $max;

            /// Checks and takes a text.
            ///
            /// # Errors
            /// When it is empty, too long, or has a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if text.is_empty() {
                    return Err(IdError { kind: $kind, reason: "must not be empty" });
                }
                if text.len() > $max {
                    return Err(IdError { kind: $kind, reason: concat!("must have at most ", $max, " bytes") });
                }
                let valid: fn(char) -> bool = $valid;
                if !text.chars().all(valid) {
                    return Err(IdError { kind: $kind, reason: "has a character that is not allowed" });
                }
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.to_string()
            }
        }

        impl From<$name> for std::sync::Arc<str> {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_id!(
    /// The app's own id of its user, team or account. At most 200 bytes, no control characters, no
    /// spaces, no slashes (it stands in paths and in provider metadata).
    CustomerId, "customer id", 200,
    |c| !c.is_control() && !c.is_whitespace() && c != '/' && c != '\\'
);
name_id!(
    /// A plan's key in the catalog, for example `pro`.
    PlanKey, "plan key", 64,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
);
name_id!(
    /// A group of plans of which a customer has at most one at a time.
    PlanGroup, "plan group", 64,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
);
name_id!(
    /// A promotion's key in the catalog, for example `welcome`.
    PromotionKey, "promotion key", 64,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
);
name_id!(
    /// The key of a way to the customer in the catalog, for example an agency.
    ChannelKey, "channel key", 64,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-'
);
name_id!(
    /// A feature's key in the catalog, for example `article:full`.
    FeatureKey, "feature key", 80,
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | ':' | '.')
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ids_round_trip_and_refuse_other_kinds() {
        let id = CheckoutId::from_random([7; 16]);
        assert_eq!(CheckoutId::parse(id.as_str()), Ok(id.clone()));
        assert!(CommandId::parse(id.as_str()).is_err());
        assert!(CheckoutId::parse("chk_short").is_err());
        assert!(CheckoutId::parse("chk_iiiiiiiiiiiiiiiiiiiiiiiiii").is_err());
    }

    #[test]
    fn derived_ids_follow_their_parts() {
        assert_eq!(CheckoutId::derived(&["a", "b"]), CheckoutId::derived(&["a", "b"]));
        assert_ne!(CheckoutId::derived(&["a", "b"]), CheckoutId::derived(&["ab"]));
        assert_ne!(CheckoutId::from_random([0; 16]), CheckoutId::from_random([1; 16]));
    }

    #[test]
    fn customer_ids_take_what_apps_use_and_refuse_what_breaks_paths() {
        for good in ["u_1", "ada@example.com", "team:42", "日本", "A-b.c~d"] {
            assert!(CustomerId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "a\\b", "a\nb", &"x".repeat(201)] {
            assert!(CustomerId::parse(bad).is_err(), "{bad}");
        }
    }
}
