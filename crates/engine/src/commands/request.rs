//! What can be asked of a provider, as it is written down.
//!
//! No e-mail and no name: they are read from the customer when the command is sent.

use quittance_domain::change::PauseHow;
use quittance_domain::digest::short_hex;
use quittance_domain::dispute::Stage;
use quittance_domain::dunning::OnExhaustion;
use quittance_domain::fraud::{Level, SuspensionStep};
use quittance_domain::refund::RefundReason;
use quittance_domain::trial::Bridge;
use quittance_domain::{CheckoutId, CommandId, CustomerId, Money};
use quittance_store::StoreError;
use quittance_store::commands::{CommandRow, NewCommand};
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, ProblemCode};

/// The kind of the commands of suspensions.
pub(crate) const SUSPENSION: &str = "suspension.step";

/// The word of what ends a trial that is a second one.
pub(crate) const TRIAL_END: &str = "trial.end";

/// The word of what deletes a customer at the provider.
pub(crate) const DELETION: &str = "customer.delete";

/// The word of what gives an invoice up.
pub(crate) const GIVE_UP: &str = "invoice.give_up";
/// How every key of ours begins.
pub(crate) const KEY_PREFIX: &str = "quittance-";

/// When a subscription is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelAt {
    /// With the period that is paid for.
    PeriodEnd,
    /// At once.
    Now,
}

/// Why somebody cancels; the provider's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// The service to customers was bad.
    CustomerService,
    /// The quality was bad.
    LowQuality,
    /// Something is missing.
    MissingFeatures,
    /// Something else.
    Other,
    /// They use something else now.
    SwitchedService,
    /// It is too complicated.
    TooComplex,
    /// It is too expensive.
    TooExpensive,
    /// They do not use it.
    Unused,
}

impl Feedback {
    /// All of them, in the provider's order.
    pub const ALL: [Self; 8] = [
        Self::CustomerService,
        Self::LowQuality,
        Self::MissingFeatures,
        Self::Other,
        Self::SwitchedService,
        Self::TooComplex,
        Self::TooExpensive,
        Self::Unused,
    ];

    /// The provider's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CustomerService => "customer_service",
            Self::LowQuality => "low_quality",
            Self::MissingFeatures => "missing_features",
            Self::Other => "other",
            Self::SwitchedService => "switched_service",
            Self::TooComplex => "too_complex",
            Self::TooExpensive => "too_expensive",
            Self::Unused => "unused",
        }
    }
}

/// How the difference of a change is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// Added to the next invoice.
    NextInvoice,
    /// Invoiced at once.
    Now,
    /// Not at all.
    None,
}

/// What carries a reduction at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discounted {
    /// A promotion code.
    Code(String),
    /// A coupon.
    Coupon(String),
}

/// When a subscription that is bought now begins: when another one ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The subscription that ends.
    pub after: String,
    /// When, Unix seconds.
    pub at_s: i64,
    /// How the time until then is bridged.
    pub by: Bridge,
    /// When the checkout closes, Unix seconds: before the start.
    pub closes_s: i64,
}

/// Where the portal opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortalStart {
    /// The overview.
    Home,
    /// Changing the payment method.
    PaymentMethod,
    /// Cancelling this subscription.
    Cancel(String),
    /// Changing this subscription.
    Change(String),
    /// Confirming one change of this subscription.
    ChangeTo {
        /// Which one.
        subscription: String,
        /// Its line.
        item: String,
        /// The provider's price.
        price: String,
        /// Units.
        quantity: i64,
    },
}

