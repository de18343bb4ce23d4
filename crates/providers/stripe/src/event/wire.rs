//! The parts of an event's JSON that the inbox needs, borrowed from the raw body.
//!
//! Both the shapes of 2024-06-20 (`invoice.subscription`) and those since Basil (`invoice.parent`) are named here. Fields that
//! are not named are skipped without being read.

use std::borrow::Cow;

use serde::Deserialize;

use super::loose::{Loose, Reference, Scalar};

#[derive(Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow, default)]
    pub(super) id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) object: Scalar<'a>,
    #[serde(borrow, default, rename = "type")]
    pub(super) event_type: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) account: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) api_version: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) created: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) livemode: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) data: Loose<Data<'a>>,
    #[serde(borrow, default)]
    pub(super) related_object: Loose<Related<'a>>,
    #[serde(borrow, default)]
    pub(super) request: Loose<Request<'a>>,
}

/// The API request that caused the event, if one did.
#[derive(Deserialize)]
pub(super) struct Request<'a> {
    #[serde(borrow, default)]
    pub(super) idempotency_key: Scalar<'a>,
}

#[derive(Deserialize)]
pub(super) struct Data<'a> {
    #[serde(borrow, default)]
    pub(super) object: Loose<Object<'a>>,
}

/// What a thin event says of its object.
#[derive(Deserialize)]
pub(super) struct Related<'a> {
    #[serde(borrow, default)]
    pub(super) id: Scalar<'a>,
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Scalar<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Object<'a> {
    #[serde(borrow, default)]
    pub(super) id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) object: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) customer: Reference<'a>,
    #[serde(borrow, default)]
    pub(super) subscription: Reference<'a>,
    #[serde(borrow, default)]
    pub(super) payment_intent: Reference<'a>,
    #[serde(borrow, default)]
    pub(super) invoice: Reference<'a>,
    #[serde(borrow, default)]
    pub(super) charge: Reference<'a>,
    #[serde(borrow, default)]
    pub(super) client_reference_id: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) metadata: Loose<Ours<'a>>,
    #[serde(borrow, default)]
    pub(super) parent: Loose<Parent<'a>>,
    #[serde(borrow, default)]
    pub(super) subscription_details: Loose<SubscriptionDetails<'a>>,
    #[serde(borrow, default)]
    pub(super) payment: Loose<Payment<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Parent<'a> {
    #[serde(borrow, default)]
    pub(super) subscription_details: Loose<SubscriptionDetails<'a>>,
}

#[derive(Deserialize)]
pub(super) struct SubscriptionDetails<'a> {
    #[serde(borrow, default)]
    pub(super) subscription: Reference<'a>,
    #[serde(borrow, default)]
    pub(super) metadata: Loose<Ours<'a>>,
}

/// An invoice payment's `payment`.
#[derive(Deserialize)]
pub(super) struct Payment<'a> {
    #[serde(borrow, default)]
    pub(super) payment_intent: Reference<'a>,
    #[serde(borrow, default)]
    pub(super) charge: Reference<'a>,
}

/// The metadata keys that Quittance writes; all others belong to the app and are not looked at.
#[derive(Deserialize, Default)]
pub(super) struct Ours<'a> {
    #[serde(borrow, default)]
    pub(super) quittance_customer: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) quittance_checkout: Scalar<'a>,
}

impl<'a> Ours<'a> {
    pub(super) fn into_pair(self) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
        (self.quittance_customer.text(), self.quittance_checkout.text())
    }
}
