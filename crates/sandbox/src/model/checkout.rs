//! Checkout sessions: an offer to buy, open until it is paid or its time is up.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::Rail;
use super::checkout_asks::Asks;
use super::checkout_form::CheckoutForm;
use super::payment::{CaptureMethod, Statement};
use super::product::Price;
use super::share::Share;
use super::subscription::MissingCard;
use super::tax::{AutomaticTax, TaxRate};
use super::terms::LineTerms;
use crate::state::table::{Stored, Table};
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;
use crate::words::words;

words! {
    /// What a session sells.
    Mode { Payment = "payment", Subscription = "subscription", Setup = "setup" }
}

words! {
    /// Where a session stands.
    SessionStatus { Open = "open", Complete = "complete", Expired = "expired" }
}

words! {
    /// Whether a session has been paid.
    PaymentStatus { Unpaid = "unpaid", Paid = "paid", NoPaymentRequired = "no_payment_required" }
}

/// One line of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionLine {
    pub(crate) id: String,
    pub(crate) price: String,
    /// 0 for a metered price.
    pub(crate) quantity: i64,
    /// Before discounts.
    pub(crate) amount: i64,
    /// Whether it is paid again each period; what is not is due even where a trial comes first.
    pub(crate) recurring: bool,
    pub(crate) description: String,
    pub(crate) terms: LineTerms,
    /// The place of the optional item that the buyer added as this.
    #[serde(default)]
    pub(crate) optional: Option<usize>,
    /// The fewest and the most that the buyer can make of it, where they can.
    #[serde(default)]
    pub(crate) adjustable: Option<(i64, i64)>,
    /// The seller's own notes on it.
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

impl SessionLine {
    /// What the line adds to the total.
    pub(crate) fn total(&self) -> i64 {
        self.amount.saturating_sub(self.terms.discounted()).saturating_add(self.terms.taxed(false))
    }

    fn taxed(&self) -> i64 {
        self.terms.taxed(true).saturating_add(self.terms.taxed(false))
    }

    /// The line item.
    pub(crate) fn render(&self, currency: Option<&str>, prices: &Table<Price>) -> Value {
        Shape::LineItem.with(json!({
            "id": self.id,
            "adjustable_quantity": self
                .adjustable
                .map(|(least, most)| json!({ "enabled": true, "maximum": most, "minimum": least })),
            "metadata": self.metadata,
            "amount_discount": self.terms.discounted(),
            "amount_subtotal": self.amount,
            "amount_tax": self.taxed(),
            "amount_total": self.total(),
            "currency": currency,
            "description": self.description,
            "price": prices.get(&self.price).map(Price::render),
            "quantity": (self.quantity > 0).then_some(self.quantity),
        }))
    }
}

/// A discount of a session, and what it came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionDiscount {
    pub(crate) id: String,
    pub(crate) coupon: String,
    pub(crate) promotion_code: Option<String>,
}

/// What a session says about the subscription that it will create.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SubscriptionData {
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) trial_days: Option<i64>,
    pub(crate) trial_end: Option<i64>,
    /// When the first whole period begins; until then nothing is charged.
    #[serde(default)]
    pub(crate) anchor: Option<i64>,
    pub(crate) missing_card: MissingCard,
}

/// What a session says about the payment that it will make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PaymentData {
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    #[serde(default)]
    pub(crate) statement: Statement,
    pub(crate) setup_future_usage: Option<String>,
    pub(crate) capture_method: CaptureMethod,
    pub(crate) shipping: Value,
}