/// A change that we ask a provider to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Request {
    /// Create the provider's customer of one of ours.
    #[serde(rename = "customer.create")]
    CreateCustomer {
        /// Ours.
        customer: CustomerId,
    },
    /// Tell the provider of ours what we know: its e-mail address, name and language.
    #[serde(rename = "customer.update")]
    UpdateCustomer {
        /// Ours.
        customer: CustomerId,
        /// The provider's.
        provider_customer: String,
    },
    /// Have the provider delete its customer of one of ours, who was erased.
    #[serde(rename = "customer.delete")]
    DeleteCustomer {
        /// Ours.
        customer: CustomerId,
        /// The provider's.
        provider_customer: String,
    },
    /// Open a checkout.
    #[serde(rename = "checkout.create")]
    CreateCheckout {
        /// Ours.
        checkout: CheckoutId,
        /// The provider's customer.
        provider_customer: String,
        /// The provider's price; none for a bare payment, which has an amount only.
        price: Option<String>,
        /// Whether it is bought once instead of subscribed to.
        once: bool,
        /// Days of trial.
        trial_days: u32,
        /// What carries the reduction at the provider.
        #[serde(default)]
        discount: Option<Discounted>,
        /// What the provider may ask for at once, in minor units and before tax on top; `None` in requests of earlier
        /// releases.
        #[serde(default)]
        most: Option<i64>,
        /// When it begins, if that is later than now.
        #[serde(default)]
        starts: Option<Start>,
    },
    /// Close a checkout, so that nobody can pay it any more.
    #[serde(rename = "checkout.expire")]
    ExpireCheckout {
        /// Ours.
        checkout: CheckoutId,
        /// The provider's session, or its bare payment.
        session: String,
    },
    /// Open the provider's portal for a customer.
    #[serde(rename = "portal.create")]
    CreatePortal {
        /// The provider's customer.
        provider_customer: String,
        /// Where it leads back to.
        return_url: String,
        /// Where it opens.
        start: PortalStart,
        /// Which minute it was asked for: portal addresses are short-lived.
        minute: i64,
        /// The portal configuration; `None` is the account's default.
        #[serde(default)]
        configuration: Option<String>,
    },
    /// Change plan, interval or quantity.
    #[serde(rename = "subscription.change")]
    ChangeSubscription {
        /// Which one.
        subscription: String,
        /// Its line.
        item: String,
        /// The new price.
        price: String,
        /// The new quantity.
        quantity: i64,
        /// How the difference is charged.
        proration: Proration,
        /// The moment from which it counts, Unix seconds; the preview's.
        proration_date_s: Option<i64>,
        /// Whether a payment that needs the customer lets the change wait, instead of refusing it.
        #[serde(default)]
        waits_for_customer: bool,
        /// Whether the price stays as it is, and only the quantity changes.
        #[serde(default)]
        keeps_price: bool,
    },
    /// Change plan, interval or quantity when the period that runs is over. Replaces what was planned before.
    #[serde(rename = "subscription.schedule")]
    ScheduleChange {
        /// Which one.
        subscription: String,
        /// Its line.
        item: String,
        /// The new price.
        price: String,
        /// The new quantity.
        quantity: i64,
    },
    /// Take back what is planned.
    #[serde(rename = "subscription.undo")]
    UndoSchedule {
        /// Which one.
        subscription: String,
        /// The provider's schedule.
        schedule: String,
    },
    /// Take no money for a while.
    #[serde(rename = "subscription.pause")]
    PauseSubscription {
        /// Which one.
        subscription: String,
        /// How.
        how: PauseHow,
        /// When it ends by itself, Unix seconds.
        resumes_at_s: Option<i64>,
    },
    /// End a subscription.
    #[serde(rename = "subscription.cancel")]
    CancelSubscription {
        /// Which one.
        subscription: String,
        /// When.
        at: CancelAt,
        /// Why, from the provider's list.
        #[serde(default)]
        feedback: Option<Feedback>,
        /// Why, in the customer's words.
        #[serde(default)]
        comment: Option<String>,
    },
    /// Take back the end of a subscription, or its pause.
    #[serde(rename = "subscription.resume")]
    ResumeSubscription {
        /// Which one.
        subscription: String,
    },
    /// Cancel a subscription that is one too many.
    #[serde(rename = "duplicate.cancel")]
    CancelDuplicate {
        /// Which one.
        subscription: String,
        /// Which one stays.
        kept: String,
    },
    /// End a trial that is a second one.
    #[serde(rename = "trial.end")]
    EndTrial {
        /// Whose.
        subscription: String,
        /// Whether it goes on and is charged, instead of being cancelled.
        charges: bool,
    },
    /// Give back what a duplicate charged.
    #[serde(rename = "duplicate.refund")]
    RefundDuplicate {
        /// Whose payment.
        subscription: String,
        /// The payment.
        payment: String,
        /// How much was paid; what is left of it goes back.
        amount: Money,
    },
    /// Give money back, because somebody asked for it.
    #[serde(rename = "refund.create")]
    Refund {
        /// The payment.
        payment: String,
        /// How much.
        amount: Money,
        /// Why.
        reason: RefundReason,
        /// The invoice that was paid: its credit note makes the refund, so that both agree.
        invoice: Option<String>,
        /// Whether the money went back outside of the provider, so that only the credit note is wanted.
        out_of_band: bool,
    },
    /// Answer a dispute with the evidence that there is when it is sent.
    #[serde(rename = "dispute.contest")]
    ContestDispute {
        /// Which one.
        dispute: String,
        /// How far it has come: it is answered once at each.
        #[serde(default = "chargeback")]
        stage: Stage,
        /// What the operator says, in place of the summary.
        note: Option<String>,
    },
    /// What a suspension, or its end, asks for.
    #[serde(rename = "suspension.step")]
    Suspension {
        /// Which suspension: its time in milliseconds; 0 for none.
        episode: i64,
        /// What.
        step: SuspensionStep,
    },
    /// Give a dispute up.
    #[serde(rename = "dispute.accept")]
    AcceptDispute {
        /// Which one.
        dispute: String,
        /// How far it has come.
        #[serde(default = "chargeback")]
        stage: Stage,
    },
    /// Try a payment that failed.
    #[serde(rename = "invoice.pay")]
    PayInvoice {
        /// Whose it is.
        subscription: String,
        /// The invoice.
        invoice: String,
        /// Which try of ours.
        number: i64,
    },
    /// End what a payment was for that failed too often.
    #[serde(rename = "invoice.give_up")]
    GiveUpInvoice {
        /// Whose it is.
        subscription: String,
        /// The invoice.
        invoice: String,
        /// What happens.
        how: OnExhaustion,
    },
}

