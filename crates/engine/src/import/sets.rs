//! Whether two sides have the same objects, and not only as many: a set that forgets its members and still tells itself from another.

use quittance_domain::digest::short_bytes;
use serde::{Deserialize, Serialize};

/// Ids, in whatever order they came: how many, and the sum of their digests. Two sets that differ have the same sum once in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct IdSet {
    pub(super) count: u64,
    sum: u64,
}

impl IdSet {
    pub(super) fn add(&mut self, id: &str) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(u64::from_be_bytes(short_bytes(&[id])));
    }

    /// Both sets' members; each is in one of them.
    pub(super) const fn join(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &[&str]) -> IdSet {
        let mut set = IdSet::default();
        ids.iter().for_each(|id| set.add(id));
        set
    }

    #[test]
    fn the_same_ids_in_any_order_are_one_set_and_others_are_not() {
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "a", "b"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]), "as many, and others");
        assert_ne!(of(&["a"]), of(&["a", "a"]));
        let mut joined = of(&["a"]);
        joined.join(of(&["b"]));
        assert_eq!(joined, of(&["a", "b"]));
    }
}
