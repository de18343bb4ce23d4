//! Invoices of a customer beyond the newest of each subscription, which comes with it.

use quittance_stripe::calls::{self, Paging};
use quittance_stripe::observe::{ObservedInvoice, ObservedSubscription};

use super::fetch::{Context, Fetched, MOST_PAGES, names_missing};
use super::{SyncError, translate};
use crate::engine::Engine;

impl Engine {
    /// The newest invoice of each subscription comes with it. Others are listed only where an event is about one, or
    /// somebody wants to know exactly.
    #[crate::boxed]
    pub(super) async fn fetch_other_invoices(
        &self,
        customer: &str,
        context: &Context,
        thorough: bool,
        out: &mut Fetched,
    ) -> Result<(), SyncError> {
        let books = &mut out.books;
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            if !thorough && context.invoices.iter().all(|id| books.has_invoice(id)) {
                break;
            }
            let wanted = calls::invoices::ListInvoices {
                customer: Some(customer),
                paging: Paging { starting_after: after.as_deref(), ..Paging::default() },
                ..Default::default()
            };
            let page = match self.look(calls::invoices::list(&wanted)).await {
                Ok(page) => page,
                Err(error) if names_missing(&error) => break,
                Err(error) => return Err(error.into()),
            };
            after = page.last_id.clone();
            for invoice in &page.items {
                let seen = out.observed.invoices.iter().any(|known| known.id == invoice.id);
                // What cannot be read is told by the subscription's own reader, or not at all.
                out.observed.invoices.extend(translate::invoice(invoice).ok().filter(|_| !seen));
                books.invoice(&self.scope().to_string(), invoice);
            }
            if !page.has_more {
                break;
            }
        }
        Ok(())
    }

    /// The newest paid invoices of each subscription of which they tell something: which of those it owes were left behind, or what
    /// the running period was paid with.
    #[crate::boxed]
    pub(super) async fn fetch_paid_invoices(
        &self,
        subscriptions: &[ObservedSubscription],
        open_invoices: &[ObservedInvoice],
        context: &Context,
        thorough: bool,
    ) -> Result<Vec<ObservedInvoice>, SyncError> {
        let mut all = Vec::new();
        let wanted = |found: &&ObservedSubscription| {
            let stored = context.stored.subscriptions.iter().find(|s| s.facts.id == found.id);
            let known = stored.and_then(|s| s.facts.paid.as_ref());
            translate::owes_more_than_one(found, open_invoices)
                || translate::has_unseen_payment(found, known, stored.is_none() || thorough)
        };
        for subscription in subscriptions.iter().filter(wanted) {
            let wanted = calls::invoices::ListInvoices {
                subscription: Some(&subscription.id),
                status: Some("paid"),
                ..Default::default()
            };
            match self.look(calls::invoices::list(&wanted)).await {
                Ok(page) => all.extend(page.items),
                Err(error) if names_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(all)
    }

    #[crate::boxed]
    pub(super) async fn fetch_open_invoices(
        &self,
        customer: &str,
    ) -> Result<Vec<ObservedInvoice>, SyncError> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let wanted = calls::invoices::ListInvoices {
                customer: Some(customer),
                status: Some("open"),
                paging: Paging { starting_after: after.as_deref(), ..Paging::default() },
                ..Default::default()
            };
            let page = match self.look(calls::invoices::list(&wanted)).await {
                Ok(page) => page,
                Err(error) if names_missing(&error) => break,
                Err(error) => return Err(error.into()),
            };
            after = page.last_id.clone();
            all.extend(page.items);
            if !page.has_more {
                break;
            }
        }
        Ok(all)
    }
}
