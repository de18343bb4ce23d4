//! The versions of the API: which names there are, and which of them the sandbox plays.
//!
//! Everything inside is of the newest version. Older ones differ only at the door and in webhooks: requests are made new
//! by the table in [`requests`], answers and events are made old by the one in [`changes`].

pub(crate) mod changes;
pub(crate) mod removed;
pub(crate) mod requests;

use std::sync::LazyLock;

use crate::wire::error::{ApiError, ApiResult};

/// All names that the provider has given to versions, oldest first; a version is its place in this list.
static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("names.txt").lines().collect());

/// The version that is played, and the one of requests that name none.
pub(crate) const NEWEST: &str = "2026-10-28.endive";
/// Versions before this one are refused: their shapes are not known here.
const OLDEST: &str = "2024-06-20";

/// A version of the API. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(usize);

impl Version {
    /// The version with this name, where there is one.
    fn named(name: &str) -> Option<Self> {
        NAMES.iter().position(|known| *known == name).map(Self)
    }

    /// The version that is played.
    pub(crate) fn newest() -> Self {
        Self(NAMES.len().saturating_sub(1))
    }

    /// Its name, such as `2026-10-28.endive`.
    pub(crate) fn name(self) -> &'static str {
        NAMES.get(self.0).copied().unwrap_or(NEWEST)
    }

    /// The version that a request or an endpoint asks for; the newest when it asks for none. A name that the provider
    /// never gave is refused in its words, one from before the oldest that is played in the sandbox's own.
    pub(crate) fn read(name: Option<&str>) -> ApiResult<Self> {
        let Some(name) = name else {
            return Ok(Self::newest());
        };
        let version =
            Self::named(name).ok_or_else(|| ApiError::rule(format!("Invalid Stripe API version: {name}")))?;
        if Self::named(OLDEST).is_some_and(|oldest| version < oldest) {
            return Err(ApiError::unplayed_version(name, OLDEST));
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_end_with_the_one_that_is_played() {
        assert_eq!(Version::newest().name(), NEWEST);
        assert!(NAMES.is_sorted());
        assert!(Version::read(Some("2025-03-31.basil")).unwrap() < Version::newest());
    }
}
