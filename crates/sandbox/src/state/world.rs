//! Everything the sandbox knows, and how it looks from outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::chance::Chance;
use super::table::{Stored, Table};
use super::timers::Timers;
use crate::billing::metering::Metering;
use crate::clocks::Away;
use crate::connect::books::Connect;
use crate::faults::{Fault, Rate};
use crate::model::account::Account;
use crate::model::cash::CashEntry;
use crate::model::charge::Charge;
use crate::model::checkout::CheckoutSession;
use crate::model::checkout_form::ShippingRate;
use crate::model::coupon::{Coupon, Discount, PromotionCode};
use crate::model::credit_note::CreditNote;
use crate::model::customer::{Customer, PaymentMethod};
use crate::model::customer_balance::BalanceEntry;
use crate::model::dispute::Dispute;
use crate::model::event::{Event, WebhookEndpoint};
use crate::model::fraud::FraudWarning;
use crate::model::invoice::Invoice;
use crate::model::invoice_item::InvoiceItem;
use crate::model::invoice_payment::InvoicePayment;
use crate::model::meter::Meter;
use crate::model::money::{BalanceTransaction, Refund};
use crate::model::payment::{PaymentIntent, SetupIntent};
use crate::model::payment_link::PaymentLink;
use crate::model::payout::Payout;
use crate::model::portal::{PortalConfiguration, PortalSession};
use crate::model::product::{Price, Product};
use crate::model::quote::Quote;
use crate::model::schedule::Schedule;
use crate::model::subscription::Subscription;
use crate::model::tax::TaxRate;
use crate::model::tax_id::TaxId;
use crate::model::test_clock::TestClock;
use crate::model::topup::Topup;
use crate::model::transfer::{ApplicationFee, Reversal, Transfer};
use crate::settings::Settings;
use crate::webhooks::deliveries::Deliveries;
use crate::webhooks::policy::DeliveryPolicy;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::idempotency::Keys;
use crate::wire::shape::Shape;

/// The version that is played.
pub(crate) const API_VERSION: &str = crate::versions::NEWEST;

/// The request that causes what happens now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cause {
    pub(crate) id: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) version: Option<String>,
}

/// The state of the sandbox. It can be written out and read back whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct World {
    pub(crate) account_id: String,
    pub(crate) public_url: String,
    /// What the seller is called on the pages.
    pub(crate) merchant: String,
    pub(crate) settings: Settings,
    /// The instant that is being played on the time line at work, in unix seconds.
    pub(crate) now: i64,
    pub(crate) chance: Chance,
    pub(crate) policy_chance: Chance,
    /// What falls due on the time line at work.
    pub(crate) timers: Timers,
    /// The account's own time while that of a test clock is at work.
    #[serde(default)]
    pub(crate) away: Option<Away>,
    #[serde(default)]
    pub(crate) test_clocks: Table<TestClock>,
    pub(crate) keys: Keys,
    pub(crate) request: Option<Cause>,
    pub(crate) customers: Table<Customer>,
    pub(crate) balance_entries: Table<BalanceEntry>,
    pub(crate) payment_methods: Table<PaymentMethod>,
    pub(crate) products: Table<Product>,
    pub(crate) prices: Table<Price>,
    pub(crate) coupons: Table<Coupon>,
    pub(crate) promotion_codes: Table<PromotionCode>,
    pub(crate) discounts: Table<Discount>,
    pub(crate) tax_rates: Table<TaxRate>,
    #[serde(default)]
    pub(crate) tax_ids: Table<TaxId>,
    pub(crate) payment_intents: Table<PaymentIntent>,
    pub(crate) setup_intents: Table<SetupIntent>,
    pub(crate) charges: Table<Charge>,
    pub(crate) refunds: Table<Refund>,
    pub(crate) disputes: Table<Dispute>,
    pub(crate) fraud_warnings: Table<FraudWarning>,
    pub(crate) balance_transactions: Table<BalanceTransaction>,
    pub(crate) payouts: Table<Payout>,
    #[serde(default)]
    pub(crate) topups: Table<Topup>,
    pub(crate) cash_entries: Table<CashEntry>,
    pub(crate) invoices: Table<Invoice>,
    pub(crate) invoice_items: Table<InvoiceItem>,
    pub(crate) invoice_payments: Table<InvoicePayment>,
    pub(crate) credit_notes: Table<CreditNote>,
    pub(crate) subscriptions: Table<Subscription>,
    #[serde(default)]
    pub(crate) schedules: Table<Schedule>,
    #[serde(default)]
    pub(crate) quotes: Table<Quote>,
    pub(crate) metering: Metering,
    pub(crate) sessions: Table<CheckoutSession>,
    #[serde(default)]
    pub(crate) payment_links: Table<PaymentLink>,
    pub(crate) shipping_rates: Table<ShippingRate>,
    pub(crate) portal_configurations: Table<PortalConfiguration>,
    pub(crate) portal_sessions: Table<PortalSession>,
    pub(crate) events: Table<Event>,
    pub(crate) endpoints: Table<WebhookEndpoint>,
    pub(crate) outgoing: Vec<Event>,
    pub(crate) deliveries: Deliveries,
    pub(crate) policy: DeliveryPolicy,
    pub(crate) faults: Vec<Fault>,
    /// What limiting faults have seen, by their places.
    pub(crate) rates: Vec<Rate>,
    pub(crate) calls: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) connect: Connect,
}

