//! The books of each account: one set is open at a time, the others are put away.
//!
//! Objects, timers and test clocks belong to one set of books. The account's own time, chance, settings, faults,
//! idempotency keys, events and their deliveries belong to the sandbox: they stay with whichever books are open. Books
//! that are put away while a test clock is at work keep it there, and others always open at the own time.

use std::collections::BTreeMap;
use std::mem::swap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::onboarding::AccountLink;
use crate::model::account::{Access, Account};
use crate::model::event::{Event, Form, WebhookEndpoint};
use crate::model::transfer::{ApplicationFee, Transfer};
use crate::state::table::Table;
use crate::state::world::World;

/// What the platform has to do with other accounts, and the books that are put away.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Connect {
    pub(crate) accounts: Table<Account>,
    pub(crate) links: Table<AccountLink>,
    pub(crate) transfers: Table<Transfer>,
    pub(crate) fees: Table<ApplicationFee>,
    /// By account: all books but the open ones.
    shelf: BTreeMap<String, World>,
    /// The platform, while the books of another account are open.
    platform: Option<String>,
}

impl World {
    /// The connected account whose books are open; `None` for the platform's.
    pub(crate) fn connected(&self) -> Option<&str> {
        self.connect.platform.as_ref().map(|_| self.account_id.as_str())
    }

    /// The platform's account.
    pub(crate) fn platform_id(&self) -> &str {
        self.connect.platform.as_deref().unwrap_or(&self.account_id)
    }

    /// Whether a key of the platform may speak for an account.
    pub(crate) fn may_speak_for(&self, account: &str) -> bool {
        let known = self.connect.accounts.get(account);
        account == self.platform_id() || known.is_some_and(|account| account.access == Access::Connected)
    }

    /// Lays out empty books for a new account.
    pub(crate) fn add_books(&mut self, account: &str) {
        let seed = self.chance.below(u64::MAX);
        let mut books = Self::new(seed, self.public_url.clone(), self.now);
        account.clone_into(&mut books.account_id);
        self.connect.shelf.insert(account.to_owned(), books);
    }

    /// Does something in the books of an account and puts them away again; `None` when there are no such books.
    pub(crate) fn within<T>(&mut self, account: &str, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let known = account == self.account_id || self.connect.shelf.contains_key(account);
        known.then(|| self.visit(Some(account), act))
    }

    /// Does something in the books of an account, or in the open ones where it has none.
    pub(crate) fn visit<T>(&mut self, account: Option<&str>, act: impl FnOnce(&mut Self) -> T) -> T {
        let here = self.account_id.clone();
        let opened = account.is_some_and(|account| account != here && self.open_books(account));
        let result = act(self);
        if opened {
            self.open_books(&here);
        }
        result
    }

