//! The passing of time: everything that falls due happens in order, at its own instant.

use crate::state::timers::Timer;
use crate::state::world::World;

impl World {
    /// Plays everything that is due on the time line at work up to an instant and leaves it there; whether anything was.
    /// Time never goes back.
    pub(crate) fn pass_time(&mut self, until: i64) -> bool {
        let mut fired = false;
        while let Some((at, timer)) = self.timers.take_due(until) {
            self.now = self.now.max(at);
            self.fire(timer);
            self.flush_events();
            fired = true;
        }
        self.now = self.now.max(until);
        self.forget_events();
        fired
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::PeriodEnd(id) => self.period_ends(&id),
            Timer::CancelAt(id) => self.cancel_at_reached(&id),
            Timer::TrialWillEnd(id) => self.trial_will_end(&id),
            Timer::InvoiceUpcoming(id) => self.invoice_comes_up(&id),
            Timer::IncompleteExpires(id) => self.incomplete_expires(&id),
            Timer::Finalize(id) => self.finalize_due(&id),
            Timer::Retry(id) => self.retry_due(&id),
            Timer::Due(id) => self.due_date_passed(&id),
            Timer::SessionExpires(id) => self.session_time_is_up(&id),
            Timer::PayoutRun(currency) => self.run_payouts(&currency),
            Timer::PayoutMoves(id) => self.payout_moves(&id),
            Timer::TopupArrives(id) => self.topup_arrives(&id),
            Timer::EvidenceDue(id) => self.evidence_due(&id),
            Timer::InquiryEnds(id) => self.inquiry_ends(&id),
            Timer::PaymentAnswered(id) => self.payment_answered(&id),
            Timer::HoldExpires(id) => self.hold_expires(&id),
            Timer::RefundSettles(id) => self.settle_refund(&id),
            Timer::PendingUpdateExpires(id) => self.pending_expires(&id),
            Timer::CollectionResumes(id) => self.collection_resumes(&id),
            Timer::PauseEnds(id) => self.pause_ends(&id),
            Timer::ScheduleTurns(id) => self.schedule_turns(&id),
            Timer::ScheduleExpires(id) => self.schedule_expires(&id),
            Timer::QuoteExpires(id) => self.quote_expires(&id),
            Timer::TaxIdAnswered(id) => self.tax_id_answered(&id),
            Timer::UsageReported(name) => self.report_usage(&name),
            Timer::ClockArrives(id) => self.clock_arrives(&id),
            Timer::ClockExpires(id) => self.clock_expires(&id),
        }
    }
}