/// The object of the tries at an invoice: one goes after the other.
pub(crate) fn invoice_object(invoice: &str) -> String {
    format!("invoice/{invoice}")
}

/// The object of the refunds of a payment that somebody asked for: one goes after the other.
pub(crate) fn refund_object(payment: &str) -> String {
    format!("refund/{payment}")
}

/// What was asked for before there were stages was about the money.
const fn chargeback() -> Stage {
    Stage::Chargeback
}

/// A chargeback is answered once, and so is the inquiry before it and the appeal after it: the bank keeps one number for all.
fn dispute_object(dispute: &str, stage: Stage) -> String {
    format!("dispute/{dispute}/{}", stage.as_str())
}

/// The object of what is mended without being asked for: a second subscription, or a payment that is given back.
pub(crate) fn duplicate_object(id: &str) -> String {
    format!("duplicate/{id}")
}

/// Which of several equal wishes a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which<'a> {
    /// The one after so many commands on its object that are over.
    Turn(i64),
    /// The one that a caller asked for, named by the seed of its idempotency key: asked for again, it is the same,
    /// whatever happened in between.
    Asked(&'a str),
}

/// The key of a command that a caller asked for.
fn asked_key(instance: &str, kind: &str, seed: &str) -> String {
    format!("{KEY_PREFIX}{kind}-{}", short_hex(&[instance, kind, "asked", seed]))
}

/// The id of a command that a caller asked for under this seed.
pub(crate) fn asked_id(instance: &str, kind: &str, seed: &str) -> CommandId {
    CommandId::derived(&["command", &asked_key(instance, kind, seed)])
}