impl World {
    /// An empty account.
    pub(crate) fn new(seed: u64, public_url: String, now: i64) -> Self {
        let mut chance = Chance::from(seed);
        let account_id = format!("acct_1{}", chance.text(15));
        let mut world = Self {
            account_id,
            public_url,
            merchant: "Sandbox".to_owned(),
            settings: Settings::default(),
            now,
            policy_chance: Chance::from(seed ^ 0x5eed),
            chance,
            timers: Timers::default(),
            away: None,
            test_clocks: Table::default(),
            keys: Keys::default(),
            request: None,
            customers: Table::default(),
            balance_entries: Table::default(),
            payment_methods: Table::default(),
            products: Table::default(),
            prices: Table::default(),
            coupons: Table::default(),
            promotion_codes: Table::default(),
            discounts: Table::default(),
            tax_rates: Table::default(),
            tax_ids: Table::default(),
            payment_intents: Table::default(),
            setup_intents: Table::default(),
            charges: Table::default(),
            refunds: Table::default(),
            disputes: Table::default(),
            fraud_warnings: Table::default(),
            balance_transactions: Table::default(),
            payouts: Table::default(),
            topups: Table::default(),
            cash_entries: Table::default(),
            invoices: Table::default(),
            invoice_items: Table::default(),
            invoice_payments: Table::default(),
            credit_notes: Table::default(),
            subscriptions: Table::default(),
            schedules: Table::default(),
            quotes: Table::default(),
            metering: Metering::default(),
            sessions: Table::default(),
            payment_links: Table::default(),
            shipping_rates: Table::default(),
            portal_configurations: Table::default(),
            portal_sessions: Table::default(),
            events: Table::default(),
            endpoints: Table::default(),
            outgoing: Vec::new(),
            deliveries: Deliveries::default(),
            policy: DeliveryPolicy::default(),
            faults: Vec::new(),
            rates: Vec::new(),
            calls: BTreeMap::new(),
            connect: Connect::default(),
        };
        world.add_default_portal_configuration();
        world
    }

    /// The account object.
    pub(crate) fn render_account(&self) -> Value {
        if let Some(account) = self.connect.accounts.get(&self.account_id) {
            return account.render();
        }
        Shape::Account.with(json!({
            "id": self.account_id,
            "charges_enabled": true,
            "payouts_enabled": true,
            "details_submitted": true,
            "email": "sandbox@example.com",
            "type": "standard",
            "country": "US",
            "default_currency": "usd",
            "metadata": {},
        }))
    }