/// A checkout session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CheckoutSession {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
    pub(crate) mode: Mode,
    pub(crate) status: SessionStatus,
    pub(crate) payment_status: PaymentStatus,
    pub(crate) currency: Option<String>,
    pub(crate) lines: Vec<SessionLine>,
    /// At most one.
    pub(crate) discounts: Vec<SessionDiscount>,
    /// Rates of the subscription, for lines that have none of their own.
    pub(crate) default_tax_rates: Vec<TaxRate>,
    pub(crate) automatic_tax: AutomaticTax,
    /// The buyer's country, upper case, where the session asks for it.
    pub(crate) country: Option<String>,
    /// The customer gets the address that the buyer gives.
    pub(crate) updates_address: bool,
    pub(crate) customer: Option<String>,
    pub(crate) customer_creation: String,
    pub(crate) customer_email: Option<String>,
    /// What the buyer typed: e-mail and name.
    pub(crate) buyer_email: Option<String>,
    pub(crate) buyer_name: Option<String>,
    pub(crate) client_reference_id: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) success_url: Option<String>,
    pub(crate) cancel_url: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) ui_mode: String,
    pub(crate) locale: Option<String>,
    pub(crate) allow_promotion_codes: Option<bool>,
    pub(crate) billing_address_collection: Option<String>,
    pub(crate) payment_method_collection: String,
    pub(crate) submit_type: Option<String>,
    pub(crate) subscription_data: SubscriptionData,
    pub(crate) payment_data: PaymentData,
    /// What is asked of the buyer beside the payment.
    pub(crate) form: CheckoutForm,
    /// Consent, names, items to add, the seller's own words.
    #[serde(default)]
    pub(crate) asks: Asks,
    pub(crate) subscription: Option<String>,
    pub(crate) invoice: Option<String>,
    pub(crate) payment_intent: Option<String>,
    pub(crate) setup_intent: Option<String>,
    /// The intent of a payment that is under way; in subscription mode the session does not show it.
    pub(crate) pending_intent: Option<String>,
    pub(crate) page_url: String,
    /// The link that opened it.
    #[serde(default)]
    pub(crate) payment_link: Option<String>,
    /// Who else has a share in what it makes.
    #[serde(default)]
    pub(crate) share: Share,
}

impl Stored for CheckoutSession {
    const LABEL: &'static str = "checkout.session";
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

impl CheckoutSession {
    /// Where the buyer goes after success.
    pub(crate) fn redirect_url(&self) -> Option<String> {
        let url = self.success_url.as_ref().or(self.return_url.as_ref())?;
        Some(url.replace("{CHECKOUT_SESSION_ID}", &self.id))
    }

    /// The types of method that can pay.
    pub(crate) fn method_types(&self) -> Vec<&'static str> {
        let currency = self.currency.as_deref().unwrap_or_default();
        let mut types = Rail::types_for(currency, self.mode != Mode::Payment);
        types.retain(|word| self.form.types.takes(word));
        types
    }

    /// Whether the buyer can complete it without any payment method: nothing is due, and none is asked for.
    pub(crate) fn needs_no_method(&self) -> bool {
        match self.mode {
            Mode::Payment => self.amount_total() == 0,
            Mode::Subscription => self.amount_total() == 0 && self.payment_method_collection == "if_required",
            Mode::Setup => false,
        }
    }

    /// Whether a customer is made of a buyer who is none yet: an invoice and a subscription are always somebody's.
    pub(crate) fn keeps_customer(&self) -> bool {
        self.mode == Mode::Subscription || self.customer_creation == "always" || self.asks.invoice.is_some()
    }

    fn customer_details(&self) -> Value {
        let email = self.buyer_email.as_ref().or(self.customer_email.as_ref());
        let address = self.country.as_ref().map(|country| {
            json!({ "city": null, "country": country, "line1": null, "line2": null, "postal_code": null, "state": null })
        });
        match self.status {
            SessionStatus::Complete => json!({
                "address": address, "business_name": self.asks.business.given, "email": email,
                "individual_name": self.asks.individual.given, "name": self.buyer_name,
                "phone": self.form.phone, "tax_exempt": "none", "tax_ids": [],
            }),
            SessionStatus::Open | SessionStatus::Expired => match email {
                Some(email) => json!({
                    "address": null, "business_name": null, "email": email, "individual_name": null, "name": null,
                    "phone": self.form.phone, "tax_exempt": "none", "tax_ids": null,
                }),
                None => Value::Null,
            },
        }
    }

    /// The sum of the lines after discounts, trial or not.
    pub(crate) fn total(&self) -> i64 {
        self.lines.iter().map(SessionLine::total).sum()
    }

    /// Whether time comes first that is free: a trial, or what is left until the billing cycle begins.
    pub(crate) fn has_trial(&self) -> bool {
        let data = &self.subscription_data;
        data.trial_days.is_some() || data.trial_end.is_some() || data.anchor.is_some()
    }

    /// What is paid when the trial ends.
    pub(crate) fn after_trial(&self) -> i64 {
        self.lines.iter().filter(|line| line.recurring).map(SessionLine::total).sum()
    }

