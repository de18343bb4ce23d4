//! Invoices, their lines and payments.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decimal::Decimal;
use super::share::Share;
use super::subscription::{Collection, Period};
use super::tax::{LineTax, TaxRate, sum_taxes};
use super::terms::{InvoiceTerms, LineTerms, render_discounts};
use crate::payments::balance::round_fraction;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// Where an invoice stands.
    InvoiceStatus { Draft = "draft", Open = "open", Paid = "paid", Uncollectible = "uncollectible", Void = "void" }
}

words! {
    /// Why an invoice exists.
    BillingReason {
        SubscriptionCreate = "subscription_create",
        SubscriptionCycle = "subscription_cycle",
        SubscriptionUpdate = "subscription_update",
        Manual = "manual",
        QuoteAccept = "quote_accept",
        Upcoming = "upcoming",
    }
}

/// One line of an invoice, or one item that waits for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) description: String,
    pub(crate) period: Period,
    pub(crate) price: Option<String>,
    pub(crate) product: Option<String>,
    /// What one unit costs; none where units cost differently.
    pub(crate) unit_amount: Option<Decimal>,
    /// Whole units; what is after the point of a quantity that has more is in `exact`.
    pub(crate) quantity: i64,
    /// The quantity where it is not whole, as usage can be.
    #[serde(default)]
    pub(crate) exact: Option<Decimal>,
    pub(crate) subscription: Option<String>,
    pub(crate) subscription_item: Option<String>,
    pub(crate) invoice_item: Option<String>,
    pub(crate) proration: bool,
    /// What the period of a single amount is made of, while it is not known.
    #[serde(default)]
    pub(crate) span: Span,
    pub(crate) metadata: Metadata,
    /// How discounts and taxes bear on it.
    pub(crate) terms: LineTerms,
}

/// An end of the period of a single amount (`add_invoice_items[period]`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Edge {
    /// That of the period of the items: `max_item_period_start` and `min_item_period_end`, which say the same where all
    /// items have one period.
    #[default]
    OfItems,
    /// That of the phase of a schedule.
    OfPhase,
    /// In unix seconds.
    At(i64),
}

/// The period of a single amount, as it is asked for. Published default: the period of the items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: Edge,
    pub(crate) end: Edge,
}

impl Span {
    /// A period that is known.
    pub(crate) fn at(period: Period) -> Self {
        Self { start: Edge::At(period.start), end: Edge::At(period.end) }
    }

    /// The period, now that those are known that it can be made of.
    pub(crate) fn within(self, items: Period, phase: Period) -> Period {
        let start = match self.start {
            Edge::OfItems => items.start,
            Edge::OfPhase => phase.start,
            Edge::At(at) => at,
        };
        let end = match self.end {
            Edge::OfItems => items.end,
            Edge::OfPhase => phase.end,
            Edge::At(at) => at,
        };
        Period { start, end: end.max(start) }
    }

    /// Both ends, as a phase shows them.
    pub(crate) fn render(self) -> Value {
        let edge = |edge: Edge, of_items: &str, of_phase: &str| match edge {
            Edge::OfItems => json!({ "type": of_items }),
            Edge::OfPhase => json!({ "type": of_phase }),
            Edge::At(at) => json!({ "type": "timestamp", "timestamp": at }),
        };
        json!({
            "start": edge(self.start, "max_item_period_start", "phase_start"),
            "end": edge(self.end, "min_item_period_end", "phase_end"),
        })
    }
}

impl Line {
    /// Whether another line is for the same: the same item at the same price for the same time, as the tiers of a price
    /// make several, or this very line.
    pub(crate) fn is_sold_with(&self, other: &Self) -> bool {
        let of_item = self.subscription_item.is_some() && !self.proration && !other.proration;
        let same = (&self.subscription_item, &self.price, self.period)
            == (&other.subscription_item, &other.price, other.period);
        self.id == other.id || (of_item && same)
    }

    /// The quantity to its last decimal place.
    pub(crate) fn exact_quantity(&self) -> Decimal {
        self.exact.unwrap_or(Decimal::from(self.quantity))
    }

    /// What the line adds to the total before taxes.
    pub(crate) fn net(&self) -> i64 {
        self.amount.saturating_sub(self.terms.discounted())
    }

    /// What the line adds to the total.
    pub(crate) fn total(&self) -> i64 {
        self.net().saturating_add(self.terms.taxed(false))
    }

    /// The amount before discounts without the taxes that are in it.
    fn without_tax(&self) -> i64 {
        let inside = round_fraction(self.amount, self.terms.taxed(true), self.net().abs());
        if self.net() == 0 { self.amount } else { self.amount - inside * self.net().signum() }
    }

    /// `pricing`: the price it is billed at; null for a bare amount.
    pub(super) fn pricing(&self) -> Value {
        let details = self.price.as_ref().map(|price| json!({ "price": price, "product": self.product }));
        match details {
            Some(details) => {
                json!({ "type": "price_details", "price_details": details, "unit_amount_decimal": self.unit_amount })
            }
            None => Value::Null,
        }
    }

