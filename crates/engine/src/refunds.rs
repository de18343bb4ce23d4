//! Giving money back, by payment or by invoice: looked at first, checked in the transaction that writes the command down, then
//! carried out as any command. And the payments that there are.

use quittance_domain::access::MoneyState;
use quittance_domain::projection::{AnomalyKind, PaymentFacts, Projection};
use quittance_domain::refund::{self, Moved, RefundReason, RefundRefusal, RefundStatus, Refundable};
use quittance_domain::{
    AggregateKey, AggregateObject, CommandId, Currency, CustomerId, Money, Scope, Timestamp,
};
use quittance_store::aggregates::{self, Hint, Priority as Urgency};
use quittance_store::commands::{self, CommandRow, CommandState};
use quittance_store::history::{self, NewLine};
use quittance_store::mirror::{self, PaymentRow};
use quittance_store::{StoreError, Tx, customers, outbox};
use quittance_stripe::calls::invoices::PaymentOf;
use quittance_stripe::calls::{self, Paging};
use quittance_stripe::error::{ErrorKind, StripeError};
use quittance_stripe::observe::ObservedInvoicePayment;
use serde_json::{Value, json};

use crate::api_keys::Caller;
use crate::commands::request::{Request, Which, asked_id, duplicate_object, refund_object};
use crate::commands::{MENDING_REFUSED, under_way};
use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};
use crate::world::Point;

/// The kind of the command.
const KIND: &str = "refund.create";

/// What money is wanted back from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOf {
    /// A payment, by the provider's id (`pi_…`).
    Payment(String),
    /// An invoice, by the provider's id (`in_…`).
    Invoice(String),
}

/// A refund that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRefund {
    /// From what.
    pub of: RefundOf,
    /// How much, in minor units; all that is left when absent.
    pub amount: Option<i64>,
    /// The currency that the caller believes the payment to be in.
    pub currency: Option<Currency>,
    /// Why.
    pub reason: RefundReason,
    /// Whether an invoice gets a credit note, which makes the refund.
    pub credit_note: bool,
    /// Whether the money went back outside of the provider: only the credit note is made, and the books say so.
    pub out_of_band: bool,
}

/// What a refund would be, before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundPlan {
    /// The payment.
    pub payment: String,
    /// The invoice whose credit note makes it.
    pub invoice: Option<String>,
    /// Whose payment it is.
    pub customer: Option<CustomerId>,
    /// What was paid.
    pub paid: Money,
    /// What goes back.
    pub amount: Money,
    /// What is left afterwards, in minor units.
    pub left: i64,
}

/// A refund that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refunded {
    /// The command that makes it.
    pub command: CommandId,
    /// The provider's refund (`re_…`); none for money that went back outside of it.
    pub refund: Option<String>,
    /// The credit note (`cn_…`), where an invoice was paid.
    pub credit_note: Option<String>,
    /// The payment.
    pub payment: String,
    /// The invoice.
    pub invoice: Option<String>,
    /// How much.
    pub amount: Money,
    /// Where it stands, in the provider's word.
    pub status: String,
    /// Whether the customer has the money.
    pub moved: Moved,
}

/// What was paid, and by whom.
struct Paid {
    payment: String,
    invoice: Option<String>,
    /// None for a guest's.
    provider_customer: Option<String>,
    facts: PaymentFacts,
}

impl Paid {
    /// What is locked while it is decided how much goes back, and looked at afterwards.
    fn aggregate(&self, scope: &Scope) -> String {
        match &self.provider_customer {
            Some(customer) => AggregateKey::customer(scope.clone(), customer),
            None => {
                AggregateKey { scope: scope.clone(), object: AggregateObject::Payment(self.payment.clone()) }
            }
        }
        .to_string()
    }
}

/// Whose payment it is.
fn owner(
    tx: &mut dyn Tx,
    scope: &str,
    provider_customer: Option<&str>,
) -> Result<Option<CustomerId>, StoreError> {
    provider_customer.map_or(Ok(None), |buyer| customers::linked(tx, scope, buyer))
}

