//! Quotes: an offer to a customer, made of lines with prices, that becomes a subscription or an invoice.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checkout::SessionLine;
use super::product::{Price, Recurring};
use super::subscription::Collection;
use crate::state::table::{Stored, Table};
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;

/// What an accepted quote has become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Invoice(String),
    Subscription { id: String, invoice: Option<String> },
}

/// Where a quote stands; instants are unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum QuoteState {
    Draft,
    Open,
    Accepted { at: i64, outcome: Outcome },
    Canceled { at: i64 },
}

impl QuoteState {
    /// The word of the API.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Accepted { .. } => "accepted",
            Self::Canceled { .. } => "canceled",
        }
    }

    /// Whether it can still be accepted or canceled.
    pub(crate) const fn is_alive(&self) -> bool {
        match self {
            Self::Draft | Self::Open => true,
            Self::Accepted { .. } | Self::Canceled { .. } => false,
        }
    }
}

/// What a quote says about the subscription that it may become.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct QuotedSubscription {
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) trial_days: Option<i64>,
}

/// A quote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Quote {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
    pub(crate) state: QuoteState,
    /// The number that it gets when it is final, and when that was.
    pub(crate) finalized: Option<(String, i64)>,
    pub(crate) customer: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) lines: Vec<SessionLine>,
    pub(crate) collection: Collection,
    pub(crate) days_until_due: Option<i64>,
    pub(crate) invoice_description: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) header: Option<String>,
    pub(crate) footer: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) subscription: QuotedSubscription,
    pub(crate) test_clock: Option<String>,
}

impl Stored for Quote {
    const LABEL: &'static str = "quote";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        self.customer.as_deref()
    }
}

/// The rhythm of a line; none when it is paid once.
pub(crate) fn rhythm(line: &SessionLine, prices: &Table<Price>) -> Option<Recurring> {
    prices.get(&line.price).and_then(|price| price.recurring)
}

impl Quote {
    /// The lines that are due when it is accepted: during a trial those that are paid once.
    pub(crate) fn upfront<'a>(&'a self, prices: &'a Table<Price>) -> impl Iterator<Item = &'a SessionLine> {
        let trial = self.subscription.trial_days.is_some();
        self.lines.iter().filter(move |line| !trial || rhythm(line, prices).is_none())
    }

    /// The object, without its lines, which must be asked for.
    pub(crate) fn render(&self, prices: &Table<Price>) -> Value {
        let sums = |lines: &mut dyn Iterator<Item = &SessionLine>| {
            let lines: Vec<&SessionLine> = lines.collect();
            let (mut subtotal, mut total) = (0_i64, 0_i64);
            for line in lines {
                subtotal = subtotal.saturating_add(line.amount);
                total = total.saturating_add(line.total());
            }
            json!({
                "amount_subtotal": subtotal,
                "amount_total": total,
                "total_details": { "amount_discount": subtotal.saturating_sub(total), "amount_shipping": 0, "amount_tax": 0 },
            })
        };
        let all = sums(&mut self.lines.iter());
        let recurring = self.lines.iter().find_map(|line| rhythm(line, prices)).map(|recurring| {
            let mut part = sums(&mut self.lines.iter().filter(|line| rhythm(line, prices).is_some()));
            if let Some(fields) = part.as_object_mut() {
                fields.insert("interval".to_owned(), json!(recurring.interval.as_str()));
                fields.insert("interval_count".to_owned(), json!(recurring.count));
            }
            part
        });
        let (accepted_at, canceled_at, outcome) = match &self.state {
            QuoteState::Draft | QuoteState::Open => (None, None, None),
            QuoteState::Accepted { at, outcome } => (Some(at), None, Some(outcome)),
            QuoteState::Canceled { at } => (None, Some(at), None),
        };
        let (subscription, invoice) = match outcome {
            None => (None, None),
            Some(Outcome::Invoice(invoice)) => (None, Some(invoice)),
            Some(Outcome::Subscription { id, invoice }) => (Some(id), invoice.as_ref()),
        };
        Shape::Quote.with(json!({
            "id": self.id,
            "created": self.created,
            "expires_at": self.expires_at,
            "status": self.state.as_str(),
            "number": self.finalized.as_ref().map(|(number, _)| number),
            "status_transitions": {
                "accepted_at": accepted_at,
                "canceled_at": canceled_at,
                "finalized_at": self.finalized.as_ref().map(|(_, at)| at),
            },
            "customer": self.customer,
            "currency": self.currency,
            "amount_subtotal": all.get("amount_subtotal"),
            "amount_total": all.get("amount_total"),
            "total_details": all.get("total_details"),
            "computed": { "recurring": recurring, "upfront": sums(&mut self.upfront(prices)) },
            "collection_method": self.collection.as_str(),
            "invoice_settings": { "days_until_due": self.days_until_due, "description": self.invoice_description },
            "description": self.description,
            "header": self.header,
            "footer": self.footer,
            "metadata": self.metadata,
            "subscription_data": {
                "description": self.subscription.description,
                "metadata": self.subscription.metadata,
                "trial_period_days": self.subscription.trial_days,
            },
            "subscription": subscription,
            "invoice": invoice,
            "test_clock": self.test_clock,
        }))
    }

    /// Its lines, or some of them.
    pub(crate) fn render_lines<'a>(
        &self,
        lines: impl Iterator<Item = &'a SessionLine>,
        prices: &Table<Price>,
    ) -> Vec<Value> {
        lines.map(|line| line.render(self.currency.as_deref(), prices)).collect()
    }
}