    /// The line of an invoice.
    pub(crate) fn render(&self, invoice: &str) -> Value {
        let parent = match (&self.subscription_item, &self.invoice_item) {
            (Some(item), _) => json!({
                "type": "subscription_item_details",
                "invoice_item_details": null,
                "subscription_item_details": {
                    "invoice_item": self.invoice_item, "proration": self.proration, "proration_details": { "credited_items": null },
                    "subscription": self.subscription, "subscription_item": item,
                },
            }),
            (None, Some(item)) => json!({
                "type": "invoice_item_details",
                "subscription_item_details": null,
                "invoice_item_details": {
                    "invoice_item": item, "proration": self.proration, "proration_details": { "credited_items": null },
                    "subscription": self.subscription,
                },
            }),
            (None, None) => Value::Null,
        };
        Shape::InvoiceLine.with(json!({
            "id": self.id,
            "amount": self.amount,
            "subtotal": self.amount,
            "currency": self.currency,
            "description": self.description,
            "discount_amounts": render_discounts(self.terms.discount_amounts.iter()),
            "discountable": !self.terms.settled,
            "discounts": self.terms.discounts,
            "invoice": invoice,
            "metadata": self.metadata,
            "parent": parent,
            "period": { "start": self.period.start, "end": self.period.end },
            "pretax_credit_amounts": [],
            "pricing": self.pricing(),
            "quantity": self.quantity,
            "quantity_decimal": self.exact_quantity(),
            "subscription": self.subscription,
            "taxes": self.terms.taxes.iter().map(LineTax::render).collect::<Vec<_>>(),
        }))
    }
}

/// When an invoice changed its status, in unix seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Transitions {
    pub(crate) finalized: Option<i64>,
    pub(crate) paid: Option<i64>,
    pub(crate) voided: Option<i64>,
    pub(crate) uncollectible: Option<i64>,
}

/// What an invoice only shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Says {
    pub(crate) footer: Option<String>,
    pub(crate) statement_descriptor: Option<String>,
    /// The date that it shows instead of the one on which it became final, in unix seconds.
    pub(crate) effective_at: Option<i64>,
    pub(crate) shipping: Value,
    pub(crate) custom_fields: Value,
}

/// An invoice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) status: InvoiceStatus,
    pub(crate) reason: BillingReason,
    /// The quote that it was made for; where that has recurring prices, the invoice is the subscription's.
    #[serde(default)]
    pub(crate) quote: Option<String>,
    pub(crate) customer: String,
    pub(crate) customer_email: Option<String>,
    /// Types and values of the customer's tax IDs; as they were when it became final.
    #[serde(default)]
    pub(crate) customer_tax_ids: Vec<(String, String)>,
    pub(crate) customer_name: Option<String>,
    pub(crate) subscription: Option<String>,
    pub(crate) subscription_metadata: Metadata,
    pub(crate) currency: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) period: Period,
    pub(crate) number: Option<String>,
    pub(crate) collection: Collection,
    pub(crate) auto_advance: bool,
    pub(crate) finalizes_at: Option<i64>,
    /// It would be final if every endpoint had acknowledged that it was created.
    #[serde(default)]
    pub(crate) awaits_endpoints: bool,
    pub(crate) due_date: Option<i64>,
    pub(crate) attempted: bool,
    pub(crate) attempt_count: i64,
    pub(crate) next_payment_attempt: Option<i64>,
    pub(crate) starting_balance: i64,
    /// The customer's balance once this invoice is final.
    pub(crate) balance_left: i64,
    pub(crate) ending_balance: Option<i64>,
    /// What is to be paid after the customer's balance, in minor units; fixed when the invoice becomes final.
    pub(crate) amount_due: i64,
    pub(crate) amount_paid: i64,
    /// What credit notes took off before the payment, and gave back after it.
    pub(crate) pre_notes: i64,
    pub(crate) post_notes: i64,
    pub(crate) default_payment_method: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) transitions: Transitions,
    /// The intent that pays it.
    pub(crate) payment_intent: Option<String>,
    /// Who else has a share in its payment.
    #[serde(default)]
    pub(crate) share: Share,
    /// Its payments, oldest first.
    pub(crate) payments: Vec<String>,
    /// Where people see it.
    pub(crate) page_url: String,
    /// The payment method that wants its owner's authentication; trying it again by itself makes no sense.
    pub(crate) hopeless_method: Option<String>,
    #[serde(default)]
    pub(crate) test_clock: Option<String>,
    pub(crate) terms: InvoiceTerms,
    pub(crate) says: Says,
    /// Why it could not become final by itself.
    pub(crate) finalization_error: Value,
}

impl Stored for Invoice {
    const LABEL: &'static str = "invoice";
    const SEARCHED: bool = true;
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        Some(&self.customer)
    }
}

impl Invoice {
    /// The sum of the lines before discounts.
    pub(crate) fn subtotal(&self) -> i64 {
        self.lines.iter().map(|line| line.amount).sum()
    }

    /// What the lines come to after discounts and taxes.
    pub(crate) fn total(&self) -> i64 {
        self.lines.iter().map(Line::total).sum()
    }