impl Engine {
    /// What a refund would be, by the provider's truth of this moment; nothing is written.
    ///
    /// # Errors
    /// As [`Engine::refund`].
    #[crate::boxed]
    pub async fn plan_refund(&self, new: &NewRefund) -> Result<RefundPlan, Problem> {
        let paid = self.what_was_paid(new).await?;
        let (scope, buyer, payment) =
            (self.scope().to_string(), paid.provider_customer.clone(), paid.payment.clone());
        let facts = paid.facts.clone();
        let (customer, of) = self
            .db()
            .read("refunds.plan", move |tx| {
                Ok((owner(tx, &scope, buyer.as_deref())?, refundable(tx, &payment, &facts, None)?))
            })
            .await?;
        let amount =
            refund::amount(&of, new.amount, new.currency).map_err(|why| refused(&paid.payment, why))?;
        Ok(RefundPlan {
            payment: paid.payment,
            invoice: paid.invoice,
            customer,
            paid: of.paid,
            amount,
            left: of.left().saturating_sub(amount.minor),
        })
    }

    /// Gives money back, once: never more than is left, however many ask at the same time. `asked` is the seed of the caller's
    /// idempotency key.
    ///
    /// # Errors
    /// `not_found`, `refund_refused` for an amount that cannot be, `wrong_state`, and what the provider says.
    #[crate::boxed]
    pub async fn refund(
        &self,
        new: &NewRefund,
        by: &Caller,
        asked: Option<&str>,
    ) -> Result<Refunded, Problem> {
        let command = match self.asked_before(KIND, asked).await? {
            Some(command) => command,
            None => {
                let paid = self.what_was_paid(new).await?;
                self.want_refund(new, paid, by, asked).await?
            }
        };
        self.hand_back(&command).await.map_err(under_way)
    }

    /// Carries a refund out, and tells how it stands once the sync that it has marked is over.
    async fn hand_back(&self, command: &CommandId) -> Result<Refunded, Problem> {
        let answer = self.perform(command).await?;
        let id = command.clone();
        let row = self.db().read("commands.get", move |tx| commands::get(tx, &id)).await?;
        let row = row.ok_or_else(|| Problem::not_found("refund"))?;
        if let Some(aggregate) = &row.aggregate {
            // The caller sees its own change: wait for the sync that the command has marked.
            self.wait_clean(aggregate, self.settings().redirect_wait_ms).await?;
        }
        self.refunded(&row, &answer).await
    }

    async fn want_refund(
        &self,
        new: &NewRefund,
        paid: Paid,
        by: &Caller,
        asked: Option<&str>,
    ) -> Result<CommandId, Problem> {
        self.refuse_in_shadow()?;
        let key = paid.aggregate(self.scope());
        let (scope, instance, now) = (self.scope().to_string(), self.instance().to_owned(), self.now());
        let (new, seed, by) = (new.clone(), asked.map(str::to_owned), by.key.to_string());
        let engine = self.clone();
        let written = self
            .db()
            .write("refunds.want", move |tx| {
                // The mark holds the aggregate's row: whoever else wants money back of this customer waits here.
                let hint =
                    Hint { key: &key, priority: Urgency::Waiting, due: now, unpark: false, thorough: true };
                aggregates::mark(tx, &hint, now)?;
                // The same call may have come this far by another node that took it over: its refund is this one, and
                // counts as under way.
                if let Some(command) = seed.as_deref().map(|seed| asked_id(&instance, KIND, seed))
                    && commands::get(tx, &command)?.is_some()
                {
                    return Ok(Ok(command));
                }
                let of = refundable(tx, &paid.payment, &paid.facts, None)?;
                let amount = match refund::amount(&of, new.amount, new.currency) {
                    Ok(amount) => amount,
                    Err(why) => return Ok(Err((paid.payment.clone(), why))),
                };
                let customer = owner(tx, &scope, paid.provider_customer.as_deref())?;
                let request = Request::Refund {
                    payment: paid.payment.clone(),
                    amount,
                    reason: new.reason,
                    invoice: paid.invoice.clone(),
                    out_of_band: new.out_of_band,
                };
                let turn = commands::asked(tx, &request.object())?.count;
                let which = seed.as_deref().map_or(Which::Turn(turn), Which::Asked);
                let command = request.command(&instance, Some(&key), customer.as_ref(), which)?;
                if engine.write_down(tx, &command, now)? {
                    history::insert(tx, &line(&request, customer, &key, &by, now)?)?;
                }
                Ok(Ok(command.id()))
            })
            .await
            .map_err(|error| under_way(error.into()))?;
        self.world().point(Point::CommandWanted).await;
        written.map_err(|(payment, why)| refused(&payment, why))
    }

