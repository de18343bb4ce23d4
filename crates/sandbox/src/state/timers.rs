//! What the passing of time will cause. A timer is only a reason to look: whoever handles it checks the object again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that falls due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// A subscription's period, or its trial, ends.
    PeriodEnd(String),
    /// A subscription's `cancel_at` is reached.
    CancelAt(String),
    /// A trial ends in three days.
    TrialWillEnd(String),
    /// A renewal is some days away.
    InvoiceUpcoming(String),
    /// A subscription that was never paid gives up.
    IncompleteExpires(String),
    /// A draft invoice becomes final.
    Finalize(String),
    /// A failed invoice is tried again.
    Retry(String),
    /// An invoice that is sent to the customer is past its due date.
    Due(String),
    /// A checkout session closes unpaid.
    SessionExpires(String),
    /// The schedule pays out what is available in a currency.
    PayoutRun(String),
    /// A payout reaches the bank, or the account.
    PayoutMoves(String),
    /// The bank pays a top-up.
    TopupArrives(String),
    /// The time to answer a dispute is up.
    EvidenceDue(String),
    /// An inquiry closes by itself.
    InquiryEnds(String),
    /// A bank answers, or a voucher runs out.
    PaymentAnswered(String),
    /// Held money that nobody captured is let go.
    HoldExpires(String),
    /// A pending refund succeeds, or a succeeded one fails.
    RefundSettles(String),
    /// A change that waits for its payment is forgotten.
    PendingUpdateExpires(String),
    /// A paused collection resumes.
    CollectionResumes(String),
    /// A pause that was chosen in the portal is over.
    PauseEnds(String),
    /// A phase of a subscription schedule begins, or its last one ends.
    ScheduleTurns(String),
    /// A subscription schedule ends in a week.
    ScheduleExpires(String),
    /// A quote that nobody accepted is withdrawn.
    QuoteExpires(String),
    /// What was wrong with streamed usage is told; by meter, or by nothing where no meter was found.
    UsageReported(String),
    /// An office says whether it knows a tax ID.
    TaxIdAnswered(String),
    /// A test clock arrives where it was sent; on the account's own time.
    ClockArrives(String),
    /// A test clock is deleted by itself; on the account's own time.
    ClockExpires(String),
}

impl Timer {
    /// The id of the object that it is about; of payouts by the day their currency.
    pub(crate) fn subject(&self) -> &str {
        match self {
            Self::PeriodEnd(id)
            | Self::CancelAt(id)
            | Self::TrialWillEnd(id)
            | Self::InvoiceUpcoming(id)
            | Self::IncompleteExpires(id)
            | Self::Finalize(id)
            | Self::Retry(id)
            | Self::Due(id)
            | Self::SessionExpires(id)
            | Self::PayoutRun(id)
            | Self::PayoutMoves(id)
            | Self::TopupArrives(id)
            | Self::EvidenceDue(id)
            | Self::InquiryEnds(id)
            | Self::PaymentAnswered(id)
            | Self::HoldExpires(id)
            | Self::PendingUpdateExpires(id)
            | Self::RefundSettles(id)
            | Self::CollectionResumes(id)
            | Self::PauseEnds(id)
            | Self::ScheduleTurns(id)
            | Self::ScheduleExpires(id)
            | Self::QuoteExpires(id)
            | Self::TaxIdAnswered(id)
            | Self::UsageReported(id)
            | Self::ClockArrives(id)
            | Self::ClockExpires(id) => id,
        }
    }
}

/// Timers in the order in which they fall due; ties in the order in which they were set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(i64, Timer)>", into = "Vec<(i64, Timer)>")]
pub(crate) struct Timers {
    queue: BTreeMap<(i64, u64), Timer>,
    next: u64,
}

impl From<Vec<(i64, Timer)>> for Timers {
    fn from(list: Vec<(i64, Timer)>) -> Self {
        let mut timers = Self::default();
        for (at, timer) in list {
            timers.set(at, timer);
        }
        timers
    }
}

impl From<Timers> for Vec<(i64, Timer)> {
    fn from(timers: Timers) -> Self {
        timers.in_order().collect()
    }
}

impl Timers {
    /// Sets a timer, in unix seconds.
    pub(crate) fn set(&mut self, at: i64, timer: Timer) {
        self.queue.insert((at, self.next), timer);
        self.next += 1;
    }

    /// When the first one falls due, in unix seconds.
    pub(crate) fn next(&self) -> Option<i64> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// All timers, in the order in which they fall due.
    pub(crate) fn in_order(self) -> impl Iterator<Item = (i64, Timer)> {
        self.queue.into_iter().map(|((at, _), timer)| (at, timer))
    }

    /// Takes the next timer that is due.
    pub(crate) fn take_due(&mut self, now: i64) -> Option<(i64, Timer)> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let at = entry.key().0;
        Some((at, entry.remove()))
    }
}