impl Request {
    /// The stable word of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CreateCustomer { .. } => "customer.create",
            Self::UpdateCustomer { .. } => "customer.update",
            Self::DeleteCustomer { .. } => DELETION,
            Self::CreateCheckout { .. } => "checkout.create",
            Self::ExpireCheckout { .. } => "checkout.expire",
            Self::CreatePortal { .. } => "portal.create",
            Self::ChangeSubscription { .. } => "subscription.change",
            Self::ScheduleChange { .. } => "subscription.schedule",
            Self::UndoSchedule { .. } => "subscription.undo",
            Self::PauseSubscription { .. } => "subscription.pause",
            Self::CancelSubscription { .. } => "subscription.cancel",
            Self::ResumeSubscription { .. } => "subscription.resume",
            Self::CancelDuplicate { .. } => "duplicate.cancel",
            Self::EndTrial { .. } => TRIAL_END,
            Self::RefundDuplicate { .. } => "duplicate.refund",
            Self::Refund { .. } => "refund.create",
            Self::ContestDispute { .. } => "dispute.contest",
            Self::AcceptDispute { .. } => "dispute.accept",
            Self::Suspension { .. } => SUSPENSION,
            Self::PayInvoice { .. } => "invoice.pay",
            Self::GiveUpInvoice { .. } => GIVE_UP,
        }
    }

    /// The object that it changes; commands on one object are numbered and go one after the other.
    #[must_use]
    pub fn object(&self) -> String {
        match self {
            Self::CreateCustomer { customer } => format!("customer/{customer}"),
            Self::UpdateCustomer { provider_customer, .. }
            | Self::DeleteCustomer { provider_customer, .. } => provider_customer.clone(),
            Self::CreateCheckout { checkout, .. } | Self::ExpireCheckout { checkout, .. } => {
                checkout.to_string()
            }
            Self::CreatePortal { provider_customer, minute, .. } => {
                format!("portal/{provider_customer}/{minute}")
            }
            Self::ChangeSubscription { subscription, .. }
            | Self::ScheduleChange { subscription, .. }
            | Self::UndoSchedule { subscription, .. }
            | Self::PauseSubscription { subscription, .. }
            | Self::CancelSubscription { subscription, .. }
            | Self::ResumeSubscription { subscription } => subscription.clone(),
            Self::CancelDuplicate { subscription, .. } => duplicate_object(subscription),
            Self::EndTrial { subscription, .. } => format!("trial/{subscription}"),
            Self::RefundDuplicate { payment, .. } => duplicate_object(payment),
            Self::Refund { payment, .. } => refund_object(payment),
            Self::ContestDispute { dispute, stage, .. } | Self::AcceptDispute { dispute, stage } => {
                dispute_object(dispute, *stage)
            }
            // All that gives a payment back by itself goes one after the other, whatever it is for.
            Self::Suspension { step: SuspensionStep::GiveBack { payment }, .. } => duplicate_object(payment),
            Self::Suspension { episode, step } => format!("suspension/{episode}/{}", step.object()),
            Self::PayInvoice { invoice, .. } | Self::GiveUpInvoice { invoice, .. } => invoice_object(invoice),
        }
    }

    /// Whether nobody asked for it: it follows from what was observed.
    pub(crate) const fn mends(&self) -> bool {
        match self {
            Self::UpdateCustomer { .. }
            | Self::CancelDuplicate { .. }
            | Self::RefundDuplicate { .. }
            | Self::EndTrial { .. }
            | Self::ContestDispute { .. }
            | Self::AcceptDispute { .. }
            | Self::Suspension { .. }
            | Self::GiveUpInvoice { .. } => true,
            Self::CreateCustomer { .. }
            | Self::DeleteCustomer { .. }
            | Self::Refund { .. }
            | Self::PayInvoice { .. }
            | Self::CreateCheckout { .. }
            | Self::ExpireCheckout { .. }
            | Self::CreatePortal { .. }
            | Self::ChangeSubscription { .. }
            | Self::ScheduleChange { .. }
            | Self::UndoSchedule { .. }
            | Self::PauseSubscription { .. }
            | Self::CancelSubscription { .. }
            | Self::ResumeSubscription { .. } => false,
        }
    }

    /// The same without what a person wrote in their own words; none when there is nothing of that.
    pub(crate) fn without_words(self) -> Option<Self> {
        match self {
            Self::CancelSubscription { subscription, at, feedback, comment: Some(_) } => {
                Some(Self::CancelSubscription { subscription, at, feedback, comment: None })
            }
            Self::ContestDispute { dispute, stage, note: Some(_) } => {
                Some(Self::ContestDispute { dispute, stage, note: None })
            }
            Self::CancelSubscription { comment: None, .. }
            | Self::ContestDispute { note: None, .. }
            | Self::CreateCustomer { .. }
            | Self::UpdateCustomer { .. }
            | Self::DeleteCustomer { .. }
            | Self::CreateCheckout { .. }
            | Self::ExpireCheckout { .. }
            | Self::CreatePortal { .. }
            | Self::ChangeSubscription { .. }
            | Self::ScheduleChange { .. }
            | Self::UndoSchedule { .. }
            | Self::PauseSubscription { .. }
            | Self::ResumeSubscription { .. }
            | Self::CancelDuplicate { .. }
            | Self::EndTrial { .. }
            | Self::RefundDuplicate { .. }
            | Self::Refund { .. }
            | Self::AcceptDispute { .. }
            | Self::Suspension { .. }
            | Self::PayInvoice { .. }
            | Self::GiveUpInvoice { .. } => None,
        }
    }

    /// How far a customer must be shut out for this not to be sent any more: what would charge them, or let them pay.
    pub(crate) const fn stopped_at(&self) -> Option<Level> {
        match self {
            Self::CreateCheckout { .. } => Some(Level::Checkouts),
            Self::PayInvoice { .. }
            | Self::CreatePortal { .. }
            | Self::ChangeSubscription { .. }
            | Self::ScheduleChange { .. }
            | Self::ResumeSubscription { .. }
            | Self::EndTrial { charges: true, .. } => Some(Level::All),
            // Whoever was shut out again since they were let in is not charged.
            Self::Suspension { step, .. } if step.lets_charge() => Some(Level::All),
            Self::CreateCustomer { .. }
            | Self::UpdateCustomer { .. }
            | Self::DeleteCustomer { .. }
            | Self::ExpireCheckout { .. }
            | Self::UndoSchedule { .. }
            | Self::PauseSubscription { .. }
            | Self::CancelSubscription { .. }
            | Self::CancelDuplicate { .. }
            | Self::EndTrial { charges: false, .. }
            | Self::RefundDuplicate { .. }
            | Self::Refund { .. }
            | Self::ContestDispute { .. }
            | Self::AcceptDispute { .. }
            | Self::Suspension { .. }
            | Self::GiveUpInvoice { .. } => None,
        }
    }

    /// Whether what an earlier try may have made must be found, though its customer is shut out by now: a page to pay on is open
    /// until somebody knows it, and is closed as soon as it is known.
    pub(crate) const fn must_be_found(&self) -> bool {
        matches!(self, Self::CreateCheckout { .. })
    }

    /// Whether a refusal is an ordinary end, after which the aggregate is looked at as after a success.
    pub(crate) const fn may_be_refused(&self) -> bool {
        match self {
            Self::Refund { .. } | Self::PayInvoice { .. } => true,
            Self::CreateCustomer { .. }
            | Self::UpdateCustomer { .. }
            | Self::DeleteCustomer { .. }
            | Self::CreateCheckout { .. }
            | Self::ExpireCheckout { .. }
            | Self::CreatePortal { .. }
            | Self::ChangeSubscription { .. }
            | Self::ScheduleChange { .. }
            | Self::UndoSchedule { .. }
            | Self::PauseSubscription { .. }
            | Self::CancelSubscription { .. }
            | Self::ResumeSubscription { .. }
            | Self::CancelDuplicate { .. }
            | Self::EndTrial { .. }
            | Self::RefundDuplicate { .. }
            | Self::ContestDispute { .. }
            | Self::AcceptDispute { .. }
            | Self::Suspension { .. }
            | Self::GiveUpInvoice { .. } => false,
        }
    }

    /// Whether the same wish, once granted, is the same for ever: then turns do not count.
    const fn happens_once(&self) -> bool {
        match self {
            Self::CreateCheckout { .. }
            | Self::ExpireCheckout { .. }
            | Self::CreatePortal { .. }
            | Self::PayInvoice { .. }
            | Self::GiveUpInvoice { .. } => true,
            Self::CreateCustomer { .. }
            | Self::UpdateCustomer { .. }
            | Self::DeleteCustomer { .. }
            | Self::CancelDuplicate { .. }
            | Self::EndTrial { .. }
            | Self::RefundDuplicate { .. }
            | Self::Refund { .. }
            | Self::ContestDispute { .. }
            | Self::AcceptDispute { .. }
            | Self::Suspension { .. }
            | Self::ChangeSubscription { .. }
            | Self::ScheduleChange { .. }
            | Self::UndoSchedule { .. }
            | Self::PauseSubscription { .. }
            | Self::CancelSubscription { .. }
            | Self::ResumeSubscription { .. } => false,
        }
    }

    /// The row to write down. Its key follows from the database, the wish and which one it is, and from nothing else.
    pub(crate) fn command(
        &self,
        instance: &str,
        aggregate: Option<&str>,
        customer: Option<&CustomerId>,
        which: Which<'_>,
    ) -> Result<NewCommand, StoreError> {
        let request = serde_json::to_string(self)
            .map_err(|e| StoreError::Aborted(format!("a command cannot be written: {e}")))?;
        let idempotency_key = match which {
            Which::Asked(seed) => asked_key(instance, self.kind(), seed),
            Which::Turn(turn) => {
                let turn = if self.happens_once() { 0 } else { turn };
                let digest = short_hex(&[instance, self.kind(), &request, &turn.to_string()]);
                format!("{KEY_PREFIX}{}-{digest}", self.kind())
            }
        };
        Ok(NewCommand {
            idempotency_key,
            kind: self.kind(),
            object: self.object(),
            aggregate: aggregate.map(str::to_owned),
            customer: customer.map(ToString::to_string),
            request,
        })
    }

    /// Reads what was written down.
    pub(crate) fn read(row: &CommandRow) -> Result<Self, Problem> {
        serde_json::from_str(&row.request).map_err(|error| {
            tracing::error!(command = row.id.as_str(), error = %error, "a command cannot be read");
            Problem::new(
                ProblemCode::Internal,
                "A command was written by another version and cannot be read.",
                "Operators: run the version that wrote it until it is done.",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(request: &Request, turn: i64) -> String {
        request.command("db", None, None, Which::Turn(turn)).unwrap().idempotency_key
    }

    #[test]
    fn the_same_wish_has_the_same_key_and_another_turn_another() {
        let cancel = Request::CancelSubscription {
            subscription: "sub_1".into(),
            at: CancelAt::PeriodEnd,
            feedback: None,
            comment: None,
        };
        assert_eq!(key(&cancel, 0), key(&cancel, 0));
        assert_ne!(key(&cancel, 0), key(&cancel, 1), "after a resume the same cancel is a new command");
        let now = Request::CancelSubscription {
            subscription: "sub_1".into(),
            at: CancelAt::Now,
            feedback: None,
            comment: None,
        };
        assert_ne!(key(&cancel, 0), key(&now, 0));
        let other = cancel.command("other database", None, None, Which::Turn(0)).unwrap().idempotency_key;
        assert_ne!(key(&cancel, 0), other);
    }

    #[test]
    fn a_refused_refund_is_asked_for_under_another_key() {
        let yen = quittance_domain::Currency::parse("jpy").unwrap();
        let refund = Request::RefundDuplicate {
            subscription: "sub_1".into(),
            payment: "pi_1".into(),
            amount: Money::new(1980, yen),
        };
        assert_eq!(key(&refund, 0), key(&refund, 0));
        assert_ne!(key(&refund, 0), key(&refund, 1), "after a refusal the old key would only repeat it");
    }
}
