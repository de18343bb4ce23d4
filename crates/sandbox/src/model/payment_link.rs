//! Payment links: an address that opens a new checkout session for everybody who follows it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checkout::{CheckoutSession, Mode, PaymentData};
use super::payment::CaptureMethod;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::wire::shape::Shape;

/// How many sessions of a link may be completed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct SessionLimit {
    pub(crate) most: i64,
    /// Those that were, since there is a limit.
    pub(crate) completed: i64,
}

/// A payment link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PaymentLink {
    pub(crate) id: String,
    /// The last part of its address.
    pub(crate) token: String,
    pub(crate) url: String,
    pub(crate) active: bool,
    /// What buyers read when it is not active.
    pub(crate) inactive_message: Option<String>,
    /// What buyers read after the payment; without a `success_url` of the sessions.
    pub(crate) custom_message: Option<String>,
    /// How many of its sessions may be completed, where that is limited.
    #[serde(default)]
    pub(crate) limit: Option<SessionLimit>,
    /// What each session is a copy of; it is itself none of the account's sessions.
    pub(crate) session: CheckoutSession,
}

impl Stored for PaymentLink {
    const LABEL: &'static str = "payment_link";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.session.created
    }
}

impl PaymentLink {
    /// Metadata, of the link and of its sessions.
    pub(crate) fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.session.metadata
    }

    /// The object, without its line items, which must be asked for.
    pub(crate) fn render(&self) -> Value {
        let session = &self.session;
        let after = match &session.success_url {
            Some(url) => json!({ "type": "redirect", "redirect": { "url": url } }),
            None => {
                json!({ "type": "hosted_confirmation", "hosted_confirmation": { "custom_message": self.custom_message } })
            }
        };
        let data = &session.subscription_data;
        let subscription = (session.mode == Mode::Subscription).then(|| {
            json!({
                "description": data.description,
                "invoice_settings": {
                    "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
                    "issuer": { "type": "self" },
                },
                "metadata": data.metadata,
                "trial_period_days": data.trial_days,
                "trial_settings": data.trial_days.map(|_| {
                    json!({ "end_behavior": { "missing_payment_method": data.missing_card.as_str() } })
                }),
            })
        });
        let mut value = Shape::PaymentLink.with(json!({
            "id": self.id,
            "active": self.active,
            "after_completion": after,
            "allow_promotion_codes": session.allow_promotion_codes == Some(true),
            "automatic_tax": { "enabled": session.automatic_tax.is_on(), "liability": session.automatic_tax.liability() },
            "billing_address_collection": session.billing_address_collection.as_deref().unwrap_or("auto"),
            "currency": session.currency,
            "customer_creation": session.customer_creation,
            "inactive_message": self.inactive_message,
            "metadata": session.metadata,
            "payment_method_collection": session.payment_method_collection,
            "payment_intent_data": self.render_payment_data(),
            "payment_method_types": session.form.types.allowed,
            "restrictions": self.limit.map(|limit| {
                json!({ "completed_sessions": { "count": limit.completed, "limit": limit.most } })
            }),
            "submit_type": session.submit_type.as_deref().unwrap_or("auto"),
            "subscription_data": subscription,
            "url": self.url,
        }));
        session.share.onto_link(&mut value);
        if let Some(fields) = value.as_object_mut() {
            fields.extend(session.form.render_asked());
            session.asks.render_asked(session.mode == Mode::Payment, fields);
        }
        value
    }

    /// What it says of its payments, where it says anything.
    fn render_payment_data(&self) -> Value {
        let (data, group) = (&self.session.payment_data, &self.session.share.transfer_group);
        if *data == PaymentData::default() && group.is_none() {
            return Value::Null;
        }
        let capture = (data.capture_method != CaptureMethod::default()).then(|| data.capture_method.as_str());
        json!({
            "capture_method": capture, "description": data.description, "metadata": data.metadata,
            "setup_future_usage": data.setup_future_usage, "statement_descriptor": data.statement.descriptor,
            "statement_descriptor_suffix": data.statement.suffix, "transfer_group": group,
        })
    }
}
