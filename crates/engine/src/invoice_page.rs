//! The provider's page of an invoice, for a customer who is led there right now.
//!
//! Whoever has its address can pay and see the invoice: it is passed on and kept nowhere.

use quittance_stripe::calls;

use crate::engine::Engine;
use crate::problem::Problem;

/// What an invoice has for its customer.
#[derive(Clone, PartialEq, Eq)]
pub struct InvoicePage {
    /// It waits to be paid, or was given up and can still be.
    pub owed: bool,
    /// Where it can be paid and seen; `None` for a draft.
    pub url: Option<String>,
}

impl std::fmt::Debug for InvoicePage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InvoicePage").field("owed", &self.owed).field("url", &self.url.is_some()).finish()
    }
}

impl Engine {
    /// Asks the provider for the page of an invoice.
    ///
    /// # Errors
    /// What the provider says.
    #[crate::boxed]
    pub async fn invoice_page(&self, invoice: &str) -> Result<InvoicePage, Problem> {
        let found = self.ask(calls::invoices::hosted(invoice)).await?;
        Ok(InvoicePage { owed: is_owed(&found.status) && found.amount_remaining > 0, url: found.url })
    }
}

/// Whether an invoice in this state can be paid. One that was given up can be too.
pub(crate) fn is_owed(status: &str) -> bool {
    matches!(status, "open" | "uncollectible")
}
