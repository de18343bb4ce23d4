//! What copies of the entitlements elsewhere go by: a mark of what the catalog gives, and cursors into the changes.

use std::fmt;

use crate::catalog::{Catalog, Limit};
use crate::digest::short_hex;

/// A mark of everything in a catalog that decides about features: another mark means that the same holdings may give
/// something else.
#[must_use]
pub fn catalog_mark(catalog: &Catalog) -> String {
    let mut parts: Vec<String> = Vec::new();
    for plan in catalog.plans() {
        parts.push(format!("{}{}", plan.key, if plan.free { " free" } else { "" }));
        for (feature, limit) in plan.features.iter() {
            let limit = match limit {
                Limit::Unlimited => "unlimited".to_owned(),
                Limit::Fixed(most) => most.to_string(),
                Limit::PerUnit(each) => format!("{each} each"),
            };
            parts.push(format!("{feature}={limit}"));
        }
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut mark = short_hex(&parts);
    mark.truncate(12);
    mark
}

/// How far a copy has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cursor {
    /// Within the snapshot that goes with position `since`: everything up to this customer was sent.
    Snapshot {
        /// The position from which changes follow after the snapshot.
        since: i64,
        /// The customer sent last.
        after: String,
    },
    /// Everything up to this position was sent.
    At(i64),
}

/// A cursor together with what it is valid for: another database or catalog begins another epoch, in which it means
/// nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked<'a> {
    /// The epoch.
    pub epoch: &'a str,
    /// The cursor.
    pub cursor: &'a Cursor,
}

impl fmt::Display for Marked<'_> {
    /// Letters, digits and points only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cursor {
            Cursor::At(position) => write!(f, "{}.{position}", self.epoch),
            Cursor::Snapshot { since, after } => {
                write!(f, "{}.{since}.{}", self.epoch, hex::encode(after))
            }
        }
    }
}

impl Cursor {
    /// Reads a cursor of this epoch; `None` for any other text, whose holder must begin anew.
    #[must_use]
    pub fn read(text: &str, epoch: &str) -> Option<Self> {
        let rest = text.strip_prefix(epoch)?.strip_prefix('.')?;
        let (position, after) = match rest.split_once('.') {
            None => (rest, None),
            Some((position, after)) => (position, Some(after)),
        };
        let position: i64 = position.parse().ok().filter(|position| *position >= 0)?;
        Some(match after {
            None => Self::At(position),
            Some(after) => {
                Self::Snapshot { since: position, after: String::from_utf8(hex::decode(after).ok()?).ok()? }
            }
        })
    }

    /// The position from which changes are not yet sent.
    #[must_use]
    pub const fn position(&self) -> i64 {
        match self {
            Self::Snapshot { since, .. } => *since,
            Self::At(position) => *position,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_in_its_epoch_only() {
        let after = "user.4 日本";
        for cursor in [Cursor::At(0), Cursor::At(7), Cursor::Snapshot { since: 9, after: after.into() }] {
            let text = Marked { epoch: "e1", cursor: &cursor }.to_string();
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'), "{text}");
            assert_eq!(Cursor::read(&text, "e1"), Some(cursor));
            assert_eq!(Cursor::read(&text, "e2"), None);
            assert_eq!(Cursor::read(&text, "e"), None);
        }
        for odd in ["", "e1", "e1.", "e1.-1", "e1.x", "e1.1.zz", "e1.1.2.3", "e1.99999999999999999999"] {
            assert_eq!(Cursor::read(odd, "e1"), None, "{odd}");
        }
    }

    #[test]
    fn the_mark_follows_what_plans_give_and_nothing_else() {
        let text = |limit: &str, amount: i64| {
            format!(
                "[[feature]]\nkey = \"seats\"\nname = {{ en = \"Seats\", ja = \"席\" }}\n\
                 [[plan]]\nkey = \"pro\"\ngroup = \"main\"\nname = {{ en = \"Pro\", ja = \"プロ\" }}\n\
                 features = {{ seats = {limit} }}\n\
                 price = [{{ interval = \"month\", currency = \"jpy\", amount = {amount} }}]\n"
            )
        };
        let mark = |text: String| Catalog::parse(&text).map(|catalog| catalog_mark(&catalog)).unwrap();
        assert_eq!(mark(text("3", 100)), mark(text("3", 200)));
        assert_ne!(mark(text("3", 100)), mark(text("4", 100)));
    }
}