    /// Does something in the platform's books.
    pub(crate) fn at_platform<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let platform = self.platform_id().to_owned();
        self.within(&platform, act)
    }

    fn open_books(&mut self, account: &str) -> bool {
        let Some(mut books) = self.connect.shelf.remove(account) else {
            return false;
        };
        self.note_changes();
        self.hand_over(&mut books);
        swap(self, &mut books);
        let closed = books.account_id.clone();
        let platform = self.connect.platform.take().unwrap_or_else(|| closed.clone());
        self.connect.platform = (platform != self.account_id).then_some(platform);
        self.connect.shelf.insert(closed, books);
        true
    }

    /// What belongs to the sandbox goes over to the books that are opened. This is the one list of it: all the rest of
    /// the state is in the books of an account.
    fn hand_over(&mut self, to: &mut Self) {
        to.come_to(self.own_now());
        swap(&mut self.connect, &mut to.connect);
        swap(&mut self.settings, &mut to.settings);
        swap(&mut self.chance, &mut to.chance);
        swap(&mut self.policy_chance, &mut to.policy_chance);
        swap(&mut self.keys, &mut to.keys);
        swap(&mut self.request, &mut to.request);
        swap(&mut self.events, &mut to.events);
        swap(&mut self.endpoints, &mut to.endpoints);
        swap(&mut self.outgoing, &mut to.outgoing);
        swap(&mut self.deliveries, &mut to.deliveries);
        swap(&mut self.policy, &mut to.policy);
        swap(&mut self.faults, &mut to.faults);
        swap(&mut self.rates, &mut to.rates);
        swap(&mut self.calls, &mut to.calls);
    }

    /// The books of every account, the open ones first.
    pub(crate) fn all_books(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.connect.shelf.values())
    }

    /// The books of a connected account, or the platform's, to be read as they lie.
    pub(crate) fn books_of(&self, account: Option<&str>) -> &Self {
        self.connect.shelf.get(account.unwrap_or(self.platform_id())).unwrap_or(self)
    }

    /// Any object of any account, the open books first: what an answer names may be another account's.
    pub(crate) fn object_anywhere(&self, id: &str) -> Option<Value> {
        let here = self.object(id);
        here.or_else(|| self.connect.shelf.values().find_map(|books| books.object(id)))
    }

    /// The account, other than the one whose books are open, that has an object or a portal session.
    pub(crate) fn elsewhere(&self, id: &str) -> Option<String> {
        let holds = |books: &&Self| {
            (id.contains('_') && books.object(id).is_some())
                || books.portal_sessions.iter().any(|session| session.token == id)
        };
        if self.connect.shelf.is_empty() || holds(&self) {
            return None;
        }
        self.connect.shelf.values().find(holds).map(|books| books.account_id.clone())
    }

    /// When the next timer of any account falls due, in unix seconds.
    pub(crate) fn next_timer(&self) -> Option<i64> {
        self.timers.next().into_iter().chain(self.next_timer_put_away()).min()
    }

    fn next_timer_put_away(&self) -> Option<i64> {
        self.connect.shelf.values().filter_map(|books| books.timers.next()).min()
    }

    /// Plays the passing of time in all books, in the order of what falls due; the platform goes first at one instant.
    /// Whether anything was due.
    pub(crate) fn pass_all_time(&mut self, until: i64) -> bool {
        let mut fired = false;
        while let Some(at) = self.next_timer_put_away().filter(|at| *at <= until) {
            fired |= self.pass_time(at);
            let due = |books: &Self| books.timers.next().is_some_and(|next| next <= at);
            let accounts: Vec<String> =
                self.connect.shelf.iter().filter(|(_, books)| due(books)).map(|(id, _)| id.clone()).collect();
            for account in accounts {
                fired |= self.within(&account, |books| books.pass_time(at)).unwrap_or(false);
            }
        }
        self.pass_time(until) || fired
    }

    /// Does something in the books of every account, the open ones first.
    pub(crate) fn in_all_books(&mut self, act: impl Fn(&mut Self)) {
        act(self);
        let accounts: Vec<String> = self.connect.shelf.keys().cloned().collect();
        for account in accounts {
            self.visit(Some(&account), &act);
        }
    }

    /// Says where the sandbox is reached, for the links in all books.
    pub(crate) fn reached_at(&mut self, url: &str) {
        self.in_all_books(|books| url.clone_into(&mut books.public_url));
    }

    /// In which forms an endpoint is told of an event.
    pub(crate) fn forms_for(&self, endpoint: &WebhookEndpoint, event: &Event) -> Vec<Form> {
        if self.is_meant(endpoint, event) { endpoint.hears(event) } else { Vec::new() }
    }

    /// Whether an event is of the account that an endpoint is told of: its own, or a connected one where it was made for
    /// that. Who is disconnected is heard of for the last time when told so.
    pub(crate) fn is_meant(&self, endpoint: &WebhookEndpoint, event: &Event) -> bool {
        match &event.account {
            Some(account) if endpoint.account.is_none() => {
                let last = event.kind == "account.application.deauthorized";
                endpoint.hears_of.connected && (last || self.may_speak_for(account))
            }
            account => endpoint.hears_of.own && endpoint.account == *account,
        }
    }
}
