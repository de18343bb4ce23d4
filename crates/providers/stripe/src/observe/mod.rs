//! What Stripe's objects say, read strictly and named plainly: the *observed* facts from which the engine builds its own.
//!
//! Statuses and other enumerations stay raw strings, since Stripe adds values. A field that is missing but needed, has another type
//! or does not fit an `i64` makes a [`ShapeError`] that names it; nothing is ever replaced by a default. Both the shapes of
//! 2024-06-20 and those since Basil are read. Amounts are minor units, times Unix seconds (`_s`). Personal data is not read.

mod account;
mod balance;
mod card;
mod checkout;
mod credit_note;
mod customer;
mod dispute;
mod event;
mod invoice;
mod kept;
mod offer;
mod page;
mod payment;
mod portal;
mod price;
mod read;
mod schedule;
mod setup;
mod subscription;

pub use account::{ObservedAccount, ObservedPortalSession, ObservedWebhookEndpoint};
pub use balance::{
    BalanceAmount, BalanceSource, ObservedBalance, ObservedBalanceTransaction, ObservedPayout,
};
pub use card::ObservedCard;
pub use checkout::{CheckoutLine, ObservedCheckout};
pub use credit_note::ObservedCreditNote;
pub use customer::{CustomerRef, Email, ObservedBalanceEntry, ObservedCustomer};
pub use dispute::{ObservedDispute, ObservedFraudWarning};
pub use event::ListedEvent;
pub use invoice::{
    HostedInvoice, HostedUrl, InvoicePaymentRef, InvoicePreview, LinePeriod, ObservedInvoice,
    ObservedInvoicePayment, PreviewLine,
};
pub use kept::Kept;
pub use offer::{ObservedCoupon, ObservedPromotionCode};
pub use page::{OddItem, Page};
pub use payment::{ObservedCharge, ObservedPaymentIntent, ObservedRefund, PaymentFailure};
pub use portal::{ObservedPortalConfiguration, ObservedPortalProduct, ObservedPortalUpdate};
pub use price::{ObservedPrice, ObservedProduct};
pub use read::{ShapeError, ShapeProblem};
pub use schedule::{ObservedPhase, ObservedSchedule, PlannedItem};
pub use setup::ObservedSetup;
pub use subscription::{
    LatestInvoice, ObservedItem, ObservedPause, ObservedPendingUpdate, ObservedSubscription, Scheduled,
};

use std::collections::BTreeMap;

/// Metadata as Stripe keeps it. Values come from anyone with access to the Stripe account: claims, not facts.
pub type MetadataMap = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
