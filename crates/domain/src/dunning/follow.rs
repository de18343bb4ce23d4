//! One look at the failing payments of a provider's customer: which cases there are, what is done now, and when to look again.

use serde_json::json;

use super::{Case, Cause, DunningPolicy, OnExhaustion, Outcome, Recovery, Retries, Tried, TriedState};
use crate::projection::{Anomaly, AnomalyKind, HistoryLine};
use crate::subscription::{AttemptState, InvoiceFacts, Subscription, SubscriptionStatus};
use crate::time::Timestamp;

/// Something to ask of the provider, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Try a payment.
    Try {
        /// The subscription.
        subscription: String,
        /// The invoice.
        invoice: String,
        /// Which try of ours.
        number: i64,
    },
    /// The schedule is exhausted.
    GiveUp {
        /// The subscription.
        subscription: String,
        /// The invoice.
        invoice: String,
        /// What happens.
        how: OnExhaustion,
    },
}

/// What follows from a look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Followed {
    /// Cases that are new or changed.
    pub cases: Vec<Case>,
    /// What to ask of the provider.
    pub steps: Vec<Step>,
    /// What changed, for the timeline.
    pub history: Vec<HistoryLine>,
    /// What contradicts the policy.
    pub anomalies: Vec<Anomaly>,
    /// When to look again.
    pub look_again_at: Option<Timestamp>,
}

/// What a look needs to know.
struct Look<'a> {
    tried: &'a [Tried],
    policy: &'a DunningPolicy,
    offset: &'a dyn Fn(Timestamp) -> i64,
    now: Timestamp,
}

/// Follows the failing payments of one provider's customer.
///
/// `others` are invoices that were observed beside the latest of each subscription, `known` the cases so far, `tried` the newest
/// try of our own at each invoice, and `offset` how far the customer's clock is before UTC at a moment, in milliseconds.
#[must_use]
pub fn follow(
    subscriptions: &[Subscription],
    others: &[InvoiceFacts],
    known: &[Case],
    tried: &[Tried],
    policy: &DunningPolicy,
    offset: &dyn Fn(Timestamp) -> i64,
    now: Timestamp,
) -> Followed {
    let look = Look { tried, policy, offset, now };
    let mut out = Followed::default();
    for subscription in subscriptions {
        let latest = subscription.facts.latest_invoice.as_ref();
        let mine: Vec<&Case> = known.iter().filter(|c| c.subscription == subscription.facts.id).collect();
        for case in &mine {
            let invoice = latest
                .filter(|invoice| invoice.id == case.invoice)
                .or_else(|| others.iter().find(|invoice| invoice.id == case.invoice));
            look.again(case, subscription, invoice, &mut out);
        }
        let new = latest.filter(|invoice| mine.iter().all(|case| case.invoice != invoice.id));
        if let Some(case) = new.and_then(|invoice| open(subscription, invoice, now)) {
            out.history.extend(["payment.at_risk", "payment.failed"].map(|kind| line(kind, &case)));
            look.again(&case, subscription, new, &mut out);
            if out.cases.last().is_none_or(|last| last.invoice != case.invoice) {
                out.cases.push(case);
            }
        }
    }
    out
}

fn open(subscription: &Subscription, invoice: &InvoiceFacts, now: Timestamp) -> Option<Case> {
    let facts = &subscription.facts;
    let failing = matches!(facts.status, SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid);
    if !failing || subscription.missing || invoice.status != "open" || invoice.remaining.minor <= 0 {
        return None;
    }
    Some(Case {
        subscription: facts.id.clone(),
        invoice: invoice.id.clone(),
        amount: invoice.remaining,
        at_risk_since: invoice.due_at.or(facts.failing_since).unwrap_or(now),
        cause: Cause::of(invoice.attempt.as_ref(), facts.method.as_deref()),
        decline_code: None,
        attempts: invoice.attempt_count,
        tries: 0,
        refused: Some(0),
        refused_untold: 0,
        passed: 0,
        next_try_at: None,
        failed_method: None,
        changed: None,
        exhausted_at: None,
        outcome: Outcome::Open,
        ended_at: None,
        recovery: None,
    })
}

fn line(kind: &'static str, case: &Case) -> HistoryLine {
    HistoryLine {
        kind,
        object: case.subscription.clone(),
        data: json!({
            "invoice": case.invoice, "amount": case.amount.minor, "currency": case.amount.currency,
            "attempt": case.attempts, "own_try": case.refused.filter(|number| *number > 0), "decline_code": case.decline_code, "cause": case.cause, "outcome": case.outcome, "recovery": case.recovery,
        }),
    }
}

