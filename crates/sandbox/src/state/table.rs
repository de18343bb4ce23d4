//! A table of objects in order of creation, found by id and by customer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::lag::{Lag, Lags};

/// An object that a [`Table`] can hold.
pub(crate) trait Stored: Clone {
    /// What errors call it: `customer` in "No such customer".
    const LABEL: &'static str;
    /// Whether objects of this kind can be searched.
    const SEARCHED: bool = false;
    /// Its id.
    fn id(&self) -> &str;
    /// When it was created, in unix seconds.
    fn created(&self) -> i64;
    /// The customer that it belongs to.
    fn customer(&self) -> Option<&str> {
        None
    }
}

/// Objects in order of creation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    from = "Written<T>",
    into = "Written<T>",
    bound(serialize = "T: Stored + Serialize", deserialize = "T: Stored + Deserialize<'de>")
)]
pub(crate) struct Table<T> {
    rows: BTreeMap<u64, T>,
    places: HashMap<String, u64>,
    by_customer: HashMap<String, BTreeSet<u64>>,
    next: u64,
    lags: Lags<T>,
}

/// A table as a snapshot has it: the objects with their places, the place of the next one, and what searches miss.
#[derive(Serialize, Deserialize)]
struct Written<T> {
    next: u64,
    rows: Vec<(u64, T)>,
    lagging: Vec<(u64, Lag<T>)>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            places: HashMap::new(),
            by_customer: HashMap::new(),
            next: 0,
            lags: Lags::default(),
        }
    }
}

impl<T: Stored> From<Written<T>> for Table<T> {
    fn from(written: Written<T>) -> Self {
        let mut table = Self::default();
        for (place, row) in written.rows {
            table.next = place;
            table.put(row);
        }
        table.next = table.next.max(written.next);
        table.lags = Lags::from_list(written.lagging);
        table
    }
}

impl<T: Stored> From<Table<T>> for Written<T> {
    fn from(table: Table<T>) -> Self {
        Self { next: table.next, rows: table.rows.into_iter().collect(), lagging: table.lags.into_list() }
    }
}

impl<T: Stored> Table<T> {
    /// Finds an object.
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.places.get(id).and_then(|place| self.rows.get(place))
    }

    /// Inserts an object, or replaces the one with its id.
    pub(crate) fn put(&mut self, row: T) {
        let place = self.places.get(row.id()).copied().unwrap_or(self.next);
        if place == self.next {
            self.next += 1;
            self.places.insert(row.id().to_owned(), place);
        }
        let old_customer = self.rows.get(&place).and_then(|old| old.customer().map(str::to_owned));
        if old_customer.as_deref() != row.customer() {
            if let Some(set) = old_customer.and_then(|customer| self.by_customer.get_mut(&customer)) {
                set.remove(&place);
            }
            if let Some(customer) = row.customer() {
                self.by_customer.entry(customer.to_owned()).or_default().insert(place);
            }
        }
        let before = self.rows.insert(place, row);
        if T::SEARCHED {
            self.lags.change(place, before);
        }
    }

    /// Removes an object.
    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        let place = self.places.remove(id)?;
        let row = self.rows.remove(&place)?;
        self.lags.forget(place);
        if let Some(set) = row.customer().and_then(|customer| self.by_customer.get_mut(customer)) {
            set.remove(&place);
        }
        Some(row)
    }

    /// Changes an object in place, where it exists. The change must not touch id or customer.
    pub(crate) fn edit(&mut self, id: &str, change: impl FnOnce(&mut T)) {
        let Some(place) = self.places.get(id).copied() else {
            return;
        };
        if let Some(row) = self.rows.get_mut(&place) {
            if T::SEARCHED && self.lags.wants(place) {
                self.lags.change(place, Some(row.clone()));
            }
            change(row);
        }
    }

    /// The place of an object in the order of creation.
    pub(crate) fn place(&self, id: &str) -> Option<u64> {
        self.places.get(id).copied()
    }

    /// Says that the changes made so far are of this instant; searches see them when `seen_until` has reached it.
    pub(crate) fn note_changes(&mut self, now: i64, seen_until: i64) {
        self.lags.note(now, seen_until);
    }

    /// All objects with their places, oldest first, as a search sees them that knows the changes up to an instant.
    pub(crate) fn rows_seen(&self, seen_until: i64) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.rows
            .iter()
            .filter_map(move |(place, row)| self.lags.seen(*place, row, seen_until).map(|row| (*place, row)))
    }

    /// All objects with their places, oldest first.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.rows.iter().map(|(place, row)| (*place, row))
    }

    /// All objects, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.rows.values()
    }

    /// A customer's objects with their places, oldest first.
    pub(crate) fn rows_of(&self, customer: &str) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        let places = self.by_customer.get(customer).into_iter().flatten();
        places.filter_map(|place| self.rows.get(place).map(|row| (*place, row)))
    }

    /// A customer's objects, oldest first.
    pub(crate) fn of(&self, customer: &str) -> impl DoubleEndedIterator<Item = &T> {
        self.rows_of(customer).map(|(_, row)| row)
    }

    /// The oldest object.
    pub(crate) fn first(&self) -> Option<&T> {
        self.rows.values().next()
    }

    /// How many objects there have been, removed ones included.
    pub(crate) fn made(&self) -> u64 {
        self.next
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}
