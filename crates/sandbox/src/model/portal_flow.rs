//! A portal session that leads to one task, and what comes after it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A line of a change that only needs to be confirmed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FlowItem {
    pub(crate) id: String,
    pub(crate) price: Option<String>,
    pub(crate) quantity: Option<i64>,
}

/// The task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Task {
    PaymentMethodUpdate,
    CustomerUpdate,
    SubscriptionCancel { subscription: String },
    SubscriptionPause { subscription: String },
    SubscriptionUpdate { subscription: String },
    SubscriptionUpdateConfirm { subscription: String, items: Vec<FlowItem> },
}

impl Task {
    /// The word on the wire.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::PaymentMethodUpdate => "payment_method_update",
            Self::CustomerUpdate => "customer_update",
            Self::SubscriptionCancel { .. } => "subscription_cancel",
            Self::SubscriptionPause { .. } => "subscription_pause",
            Self::SubscriptionUpdate { .. } => "subscription_update",
            Self::SubscriptionUpdateConfirm { .. } => "subscription_update_confirm",
        }
    }

    /// The page of the task, below the session's address.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::PaymentMethodUpdate => "card".to_owned(),
            Self::CustomerUpdate => "customer".to_owned(),
            Self::SubscriptionCancel { subscription } => format!("subscriptions/{subscription}/cancel"),
            Self::SubscriptionPause { subscription } => format!("subscriptions/{subscription}/pause"),
            Self::SubscriptionUpdate { subscription } => format!("subscriptions/{subscription}/change"),
            Self::SubscriptionUpdateConfirm { subscription, .. } => {
                format!("subscriptions/{subscription}/confirm")
            }
        }
    }
}

/// Where the customer goes when the task is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum After {
    Homepage,
    Redirect { return_url: String },
    Confirmation { message: Option<String> },
}

/// A task and what comes after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) task: Task,
    pub(crate) after: After,
}

impl Flow {
    /// The `flow` of a session.
    pub(crate) fn render(&self) -> Value {
        let (kind, redirect, confirmation) = match &self.after {
            After::Homepage => ("portal_homepage", Value::Null, Value::Null),
            After::Redirect { return_url } => ("redirect", json!({ "return_url": return_url }), Value::Null),
            After::Confirmation { message } => {
                ("hosted_confirmation", Value::Null, json!({ "custom_message": message }))
            }
        };
        let mut value = json!({
            "type": self.task.word(),
            "after_completion": { "hosted_confirmation": confirmation, "redirect": redirect, "type": kind },
            "customer_update": null, "subscription_cancel": null, "subscription_pause": null,
            "subscription_update": null, "subscription_update_confirm": null,
        });
        let details = match &self.task {
            Task::PaymentMethodUpdate | Task::CustomerUpdate => Value::Null,
            Task::SubscriptionCancel { subscription } => {
                json!({ "retention": null, "subscription": subscription })
            }
            Task::SubscriptionPause { subscription } | Task::SubscriptionUpdate { subscription } => {
                json!({ "subscription": subscription })
            }
            Task::SubscriptionUpdateConfirm { subscription, items } => {
                let items: Vec<Value> = items
                    .iter()
                    .map(|item| json!({ "id": item.id, "price": item.price, "quantity": item.quantity }))
                    .collect();
                json!({ "discounts": null, "items": items, "subscription": subscription })
            }
        };
        if let Some(slot) = value.get_mut(self.task.word()) {
            *slot = details;
        }
        value
    }
}