impl Look<'_> {
    fn again(
        &self,
        before: &Case,
        subscription: &Subscription,
        invoice: Option<&InvoiceFacts>,
        out: &mut Followed,
    ) {
        let mut case = before.clone();
        self.see(&mut case, subscription, invoice);
        let refused = self.refused(&mut case, before);
        if case.outcome == Outcome::Open
            && let Some(invoice) = invoice.filter(|invoice| invoice.status == "open")
        {
            self.work(&mut case, subscription, invoice, out);
        } else {
            case.next_try_at = None;
        }
        out.look_again_at = [out.look_again_at, case.next_try_at].into_iter().flatten().min();
        if refused || case.attempts > before.attempts {
            out.history.push(line("payment.failed", &case));
        }
        if case.outcome != before.outcome {
            out.history.push(line(told(case.outcome), &case));
        }
        if case != *before {
            out.cases.push(case);
        }
    }

    fn newest(&self, invoice: &str) -> Option<&Tried> {
        self.tried.iter().find(|tried| tried.invoice == invoice)
    }

    /// Whether another try of ours is seen refused, which the provider does not count. What an older version saw is no news.
    fn refused(&self, case: &mut Case, before: &Case) -> bool {
        let newest = self.newest(&case.invoice).filter(|tried| tried.state == TriedState::Refused);
        let number = newest.and_then(|tried| tried.number).unwrap_or(0);
        if before.outcome != Outcome::Open || before.refused.is_some_and(|known| known >= number) {
            return false;
        }
        case.refused = Some(number);
        if before.refused.is_none() {
            case.refused_untold = number;
        }
        before.refused.is_some()
    }

    /// What became of it.
    fn see(&self, case: &mut Case, subscription: &Subscription, invoice: Option<&InvoiceFacts>) {
        // What is paid stays paid; anything else may yet be.
        if case.outcome == Outcome::Recovered {
            return;
        }
        let outcome = outcome(case, subscription, invoice);
        if outcome == Outcome::Open {
            if let Some(invoice) = invoice {
                failed(case, invoice);
            }
            case.outcome = Outcome::Open;
            case.ended_at = None;
            return;
        }
        if outcome == case.outcome {
            return;
        }
        case.outcome = outcome;
        match outcome {
            // The try after which the provider gave up.
            Outcome::Lost | Outcome::Cancelled => {
                if let Some(invoice) = invoice {
                    failed(case, invoice);
                }
            }
            Outcome::Open | Outcome::Recovered | Outcome::Forgiven => {}
        }
        let facts = &subscription.facts;
        case.ended_at = Some(match outcome {
            Outcome::Recovered => invoice.and_then(|invoice| invoice.paid_at).unwrap_or(self.now),
            Outcome::Lost | Outcome::Cancelled => facts.ended_at.unwrap_or(self.now),
            Outcome::Open | Outcome::Forgiven => self.now,
        });
        if outcome == Outcome::Recovered {
            case.recovery = invoice.map(|invoice| self.recovery(case, subscription, invoice));
        }
    }

    fn recovery(&self, case: &Case, subscription: &Subscription, invoice: &InvoiceFacts) -> Recovery {
        let ours = self.newest(&invoice.id).filter(|tried| match tried.state {
            TriedState::Pending | TriedState::Paid => true,
            TriedState::Refused | TriedState::LeftOut => false,
        });
        let method = subscription.facts.method.as_deref();
        if invoice.payments.is_empty() {
            return Recovery::OutOfBand;
        }
        match ours.and_then(|tried| tried.number) {
            Some(number) if case.changed.as_ref().is_some_and(|(_, of)| *of == number) => {
                Recovery::CardChange
            }
            Some(number) => Recovery::Retry { number },
            None if invoice.attempt_count > case.attempts => {
                Recovery::Retry { number: invoice.attempt_count }
            }
            None if method.is_some()
                && case.failed_method.as_deref().is_some_and(|old| Some(old) != method) =>
            {
                Recovery::CardChange
            }
            None => Recovery::Customer,
        }
    }

    /// Tries and gives up, where that is for us to do.
    fn work(&self, case: &mut Case, subscription: &Subscription, invoice: &InvoiceFacts, out: &mut Followed) {
        case.next_try_at = None;
        let facts = &subscription.facts;
        let latest = facts.latest_invoice.as_ref().is_some_and(|latest| latest.id == invoice.id);
        let ours =
            self.policy.retries == Retries::Own && facts.status == SubscriptionStatus::PastDue && latest;
        if !ours || subscription.missing {
            return;
        }
        if let Some(next) = invoice.next_attempt_at {
            out.anomalies.push(Anomaly {
                kind: AnomalyKind::ProviderRetries,
                object: invoice.id.clone(),
                detail: format!(
                    "the policy says that we retry failed payments, but the provider has planned one itself for {next}; it goes first, and we try nothing meanwhile"
                ),
            });
            return;
        }
        let pending = self.newest(&invoice.id).is_some_and(|tried| tried.state == TriedState::Pending);
        let under_way = invoice.attempt.as_ref().is_some_and(|a| a.state == AttemptState::Processing);
        if pending || under_way {
            return;
        }
        let due = (0..self.policy.schedule_days.len())
            .filter_map(|place| self.policy.try_at(place, case.at_risk_since, self.offset))
            .take_while(|at| *at <= self.now)
            .count();
        let changed = self.changed(case, facts.method.as_deref());
        // Several places that went by unseen are one try: never a burst.
        let turn = due > case.passed;
        case.passed = case.passed.max(due);
        let cause = Cause::of(invoice.attempt.as_ref(), facts.method.as_deref());
        if changed.is_some() || (turn && cause.may_pass() && facts.method.is_some()) {
            case.tries += 1;
            if let Some(method) = changed {
                case.changed = Some((method, case.tries));
            }
            out.steps.push(Step::Try {
                subscription: case.subscription.clone(),
                invoice: case.invoice.clone(),
                number: case.tries,
            });
        } else if case.passed >= self.policy.schedule_days.len() && case.exhausted_at.is_none() {
            case.exhausted_at = Some(self.now);
            if self.policy.on_exhaustion != OnExhaustion::Leave {
                out.steps.push(Step::GiveUp {
                    subscription: case.subscription.clone(),
                    invoice: case.invoice.clone(),
                    how: self.policy.on_exhaustion,
                });
            }
        }
        case.next_try_at = self.policy.try_at(case.passed, case.at_risk_since, self.offset);
    }

    /// The payment method that has come since the last one failed and that was not tried yet.
    fn changed(&self, case: &Case, method: Option<&str>) -> Option<String> {
        let method = method?;
        let tried = case.changed.as_ref().is_some_and(|(tried, _)| tried == method);
        let other = match case.failed_method.as_deref() {
            Some(failed) => failed != method,
            None => case.cause == Cause::NoMethod,
        };
        (other && !tried).then(|| method.to_owned())
    }
}

