//! What a search does not see yet: objects as they were before their last changes.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Lagging objects by their places in a table.
#[derive(Debug, Clone)]
pub(crate) struct Lags<T> {
    lags: BTreeMap<u64, Lag<T>>,
    /// Changed since the changes were last noted.
    fresh: Vec<u64>,
    /// Times of changes with their places, in the order in which they become visible.
    order: VecDeque<(i64, u64)>,
}

/// An object that lags: what is seen of it (nothing, when it is new), and when it changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Lag<T> {
    shown: Option<T>,
    at: i64,
    /// What it was before it changed, as long as the change was not noted.
    #[serde(skip, default = "Option::default")]
    former: Option<Former<T>>,
}

#[derive(Debug, Clone)]
struct Former<T>(Option<T>);

impl<T> Default for Lags<T> {
    fn default() -> Self {
        Self { lags: BTreeMap::new(), fresh: Vec::new(), order: VecDeque::new() }
    }
}

impl<T> Lags<T> {
    /// Whether the next change of an object needs what it was before.
    pub(crate) fn wants(&self, place: u64) -> bool {
        self.lags.get(&place).is_none_or(|lag| lag.former.is_none())
    }

    /// An object changes, or is new.
    pub(crate) fn change(&mut self, place: u64, before: Option<T>) {
        if !self.wants(place) {
            return;
        }
        let lag = self.lags.entry(place).or_insert(Lag { shown: None, at: i64::MIN, former: None });
        lag.former = Some(Former(before));
        self.fresh.push(place);
    }

    /// Notes the changes made so far as changes of this instant, and forgets those that are visible at `seen_until`.
    pub(crate) fn note(&mut self, now: i64, seen_until: i64) {
        for place in std::mem::take(&mut self.fresh) {
            let Some(lag) = self.lags.get_mut(&place) else { continue };
            if let Some(Former(before)) = lag.former.take()
                && lag.at <= seen_until
            {
                lag.shown = before;
            }
            lag.at = now;
            self.order.push_back((now, place));
        }
        while let Some((at, place)) = self.order.front().copied().filter(|(at, _)| *at <= seen_until) {
            self.order.pop_front();
            if self.lags.get(&place).is_some_and(|lag| lag.at == at && lag.former.is_none()) {
                self.lags.remove(&place);
            }
        }
    }

    /// An object is gone.
    pub(crate) fn forget(&mut self, place: u64) {
        self.lags.remove(&place);
    }

    /// What is seen of an object: itself, what it was, or nothing.
    pub(crate) fn seen<'a>(&'a self, place: u64, row: &'a T, seen_until: i64) -> Option<&'a T> {
        match self.lags.get(&place) {
            Some(lag) if lag.at > seen_until => lag.shown.as_ref(),
            _ => Some(row),
        }
    }

    /// The lagging objects, for a snapshot.
    pub(crate) fn into_list(self) -> Vec<(u64, Lag<T>)> {
        self.lags.into_iter().collect()
    }

    /// The lagging objects of a snapshot.
    pub(crate) fn from_list(list: Vec<(u64, Lag<T>)>) -> Self {
        let mut order: Vec<(i64, u64)> = list.iter().map(|(place, lag)| (lag.at, *place)).collect();
        order.sort_unstable();
        Self { lags: list.into_iter().collect(), fresh: Vec::new(), order: order.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_after_its_delay_and_not_before() {
        let mut lags: Lags<&str> = Lags::default();
        lags.change(1, None);
        lags.note(100, 80);
        assert_eq!(lags.seen(1, &"a", 119 - 20), None);
        assert_eq!(lags.seen(1, &"a", 120 - 20), Some(&"a"));
        lags.change(1, Some("a"));
        lags.change(1, Some("b"));
        lags.note(200, 180);
        assert_eq!(lags.seen(1, &"c", 199), Some(&"a"), "the first of two changes at once counts");
        lags.change(1, Some("c"));
        lags.note(210, 190);
        assert_eq!(lags.seen(1, &"d", 209), Some(&"a"), "a change on its way is not seen halfway");
        lags.note(300, 280);
        assert_eq!((lags.lags.len(), lags.order.len()), (0, 0), "nothing is kept for ever");
        assert_eq!(lags.seen(1, &"d", 280), Some(&"d"));
    }
}
