//! Drafts that wait until every endpoint has acknowledged their `invoice.created`, so that nobody is charged for an invoice
//! that its seller never got to see; for three days at most, and only where the settings say so.

use crate::model::event::Event;
use crate::model::invoice::{Invoice, InvoiceStatus};
use crate::state::timers::Timer;
use crate::state::world::World;

const HOUR: i64 = 3600;
const CREATED: &str = "invoice.created";

impl World {
    /// Puts off a draft that endpoints have not heard of, or have just heard of. Whether it was.
    pub(crate) fn holds_draft(&mut self, invoice: &Invoice) -> bool {
        let Some(until) = self.awaited_until(invoice) else {
            return false;
        };
        self.invoices.edit(&invoice.id, |invoice| {
            invoice.finalizes_at = Some(until);
            invoice.awaits_endpoints = true;
        });
        self.timers.set(until, Timer::Finalize(invoice.id.clone()));
        true
    }

    /// Until when a draft waits, in unix seconds.
    fn awaited_until(&self, invoice: &Invoice) -> Option<i64> {
        let hours = self.settings.draft_wait_hours;
        // Nothing to look for among the events, which are many.
        if hours == 0 || self.clock_of(&invoice.id).is_some() {
            return None;
        }
        let told = |event: &&Event| {
            event.kind == CREATED
                && event.account.as_deref() == self.connected()
                && subject(event).is_some_and(|id| id == invoice.id)
        };
        let event = self.events.iter().rev().find(told)?;
        let last = event.created + hours * HOUR;
        let until = match event.received_at {
            Some(at) if event.pending.is_empty() => last.min(at + self.settings.draft_seconds),
            Some(_) | None if event.pending.is_empty() && !event.failed => return None,
            Some(_) | None => last,
        };
        (until > self.now).then_some(until)
    }

    /// An endpoint has acknowledged an event: if it was the last one that a draft waited for, the draft stays one for as
    /// long again as any other.
    pub(super) fn let_draft_go(&mut self, event: &str) {
        let heard = |event: &&Event| event.kind == CREATED && event.pending.is_empty();
        let Some((account, id)) = self
            .events
            .get(event)
            .filter(heard)
            .and_then(|event| Some((event.account.clone(), subject(event)?)))
        else {
            return;
        };
        self.visit(account.as_deref(), |books| {
            let at = books.own_now() + books.settings.draft_seconds;
            let waits = |invoice: &&Invoice| {
                invoice.status == InvoiceStatus::Draft
                    && invoice.awaits_endpoints
                    && invoice.finalizes_at.is_some_and(|last| at < last)
            };
            if books.invoices.get(&id).is_some_and(|invoice| waits(&invoice)) {
                books.invoices.edit(&id, |invoice| invoice.finalizes_at = Some(at));
                books.set_own_timer(at, Timer::Finalize(id));
            }
        });
    }
}

/// The id of the object of an event.
fn subject(event: &Event) -> Option<String> {
    event.object.value().get("id").and_then(|id| id.as_str()).map(str::to_owned)
}