fn told(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Open => "payment.at_risk",
        Outcome::Recovered => "payment.recovered",
        Outcome::Forgiven => "payment.forgiven",
        Outcome::Lost | Outcome::Cancelled => "payment.lost",
    }
}

/// Keeps what the last failed try said.
fn failed(case: &mut Case, invoice: &InvoiceFacts) {
    case.attempts = case.attempts.max(invoice.attempt_count);
    let Some(attempt) = &invoice.attempt else { return };
    if case.cause == Cause::Other {
        case.cause = Cause::of(Some(attempt), attempt.method.as_deref());
    }
    case.decline_code = attempt.decline_code.clone().or_else(|| attempt.code.clone());
    case.failed_method = attempt.method.clone().or_else(|| case.failed_method.clone());
}

fn outcome(case: &Case, subscription: &Subscription, invoice: Option<&InvoiceFacts>) -> Outcome {
    let facts = &subscription.facts;
    let over = || {
        let asked = facts
            .ahead
            .cancellation
            .as_ref()
            .is_some_and(|cancellation| cancellation.reason.as_deref() == Some("cancellation_requested"));
        if asked && case.exhausted_at.is_none() { Outcome::Cancelled } else { Outcome::Lost }
    };
    let status = invoice.map(|invoice| invoice.status.as_str());
    if status == Some("paid") {
        return Outcome::Recovered;
    }
    if subscription.missing {
        return Outcome::Lost;
    }
    let given_up = matches!(status, Some("void" | "uncollectible"));
    match facts.status {
        SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired => over(),
        SubscriptionStatus::Unpaid => Outcome::Lost,
        SubscriptionStatus::Active | SubscriptionStatus::Trialing if given_up => Outcome::Forgiven,
        SubscriptionStatus::Active
        | SubscriptionStatus::Trialing
        | SubscriptionStatus::PastDue
        | SubscriptionStatus::Incomplete
        | SubscriptionStatus::Paused
        | SubscriptionStatus::Unknown(_) => Outcome::Open,
    }
}