    /// Which payment is meant, by which invoice it was made, whose it is, and what became of it.
    async fn what_was_paid(&self, new: &NewRefund) -> Result<Paid, Problem> {
        let (payment, invoice) = match &new.of {
            RefundOf::Payment(id) if id.starts_with("ch_") || id.starts_with("py_") => {
                return Err(Problem::new(
                    ProblemCode::InvalidRequest,
                    format!("`payment` is {id}, which is a charge and no payment."),
                    "Send the payment that it belongs to (`payment_intent` of the charge, pi_…). A charge without one is refunded at the provider; the ledger will show it.",
                ));
            }
            RefundOf::Payment(id) if !id.starts_with("pi_") => {
                return Err(Problem::invalid("`payment` must be the provider's id of a payment (pi_…)."));
            }
            RefundOf::Payment(id) if new.credit_note => (id.clone(), self.invoice_of(id).await?),
            RefundOf::Payment(id) => (id.clone(), None),
            RefundOf::Invoice(id) if !id.starts_with("in_") => {
                return Err(Problem::invalid("`invoice` must be the provider's id of an invoice (in_…)."));
            }
            RefundOf::Invoice(id) => {
                (self.only_payment_of(id).await?, Some(id.clone()).filter(|_| new.credit_note))
            }
        };
        let call = calls::payments::retrieve_intent(&payment);
        let intent = match self.ask(call).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
                return Err(Problem::not_found("payment"));
            }
            other => other?,
        };
        let facts = self.fetch_payment(&payment, false).await.map_err(crate::sync::as_problem)?;
        let facts = facts.ok_or_else(|| no_money(&payment))?;
        Ok(Paid { payment, invoice, provider_customer: intent.customer, facts })
    }

    /// The invoice that a payment paid, if one.
    async fn invoice_of(&self, payment: &str) -> Result<Option<String>, Problem> {
        match self.paid_by(payment).await? {
            PaidFor::Nothing => Ok(None),
            PaidFor::Invoice(invoice) => Ok(Some(invoice)),
            PaidFor::Part(invoice) => Err(several_payments(&invoice)),
        }
    }

    /// What a payment paid for. A credit note refunds a payment of the invoice of its own choice: with several, it is not for us to
    /// choose.
    #[crate::boxed]
    pub(crate) async fn paid_by(&self, payment: &str) -> Result<PaidFor, StripeError> {
        let call = calls::invoices::list_payments(PaymentOf::PaymentIntent(payment), Paging::default());
        let page = self.ask(call).await?;
        let Some(invoice) =
            page.items.iter().filter(|found| is_paid(found)).map(|found| found.invoice.clone()).next()
        else {
            return Ok(PaidFor::Nothing);
        };
        let payments = self.payments_of(&invoice).await?;
        Ok(if payments.len() > 1 { PaidFor::Part(invoice) } else { PaidFor::Invoice(invoice) })
    }

    async fn payments_of(&self, invoice: &str) -> Result<Vec<String>, StripeError> {
        let call = calls::invoices::list_payments(PaymentOf::Invoice(invoice), Paging::default());
        let page = self.ask(call).await?;
        let paid = page.items.into_iter().filter(is_paid);
        Ok(paid.filter_map(|found| found.payment.payment_intent).collect())
    }

    async fn only_payment_of(&self, invoice: &str) -> Result<String, Problem> {
        let mut paid = match self.payments_of(invoice).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound { .. }) => {
                return Err(Problem::not_found("invoice"));
            }
            other => other?.into_iter(),
        };
        match (paid.next(), paid.next()) {
            (Some(payment), None) => Ok(payment),
            (Some(_), Some(_)) => Err(several_payments(invoice)),
            (None, _) => Err(Problem::new(
                ProblemCode::WrongState,
                format!("The invoice {invoice} was paid by no payment."),
                "Void it, or make a credit note at the provider.",
            )),
        }
    }

    async fn refunded(&self, row: &CommandRow, answer: &Value) -> Result<Refunded, Problem> {
        let Request::Refund { payment, amount, invoice, out_of_band, .. } = Request::read(row)? else {
            return Err(Problem::not_found("refund"));
        };
        let text = |field: &str| answer.get(field).and_then(Value::as_str).map(str::to_owned);
        let refund = text("id");
        let (scope, id) = (self.scope().to_string(), payment.clone());
        let mirrored = self.db().read("payments.get", move |tx| mirror::payment(tx, &scope, &id)).await?;
        let seen =
            mirrored.and_then(|row| row.facts.refunds.into_iter().find(|r| Some(&r.id) == refund.as_ref()));
        let status = match (seen, text("status")) {
            (Some(seen), _) => seen.status,
            (None, Some(told)) => told,
            (None, None) if out_of_band => "succeeded".to_owned(),
            (None, None) => "pending".to_owned(),
        };
        let moved = RefundStatus::from(status.as_str()).moved();
        let credit_note = text("credit_note");
        Ok(Refunded { command: row.id.clone(), refund, credit_note, payment, invoice, amount, status, moved })
    }

    /// Payments that we have seen, newest first: those before the payment `before`, of one customer where one is named.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn payments(
        &self,
        customer: Option<&str>,
        before: Option<&str>,
        limit: i64,
    ) -> Result<Vec<PaymentRow>, Problem> {
        let scope = self.scope().to_string();
        let (customer, before) = (customer.map(str::to_owned), before.map(str::to_owned));
        let rows = self
            .db()
            .read("payments.list", move |tx| {
                mirror::payments(tx, &scope, customer.as_deref(), before.as_deref(), limit)
            })
            .await?;
        Ok(rows)
    }
}