    /// What the lines come to after discounts, without any tax.
    pub(crate) fn total_without_tax(&self) -> i64 {
        self.lines.iter().map(|line| line.net() - line.terms.taxed(true)).sum()
    }

    /// Whether a discount took anything off.
    pub(crate) fn applied(&self, discount: &str) -> bool {
        let mut amounts = self.lines.iter().flat_map(|line| &line.terms.discount_amounts);
        amounts.any(|(applied, _)| applied == discount)
    }

    /// What is still to be paid.
    pub(crate) fn remaining(&self) -> i64 {
        match self.status {
            InvoiceStatus::Void => 0,
            InvoiceStatus::Draft
            | InvoiceStatus::Open
            | InvoiceStatus::Paid
            | InvoiceStatus::Uncollectible => (self.amount_due - self.amount_paid).max(0),
        }
    }

    /// The object, without the parts that must be asked for (`payments`, `confirmation_secret`).
    pub(crate) fn render(&self) -> Value {
        let total = self.total();
        let lines: Vec<Value> = self.lines.iter().map(|line| line.render(&self.id)).collect();
        let parent = match (&self.subscription, &self.quote) {
            (Some(subscription), _) => json!({
                "type": "subscription_details", "quote_details": null,
                "subscription_details": { "subscription": subscription, "metadata": self.subscription_metadata },
            }),
            (None, Some(quote)) => json!({
                "type": "quote_details", "quote_details": { "quote": quote }, "subscription_details": null,
            }),
            (None, None) => Value::Null,
        };
        let hosted = self.transitions.finalized.map(|_| self.page_url.clone());
        let mut value = Shape::Invoice.with(json!({
            "id": self.id,
            "created": self.created,
            "status": self.status.as_str(),
            "billing_reason": self.reason.as_str(),
            "account_country": "US",
            "account_name": "Sandbox",
            "customer": self.customer,
            "customer_email": self.customer_email,
            "customer_tax_ids": self
                .customer_tax_ids
                .iter()
                .map(|(kind, value)| json!({ "type": kind, "value": value }))
                .collect::<Vec<_>>(),
            "customer_name": self.customer_name,
            "customer_tax_exempt": if self.terms.exempt.is_empty() { "none" } else { self.terms.exempt.as_str() },
            "automatic_tax": {
                "enabled": self.terms.automatic_tax.is_on(),
                "status": self.terms.automatic_tax.status(),
                "liability": self.terms.automatic_tax.liability(),
                "provider": self.terms.automatic_tax.is_on().then_some("stripe"),
            },
            "default_tax_rates": self.terms.default_tax_rates.iter().map(TaxRate::render).collect::<Vec<_>>(),
            "last_finalization_error": self.finalization_error,
            "currency": self.currency,
            "lines": { "data": lines, "url": format!("/v1/invoices/{}/lines", self.id) },
            "period_start": self.period.start,
            "period_end": self.period.end,
            "number": self.number,
            "collection_method": self.collection.as_str(),
            "auto_advance": self.auto_advance,
            "automatically_finalizes_at": self.finalizes_at,
            "due_date": self.due_date,
            "effective_at": self.says.effective_at.or(self.transitions.finalized),
            "footer": self.says.footer,
            "statement_descriptor": self.says.statement_descriptor,
            "shipping_details": self.says.shipping,
            "custom_fields": self.says.custom_fields,
            "attempted": self.attempted,
            "attempt_count": self.attempt_count,
            "next_payment_attempt": self.next_payment_attempt,
            "starting_balance": self.starting_balance,
            "ending_balance": self.ending_balance,
            "subtotal": self.subtotal(),
            "subtotal_excluding_tax": self.lines.iter().map(Line::without_tax).sum::<i64>(),
            "total": total,
            "total_excluding_tax": self.total_without_tax(),
            "discounts": self.terms.discounts,
            "total_discount_amounts": render_discounts(self.lines.iter().flat_map(|line| &line.terms.discount_amounts)),
            "total_pretax_credit_amounts": [],
            "total_taxes": sum_taxes(self.lines.iter().flat_map(|line| &line.terms.taxes))
                .iter()
                .map(LineTax::render)
                .collect::<Vec<_>>(),
            "amount_due": self.amount_due,
            "amount_paid": self.amount_paid,
            "amount_remaining": self.remaining(),
            "pre_payment_credit_notes_amount": self.pre_notes,
            "post_payment_credit_notes_amount": self.post_notes,
            "default_payment_method": self.default_payment_method,
            "description": self.description,
            "metadata": self.metadata,
            "issuer": { "type": "self" },
            "parent": parent,
            "test_clock": self.test_clock,
            "status_transitions": {
                "finalized_at": self.transitions.finalized,
                "marked_uncollectible_at": self.transitions.uncollectible,
                "paid_at": self.transitions.paid,
                "voided_at": self.transitions.voided,
            },
            "hosted_invoice_url": hosted,
            "invoice_pdf": null,
            "webhooks_delivered_at": self.transitions.finalized,
        }));
        self.share.onto_invoice(&mut value);
        value
    }
}
