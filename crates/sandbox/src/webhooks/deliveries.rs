//! The deliveries that are still to be made, found by when they are due, by their id and by their event.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::model::event::Form;

/// A delivery that waits or is under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) form: Form,
    pub(crate) endpoint: String,
    /// How many attempts have failed.
    pub(crate) attempt: usize,
    /// When it is due, in unix seconds.
    pub(crate) due: i64,
    /// Asked for by hand: passes a pause.
    pub(crate) by_hand: bool,
    pub(crate) concurrently: bool,
}

/// Deliveries in the order in which they were queued. What is written out waits again when it is read back: nobody will
/// report on what was under way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Queued>", into = "Vec<Queued>")]
pub(crate) struct Deliveries {
    rows: BTreeMap<u64, Queued>,
    places: HashMap<String, u64>,
    of_event: HashMap<String, BTreeSet<u64>>,
    /// Not under way, in the order in which they fall due.
    waiting: BTreeSet<(i64, u64)>,
    /// Those of them that pass a pause.
    by_hand: BTreeSet<(i64, u64)>,
    next: u64,
}

impl From<Vec<Queued>> for Deliveries {
    fn from(list: Vec<Queued>) -> Self {
        let mut deliveries = Self::default();
        for queued in list {
            deliveries.push(queued);
        }
        deliveries
    }
}

impl From<Deliveries> for Vec<Queued> {
    fn from(deliveries: Deliveries) -> Self {
        deliveries.rows.into_values().collect()
    }
}

impl Deliveries {
    /// Adds a delivery that waits.
    pub(crate) fn push(&mut self, queued: Queued) {
        let place = self.next;
        self.next += 1;
        self.waiting.insert((queued.due, place));
        if queued.by_hand {
            self.by_hand.insert((queued.due, place));
        }
        self.places.insert(queued.id.clone(), place);
        self.of_event.entry(queued.event.clone()).or_default().insert(place);
        self.rows.insert(place, queued);
    }

    fn open(&self, paused: bool) -> &BTreeSet<(i64, u64)> {
        if paused { &self.by_hand } else { &self.waiting }
    }

    /// The deliveries that are due, which are under way from now on.
    pub(crate) fn take_due(&mut self, now: i64, paused: bool) -> Vec<Queued> {
        let due: Vec<(i64, u64)> = self.open(paused).range(..=(now, u64::MAX)).copied().collect();
        for entry in &due {
            self.waiting.remove(entry);
            self.by_hand.remove(entry);
        }
        due.iter().filter_map(|(_, place)| self.rows.get(place).cloned()).collect()
    }

    /// Takes a delivery out, whether it waits or is under way.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Queued> {
        let place = self.places.remove(id)?;
        let queued = self.rows.remove(&place)?;
        self.waiting.remove(&(queued.due, place));
        self.by_hand.remove(&(queued.due, place));
        if let Some(places) = self.of_event.get_mut(&queued.event) {
            places.remove(&place);
            if places.is_empty() {
                self.of_event.remove(&queued.event);
            }
        }
        Some(queued)
    }

    /// Takes out everything that waits for an endpoint. What is under way stays until its outcome is known.
    pub(crate) fn remove_waiting(&mut self, endpoint: &str) -> Vec<Queued> {
        let waits = |entry: &(u64, &Queued)| self.waiting.contains(&(entry.1.due, entry.0));
        let of_endpoint = self.rows.iter().map(|(place, queued)| (*place, queued)).filter(waits);
        let ids: Vec<String> = of_endpoint
            .filter(|(_, queued)| queued.endpoint == endpoint)
            .map(|(_, queued)| queued.id.clone())
            .collect();
        ids.iter().filter_map(|id| self.remove(id)).collect()
    }

    /// When the next one is due that nobody has taken.
    pub(crate) fn next_due(&self, paused: bool) -> Option<i64> {
        self.open(paused).first().map(|(due, _)| *due)
    }

    /// When the next attempt to deliver an event to an endpoint is due.
    pub(crate) fn next_attempt(&self, event: &str, endpoint: &str) -> Option<i64> {
        let places = self.of_event.get(event)?;
        let queued = places.iter().filter_map(|place| self.rows.get(place).map(|queued| (*place, queued)));
        queued
            .filter(|(place, queued)| {
                queued.endpoint == endpoint && self.waiting.contains(&(queued.due, *place))
            })
            .map(|(_, queued)| queued.due)
            .min()
    }

    /// How many there are, those under way included.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(id: &str, endpoint: &str, due: i64, by_hand: bool) -> Queued {
        Queued {
            id: id.to_owned(),
            event: format!("evt_{id}"),
            form: Form::Snapshot,
            endpoint: endpoint.to_owned(),
            attempt: 0,
            due,
            by_hand,
            concurrently: false,
        }
    }

    #[test]
    fn what_is_due_is_taken_once_and_in_order() {
        let mut all = Deliveries::default();
        for (id, due, by_hand) in [("a", 20, false), ("b", 10, false), ("c", 10, true), ("d", 30, false)] {
            all.push(queued(id, "we", due, by_hand));
        }
        let ids = |due: Vec<Queued>| due.into_iter().map(|queued| queued.id).collect::<Vec<_>>();
        assert_eq!((all.next_due(false), all.next_due(true)), (Some(10), Some(10)));
        assert_eq!(ids(all.take_due(9, false)), Vec::<String>::new());
        assert_eq!(ids(all.take_due(20, true)), ["c"], "only what was asked for by hand");
        assert_eq!(ids(all.take_due(20, false)), ["b", "a"]);
        assert_eq!(ids(all.take_due(20, false)), Vec::<String>::new());
        assert_eq!((all.len(), all.next_due(false)), (4, Some(30)));
        assert_eq!(all.remove("b").map(|queued| queued.due), Some(10));
        assert!(all.remove("b").is_none());
        assert_eq!((all.next_attempt("evt_d", "we"), all.next_attempt("evt_a", "we")), (Some(30), None));
        let written: Vec<Queued> = all.clone().into();
        assert_eq!(ids(Deliveries::from(written).take_due(20, false)), ["c", "a"], "they wait again");
        assert_eq!(ids(all.remove_waiting("we")), ["d"]);
        assert_eq!((all.len(), all.next_due(false)), (2, None));
    }
}