/// What a payment paid for.
pub(crate) enum PaidFor {
    /// No invoice.
    Nothing,
    /// This invoice, alone.
    Invoice(String),
    /// This invoice, together with other payments.
    Part(String),
}

pub(crate) fn no_money(payment: &str) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("The payment {payment} has brought no money that could go back."),
        "GET /v1/payments shows what was paid.",
    )
}

fn several_payments(invoice: &str) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("The invoice {invoice} was paid by several payments."),
        "Name the payment, and send `credit_note: false`; then make the credit note at the provider.",
    )
}

fn is_paid(found: &ObservedInvoicePayment) -> bool {
    found.payment.status.as_deref().is_none_or(|status| status == "paid")
}

/// What is left of a payment: by what the provider says, and by what we have asked for and it does not show yet, beside the command
/// `own` that wants to know.
pub(crate) fn refundable(
    tx: &mut dyn Tx,
    payment: &str,
    facts: &PaymentFacts,
    own: Option<&CommandId>,
) -> Result<Refundable, StoreError> {
    let mut promised: i64 = 0;
    for row in commands::of_object(tx, &refund_object(payment))? {
        let Ok(Request::Refund { amount, out_of_band, .. }) = serde_json::from_str(&row.request) else {
            continue;
        };
        let shown = || made(&row).is_some_and(|id| facts.refunds.iter().any(|refund| refund.id == id));
        let counts = match row.state {
            CommandState::Pending => true,
            CommandState::Succeeded => out_of_band || !shown(),
            CommandState::Failed => false,
        };
        if counts {
            promised = promised.saturating_add(amount.minor);
        }
    }
    // What mends by itself gives all of it back.
    let mending = commands::of_object(tx, &duplicate_object(payment))?;
    if mending.iter().any(|row| row.state == CommandState::Pending && Some(&row.id) != own) {
        promised = facts.amount.minor;
    }
    Ok(Refundable { paid: facts.amount, returned: facts.refunded.minor, promised, money: facts.money })
}

