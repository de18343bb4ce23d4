//! Cards that were refused lately, of which many different ones are card testing. Only digests of their fingerprints are kept.

use quittance_domain::Timestamp;
use quittance_domain::digest::short_hex;
use quittance_domain::fraud::CardAttempt;
use quittance_domain::time::DAY_MS;
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::observe::{ObservedCharge, ObservedSetup};

use super::{SyncError, names_missing};
use crate::engine::Engine;

impl Engine {
    /// The newest charges of a customer that failed, by their cards; the fingerprint stays with the provider.
    pub(super) async fn fetch_failed_cards(&self, customer: &str) -> Result<Vec<CardAttempt>, SyncError> {
        let call = calls::payments::list_charges(customer, Paging::default());
        let page = match self.look(call).await {
            Ok(page) => page,
            Err(error) if names_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let failed = page.items.into_iter().filter(|charge| charge.status == "failed");
        let attempt = |charge: ObservedCharge| {
            Some(CardAttempt {
                card: short_hex(&["card", self.instance(), &charge.card_fingerprint?]),
                at: Timestamp::from_seconds(charge.created_s),
                charge: charge.id,
            })
        };
        Ok(failed.filter_map(attempt).collect())
    }

    /// Cards that were refused when they were to be saved. The provider tells the last one of each intent, and not when: it counts
    /// from when it is seen.
    pub(super) async fn fetch_failed_setups(&self, customer: &str) -> Result<Vec<CardAttempt>, SyncError> {
        let page = match self.look(calls::payments::list_setups(customer, Paging::default())).await {
            Ok(page) => page,
            Err(error) if names_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let now = self.now();
        // What is older than a checkout stays open was not refused now.
        let recent = |created_s: i64| now.since(Timestamp::from_seconds(created_s)) <= DAY_MS;
        let attempt = |setup: ObservedSetup| {
            let card = short_hex(&["card", self.instance(), &setup.refused_card?]);
            Some(CardAttempt { charge: format!("{}/{card}", setup.id), card, at: now })
        };
        Ok(page.items.into_iter().filter(|setup| recent(setup.created_s)).filter_map(attempt).collect())
    }
}
