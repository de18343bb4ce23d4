//! The provider's price ids behind the catalog's lookup keys, and the account that they belong to.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError, RwLock};

use quittance_domain::catalog::{Plan, Price};
use quittance_domain::past::KnownPrice;
use quittance_store::meta;
use quittance_stripe::calls::prices::ListPrices;
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::error::ErrorKind;

use super::SyncError;
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// Prices that are remembered by their id at most; beyond it they are asked for again.
const MOST_IDS: usize = 10_000;

/// What was learnt about the provider's account, kept for the life of the process.
#[derive(Debug, Default)]
pub struct PriceBook {
    by_lookup_key: RwLock<HashMap<String, String>>,
    /// Prices by their id, with the lookup key of those that have one.
    by_id: RwLock<HashMap<String, Option<String>>>,
    /// Coupons that are there, and prices that the database knows.
    seen: Mutex<HashSet<String>>,
    account_checked: std::sync::atomic::AtomicBool,
}

impl PriceBook {
    fn get(&self, lookup_key: &str) -> Option<String> {
        self.by_lookup_key.read().unwrap_or_else(PoisonError::into_inner).get(lookup_key).cloned()
    }

    fn learn(&self, lookup_key: &str, id: &str) {
        let mut book = self.by_lookup_key.write().unwrap_or_else(PoisonError::into_inner);
        book.insert(lookup_key.to_owned(), id.to_owned());
        drop(book);
        self.learn_id(id, Some(lookup_key));
    }

    fn learn_id(&self, id: &str, lookup_key: Option<&str>) {
        let mut book = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if book.len() >= MOST_IDS {
            book.clear();
        }
        book.insert(id.to_owned(), lookup_key.map(str::to_owned));
    }

    /// The lookup key of a price, where it was learnt.
    pub(crate) fn lookup_key(&self, id: &str) -> Option<String> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned().flatten()
    }

    /// Whether a price was looked up before.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// Whether a coupon is known to be at the provider.
    pub(crate) fn has_coupon(&self, id: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Remembers that a coupon is at the provider.
    pub(crate) fn learn_coupon(&self, id: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    /// Whether the database has yet to be told what a price means; asked once for each price and process.
    pub(crate) fn note_known(&self, id: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned())
    }

    /// Forgets everything about prices and coupons: the shop was changed.
    pub(crate) fn forget_all(&self) {
        self.by_lookup_key.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets a price that the provider refused: its lookup key may have moved to another one.
    pub(crate) fn forget(&self, lookup_key: &str) {
        self.by_lookup_key.write().unwrap_or_else(PoisonError::into_inner).remove(lookup_key);
    }
}

/// What one of the provider's prices means, as it is remembered.
pub(crate) fn known_price(id: &str, plan: &Plan, price: &Price) -> KnownPrice {
    KnownPrice {
        price: id.to_owned(),
        lookup_key: price.lookup_key.clone(),
        plan: plan.key.clone(),
        group: plan.group.clone(),
        interval: price.interval,
        amount: price.amount,
    }
}

impl Engine {
    /// Learns the lookup keys of prices that only their ids are known of. One that is gone stays without.
    #[crate::boxed]
    pub(super) async fn learn_prices(&self, ids: &[String]) -> Result<(), SyncError> {
        for id in ids {
            match self.look(calls::prices::retrieve(id)).await {
                Ok(found) => self.prices().learn_id(id, found.lookup_key.as_deref()),
                Err(error) if super::fetch::names_missing(&error) => self.prices().learn_id(id, None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The provider's id of a catalog price: the one named, or the active one with its lookup key.
    ///
    /// # Errors
    /// `unknown_price` when the provider has none, or charges another amount than the catalog says.
    #[crate::boxed]
    pub async fn price_id(&self, price: &Price) -> Result<String, Problem> {
        if let Some(id) = &price.stripe {
            return Ok(id.clone());
        }
        if let Some(id) = self.prices().get(&price.lookup_key) {
            return Ok(id);
        }
        let keys = [price.lookup_key.as_str()];
        let wanted = ListPrices {
            lookup_keys: &keys,
            active: Some(true),
            paging: Paging::default(),
            ..Default::default()
        };
        let page = self.look(calls::prices::list(&wanted)).await?;
        let unknown = |detail: String| {
            Problem::new(
                ProblemCode::UnknownPrice,
                detail,
                "Operators: bring catalog.toml and the provider's prices in step.",
            )
        };
        let Some(found) = page.items.first() else {
            return Err(unknown(format!(
                "The provider has no active price with lookup key `{}`.",
                price.lookup_key
            )));
        };
        let same_amount = found.unit_amount == Some(price.amount.minor);
        if !same_amount || found.currency != price.amount.currency.code() {
            return Err(unknown(format!(
                "The provider's price `{}` is not the {} of the catalog.",
                price.lookup_key, price.amount
            )));
        }
        self.prices().learn(&price.lookup_key, &found.id);
        Ok(found.id.clone())
    }

    /// Makes sure, once per process, that the key still belongs to the account that this database
    /// mirrors: with another account's key every object would look deleted.
    #[crate::boxed]
    pub(super) async fn check_account(&self) -> Result<(), SyncError> {
        use std::sync::atomic::Ordering;
        if self.prices().account_checked.load(Ordering::Acquire) {
            return Ok(());
        }
        let account = match self.look(calls::account::retrieve()).await {
            Ok(account) => account.id,
            // A restricted key may not read its account; then there is nothing to compare.
            Err(error) if *error.kind() == ErrorKind::Permission => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (key, found) = (format!("account/{}", self.scope()), account.clone());
        let known = self.db().write("sync.account", move |tx| meta::put_once(tx, &key, &found)).await?;
        if known != account {
            return Err(SyncError::WrongAccount(format!(
                "this database mirrors {known}, but STRIPE_SECRET_KEY belongs to {account}; nothing was changed. \
                 Use the key of {known}, or another database"
            )));
        }
        self.prices().account_checked.store(true, Ordering::Release);
        Ok(())
    }
}
