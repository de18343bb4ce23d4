//! I7, suspensions: who is shut out of everything is charged no more, and what was charged since has gone back; who is let in
//! again is charged as before.

use quittance_domain::fraud::Level;
use quittance_domain::time::SECOND_MS;
use quittance_sandbox::CustomerLedger;

use super::{Record, stands};
use crate::suspensions::Stands;

impl Record {
    /// In the end, when all that was to be asked of the provider was asked.
    pub(super) fn shut_out_is_not_charged(&mut self, buyer: &str, customer: &CustomerLedger) {
        match self.suspensions.of(buyer) {
            Some(Stands::Out(Level::All, since_ms)) => self.charged_since(customer, since_ms),
            Some(Stands::In) => {
                let left = customer.subscriptions.iter().find(|s| {
                    let runs = matches!(s.status.as_str(), "active" | "trialing" | "past_due" | "unpaid");
                    runs && s.paused && !self.suspensions.was_paused(&s.id)
                });
                if let Some(found) = left {
                    let detail = format!("{buyer} is let in again, and {} is still paused", found.id);
                    self.violation("I7", detail);
                }
            }
            Some(Stands::Out(Level::Checkouts, _) | Stands::Unknown) | None => {}
        }
    }

    fn charged_since(&mut self, customer: &CustomerLedger, since_ms: i64) {
        let disputed =
            |charge: &str| customer.disputes.iter().any(|d| d.charge == charge && stands(&d.status));
        let kept = customer.charges.iter().find(|c| {
            let later = c.created * SECOND_MS > since_ms;
            later && c.paid && c.amount_refunded < c.amount && !disputed(&c.id)
        });
        if let Some(charge) = kept {
            let detail =
                format!("{} was charged while its buyer was shut out, and not given back", charge.id);
            self.violation("I7", detail);
        }
        let runs = customer.subscriptions.iter().find(|s| {
            let charges = matches!(s.status.as_str(), "active" | "trialing" | "past_due" | "unpaid");
            charges && !s.paused
        });
        if let Some(found) = runs {
            let detail = format!("{} is {} and its buyer is shut out", found.id, found.status);
            self.violation("I7", detail);
        }
        let open = customer.sessions.iter().find(|s| s.status == "open");
        if let Some(session) = open {
            self.violation("I7", format!("{} is open and its buyer is shut out", session.id));
        }
    }
}