    /// A sum over the lines, as far as it is due at completion: during a trial nothing is that recurs.
    fn due(&self, amount: impl Fn(&SessionLine) -> i64) -> i64 {
        let trial = self.has_trial();
        self.lines.iter().filter(|line| !(trial && line.recurring)).map(amount).sum()
    }

    /// Due at completion.
    pub(crate) fn amount_total(&self) -> i64 {
        self.due(SessionLine::total).saturating_add(self.form.shipping_amount())
    }

    /// Due at completion before discounts.
    pub(crate) fn amount_subtotal(&self) -> i64 {
        self.due(|line| line.amount)
    }

    /// What discounts take off what is due at completion.
    pub(crate) fn amount_discount(&self) -> i64 {
        self.due(|line| line.terms.discounted())
    }

    /// The taxes in and on what is due at completion.
    pub(crate) fn amount_tax(&self) -> i64 {
        self.due(SessionLine::taxed)
    }

    /// What the browser library needs; none for a session on the hosted page.
    pub(crate) fn client_secret(&self) -> Option<String> {
        (self.ui_mode != "hosted_page").then(|| format!("{}_secret_{}", self.id, self.created))
    }

    /// The object, without its line items, which must be asked for.
    pub(crate) fn render(&self) -> Value {
        let open = self.status == SessionStatus::Open;
        let sells = self.mode != Mode::Setup;
        let discounts: Vec<Value> = self
            .discounts
            .iter()
            .map(|discount| match &discount.promotion_code {
                Some(code) => json!({ "coupon": null, "promotion_code": code }),
                None => json!({ "coupon": discount.coupon, "promotion_code": null }),
            })
            .collect();
        let mut value = Shape::CheckoutSession.with(json!({
            "id": self.id,
            "created": self.created,
            "expires_at": self.expires_at,
            "mode": self.mode.as_str(),
            "status": self.status.as_str(),
            "payment_status": self.payment_status.as_str(),
            "adaptive_pricing": { "enabled": false },
            "currency": self.currency,
            "amount_subtotal": sells.then(|| self.amount_subtotal()),
            "amount_total": sells.then(|| self.amount_total()),
            "total_details": sells.then(|| json!({ "amount_discount": self.amount_discount(), "amount_shipping": self.form.shipping_amount(), "amount_tax": self.amount_tax() })),
            "customer": self.customer,
            "customer_creation": (self.mode == Mode::Payment).then_some(&self.customer_creation),
            "customer_email": self.customer_email,
            "customer_details": self.customer_details(),
            "client_reference_id": self.client_reference_id,
            "client_secret": self.client_secret().filter(|_| open),
            "metadata": self.metadata,
            "success_url": self.success_url,
            "cancel_url": self.cancel_url,
            "return_url": self.return_url,
            "ui_mode": self.ui_mode,
            "locale": self.locale,
            "allow_promotion_codes": self.allow_promotion_codes,
            "billing_address_collection": self.billing_address_collection,
            "payment_method_collection": self.payment_method_collection,
            "payment_method_options": { "card": { "request_three_d_secure": "automatic" } },
            "payment_method_types": self.method_types(),
            "submit_type": self.submit_type,
            "subscription": self.subscription,
            "invoice": self.invoice,
            "payment_intent": self.payment_intent,
            "payment_link": self.payment_link,
            "setup_intent": self.setup_intent,
            "discounts": discounts,
            "automatic_tax": {
                "enabled": self.automatic_tax.is_on(),
                "status": self.automatic_tax.status(),
                "liability": self.automatic_tax.liability(),
                "provider": self.automatic_tax.is_on().then_some("stripe"),
            },
            "url": (self.client_secret().is_none() && open).then_some(&self.page_url),
        }));
        if let Some(fields) = value.as_object_mut() {
            fields.extend(self.form.render());
            self.asks.render(self.mode == Mode::Payment, fields);
            let collected = json!({
                "business_name": self.asks.business.given, "individual_name": self.asks.individual.given,
                "shipping_details": self.form.address,
            });
            fields.insert("collected_information".to_owned(), collected);
        }
        value
    }

    /// Its line items.
    pub(crate) fn render_lines(&self, prices: &Table<Price>) -> Vec<Value> {
        self.lines.iter().map(|line| line.render(self.currency.as_deref(), prices)).collect()
    }
}