    /// A subscription as its events and answers show it; null when there is none.
    pub(crate) fn subscription_value(&self, id: &str) -> Value {
        self.subscriptions.get(id).map(|subscription| subscription.render(&self.prices)).unwrap_or_default()
    }

    /// Any object by its id, as expansion needs it.
    pub(crate) fn object(&self, id: &str) -> Option<Value> {
        let prefix = id.split_once('_').map_or("", |(prefix, _)| prefix);
        match prefix {
            "cus" => self.customers.get(id).map(Customer::render),
            "pm" | "card" => self.payment_methods.get(id).map(PaymentMethod::render),
            "prod" => self.products.get(id).map(Product::render),
            "price" | "plan" => self.prices.get(id).map(Price::render),
            "pi" => self.payment_intents.get(id).map(PaymentIntent::render),
            "seti" => self.setup_intents.get(id).map(SetupIntent::render),
            "ch" | "py" => self.charges.get(id).map(Charge::render),
            "re" | "pyr" => self.refunds.get(id).map(Refund::render),
            "dp" => self.disputes.get(id).map(|dispute| self.dispute_value(dispute)),
            "issfr" => self.fraud_warnings.get(id).map(FraudWarning::render),
            "po" => self.payouts.get(id).map(Payout::render),
            "tu" => self.topups.get(id).map(Topup::render),
            "ccsbtxn" => self.cash_entries.get(id).map(CashEntry::render),
            "txn" => self.balance_transactions.get(id).map(|entry| entry.render(self.now)),
            "in" => self.invoices.get(id).map(Invoice::render),
            "ii" => self.invoice_items.get(id).map(InvoiceItem::render),
            "inpay" => self.invoice_payments.get(id).map(InvoicePayment::render),
            "sub" if id.starts_with("sub_sched_") => self.schedules.get(id).map(Schedule::render),
            "sub" => self.subscriptions.get(id).map(|subscription| subscription.render(&self.prices)),
            "qt" => self.quotes.get(id).map(|quote| quote.render(&self.prices)),
            "plink" => self.payment_links.get(id).map(PaymentLink::render),
            "cs" => self.sessions.get(id).map(CheckoutSession::render),
            "clock" => self.test_clocks.get(id).map(TestClock::render),
            "cn" => self.credit_notes.get(id).map(CreditNote::render),
            "cbtxn" => self.balance_entries.get(id).map(BalanceEntry::render),
            "promo" => self.promotion_codes.get(id).map(|code| self.code_value(code)),
            "txi" => self.tax_ids.get(id).map(TaxId::render),
            "txr" => self.tax_rates.get(id).map(TaxRate::render),
            "di" => self.discounts.get(id).map(Discount::render),
            "shr" => self.shipping_rates.get(id).map(ShippingRate::render),
            "acct" if id == self.account_id => Some(self.render_account()),
            "acct" => self.connect.accounts.get(id).map(Account::render),
            "ca" => Some(self.application()),
            "tr" => self.connect.transfers.get(id).map(Transfer::render),
            "trr" => {
                let mut all = self.connect.transfers.iter().flat_map(|transfer| &transfer.reversals);
                all.find(|reversal| reversal.id == id).map(Reversal::render)
            }
            "fee" => self.connect.fees.get(id).map(ApplicationFee::render),
            "mtr" => self.metering.meters.get(id).map(Meter::render),
            "bpc" => self.portal_configurations.get(id).map(PortalConfiguration::render),
            // Sellers may name products and coupons as they like.
            _ => {
                let coupon = || self.coupons.get(id).map(|coupon| coupon.render(self.now));
                self.products.get(id).map(Product::render).or_else(coupon)
            }
        }
    }
}

/// Finds an object, or says that there is none.
pub(crate) fn need<T: Stored>(table: &Table<T>, id: &str, param: &str) -> ApiResult<T> {
    table.get(id).cloned().ok_or_else(|| ApiError::missing(T::LABEL, id, param))
}