/// Drops what failed at the provider and was made up for outside of it.
pub(crate) fn forget_made_up_for(tx: &mut dyn Tx, projection: &mut Projection) -> Result<(), StoreError> {
    let mut over: Vec<String> = Vec::new();
    for payment in &projection.payments {
        let owed = refund::owed_again(&payment.refunds);
        if owed.is_empty() {
            continue;
        }
        let mut outside = given_outside(tx, &payment.id)?;
        for refund in owed {
            if refund.amount.minor <= outside {
                outside -= refund.amount.minor;
                over.push(refund.id.clone());
            }
        }
    }
    projection.anomalies.retain(|a| a.kind != AnomalyKind::RefundFailed || !over.contains(&a.object));
    Ok(())
}

/// Ends the alerts about mending that the provider refused, where somebody has mended it by hand.
pub(crate) fn resolve_mended(
    tx: &mut dyn Tx,
    projection: &Projection,
    now: Timestamp,
) -> Result<(), StoreError> {
    for twice in projection.subscriptions.iter().filter(|s| s.duplicate.is_some()) {
        if !twice.is_live() {
            outbox::resolve(tx, MENDING_REFUSED, &duplicate_object(&twice.facts.id), now)?;
        }
        for paid in twice.facts.latest_invoice.iter().flat_map(|invoice| &invoice.payments) {
            let back = |p: &&PaymentFacts| p.id == paid.payment && p.money == MoneyState::Refunded;
            if projection.payments.iter().any(|p| back(&p)) {
                outbox::resolve(tx, MENDING_REFUSED, &duplicate_object(&paid.payment), now)?;
            }
        }
    }
    Ok(())
}

/// What went back outside of the provider, in minor units.
fn given_outside(tx: &mut dyn Tx, payment: &str) -> Result<i64, StoreError> {
    let mut sum: i64 = 0;
    for row in commands::of_object(tx, &refund_object(payment))? {
        if let Ok(Request::Refund { amount, out_of_band: true, .. }) = serde_json::from_str(&row.request)
            && row.state == CommandState::Succeeded
        {
            sum = sum.saturating_add(amount.minor);
        }
    }
    Ok(sum)
}

/// The refund that a command made.
fn made(row: &CommandRow) -> Option<String> {
    let answer: Value = serde_json::from_str(row.result.as_deref()?).ok()?;
    answer.get("id")?.as_str().map(str::to_owned)
}

pub(crate) fn refused(payment: &str, why: RefundRefusal) -> Problem {
    Problem::new(
        ProblemCode::RefundRefused,
        format!("Nothing was refunded of {payment}: {why}."),
        match why {
            RefundRefusal::NotPositive | RefundRefusal::OtherCurrency(_) | RefundRefusal::NotRound => {
                "Correct the amount or the currency and send it again."
            }
            RefundRefusal::NothingLeft | RefundRefusal::TooMuch(_) => {
                "GET /v1/payments shows what was paid and what went back; a refund that is under way counts."
            }
            RefundRefusal::Disputed => {
                "Answer the dispute, or accept it: GET /v1/disputes. A dispute that is won makes it refundable again."
            }
        },
    )
}

fn line(
    request: &Request,
    customer: Option<CustomerId>,
    aggregate: &str,
    by: &str,
    now: Timestamp,
) -> Result<NewLine, StoreError> {
    let data = serde_json::to_string(request).map_err(|error| StoreError::Aborted(error.to_string()))?;
    Ok(NewLine {
        customer,
        aggregate: Some(aggregate.to_owned()),
        at: now,
        kind: "refund.asked".to_owned(),
        object: request.object().trim_start_matches("refund/").to_owned(),
        data,
        cause: json!({ "api_key": by }).to_string(),
    })
}
