//! Which objects a list had, in eight bytes each: a list of millions fits into memory.

use std::collections::HashSet;

use quittance_domain::digest::short_bytes;

/// Ids that were listed. One that was not is taken for one that was once in 2^64 comparisons.
#[derive(Debug, Default)]
pub(super) struct Ids(HashSet<[u8; 8]>);

impl Ids {
    pub(super) fn add(&mut self, id: &str) {
        self.0.insert(short_bytes(&[id]));
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains(&short_bytes(&[id]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_there_and_nothing_else() {
        let mut ids = Ids::default();
        ["sub_1", "sub_2"].iter().for_each(|id| ids.add(id));
        assert!(ids.has("sub_1") && ids.has("sub_2") && !ids.has("sub_3"));
    }
}
