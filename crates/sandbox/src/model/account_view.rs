//! How a connected account looks from outside: the object, its capabilities, and what it never shows again.

use serde_json::{Map, Value, json};

use super::account::{Account, Asked};
use super::bank_account::BankAccount;
use crate::wire::shape::{Shape, overlay};

impl Account {
    fn status_of(&self, capability: &str) -> &'static str {
        if !self.asks_for(capability) {
            "unrequested"
        } else if self.is_active(capability) {
            "active"
        } else {
            "inactive"
        }
    }

    /// A capability as the API shows it.
    pub(crate) fn render_capability(&self, name: &str) -> Value {
        let asked = self.capabilities.get(name).copied().unwrap_or(Asked { requested: false, at: None });
        let due = self.due_for(name);
        let reason = match self.rejection.filter(|_| asked.requested) {
            Some(_) => Some("rejected.other"),
            None => (!due.is_empty()).then_some("requirements.fields_needed"),
        };
        json!({
            "id": name,
            "object": "capability",
            "account": self.id,
            "requested": asked.requested,
            "requested_at": asked.at.filter(|_| asked.requested),
            "status": self.status_of(name),
            "requirements": requirements(&due, reason),
            "future_requirements": requirements(&[], None),
        })
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let active = |(name, asked): (&String, &Asked)| {
            asked.requested.then(|| (name.clone(), json!(self.status_of(name))))
        };
        let capabilities: Map<String, Value> = self.capabilities.iter().filter_map(active).collect();
        let controller = self.controller;
        let mut value = Shape::Account.with(json!({
            "id": self.id,
            "created": self.created,
            "type": self.kind.as_str(),
            "controller": {
                "type": "application",
                "is_controller": true,
                "fees": { "payer": controller.payer.as_str() },
                "losses": { "payments": controller.losses.as_str() },
                "requirement_collection": controller.collects.as_str(),
                "stripe_dashboard": { "type": controller.dashboard.as_str() },
            },
            "country": self.country,
            "default_currency": self.default_currency,
            "email": self.email,
            "business_type": self.told.get("business_type"),
            "business_profile": profile(self.told.get("business_profile")),
            "capabilities": capabilities,
            "charges_enabled": self.charges_enabled(),
            "payouts_enabled": self.payouts_enabled(),
            "details_submitted": self.submitted,
            "external_accounts": {
                "object": "list",
                "data": self.external_accounts.iter().map(BankAccount::render).collect::<Vec<_>>(),
                "has_more": false,
                "url": format!("/v1/accounts/{}/external_accounts", self.id),
            },
            "requirements": requirements(&self.due(), self.disabled_reason()),
            "future_requirements": requirements(&[], None),
            "settings": settings(self.told.get("settings"), &self.called()),
            "tos_acceptance": {
                "date": self.acceptance.as_ref().map(|accepted| accepted.date),
                "ip": self.acceptance.as_ref().and_then(|accepted| accepted.ip.clone()),
                "user_agent": self.acceptance.as_ref().and_then(|accepted| accepted.user_agent.clone()),
                "service_agreement": self.service_agreement,
            },
            "metadata": self.metadata,
        }));
        if let Some(fields) = value.as_object_mut() {
            if let Some(told) = self.told.get("company") {
                fields.insert("company".to_owned(), company(told));
            }
            if let Some(told) = self.told.get("individual") {
                fields.insert("individual".to_owned(), self.person(told));
            }
        }
        value
    }

    fn person(&self, told: &Value) -> Value {
        let mut person = json!({
            "id": format!("person_{}", self.id.trim_start_matches("acct_")),
            "object": "person",
            "account": self.id,
            "created": self.created,
            "address": address(),
            "dob": { "day": null, "month": null, "year": null },
            "first_name": null, "last_name": null, "email": null, "phone": null, "metadata": {},
            "relationship": {
                "authorizer": null, "director": null, "executive": null, "legal_guardian": null, "owner": null,
                "percent_ownership": null, "representative": true, "title": null,
            },
            "requirements": null,
            "verification": { "status": if self.submitted { "verified" } else { "unverified" } },
        });
        overlay(&mut person, without_secrets(told, &["id_number", "id_number_secondary", "ssn_last_4"]));
        person
    }
}

fn address() -> Value {
    json!({ "city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null })
}

/// Numbers that the API takes and never gives back: it only says that they are there.
fn without_secrets(told: &Value, secrets: &[&str]) -> Value {
    let mut shown = told.clone();
    if let Some(fields) = shown.as_object_mut() {
        for secret in secrets {
            let given = fields.remove(*secret).is_some_and(|value| !value.is_null());
            fields.insert(format!("{secret}_provided"), json!(given));
        }
    }
    shown
}

fn company(told: &Value) -> Value {
    let mut company = json!({ "address": address(), "name": null, "phone": null });
    overlay(&mut company, without_secrets(told, &["tax_id", "vat_id"]));
    company
}

fn profile(told: Option<&Value>) -> Value {
    let mut profile = json!({
        "annual_revenue": null, "estimated_worker_count": null, "mcc": null,
        "minority_owned_business_designation": null, "name": null, "product_description": null,
        "specified_commercial_transactions_act_url": null, "support_address": null, "support_email": null,
        "support_phone": null, "support_url": null, "url": null,
    });
    overlay(&mut profile, told.cloned().unwrap_or_else(|| json!({})));
    profile
}

fn settings(told: Option<&Value>, called: &str) -> Value {
    let mut settings = json!({
        "branding": { "icon": null, "logo": null, "primary_color": null, "secondary_color": null },
        "card_payments": {
            "statement_descriptor_prefix": null, "statement_descriptor_prefix_kana": null,
            "statement_descriptor_prefix_kanji": null,
        },
        "dashboard": { "display_name": called, "timezone": "Etc/UTC" },
        "payments": {
            "statement_descriptor": null, "statement_descriptor_kana": null, "statement_descriptor_kanji": null,
            "statement_descriptor_prefix_kana": null, "statement_descriptor_prefix_kanji": null,
        },
    });
    overlay(&mut settings, told.cloned().unwrap_or_else(|| json!({})));
    settings
}

/// What is missing stops the account at once, so what is due is also past due.
fn requirements(due: &[&str], disabled_reason: Option<&str>) -> Value {
    json!({
        "alternatives": [],
        "current_deadline": null,
        "currently_due": due,
        "disabled_reason": disabled_reason,
        "errors": [],
        "eventually_due": due,
        "past_due": due,
        "pending_verification": [],
    })
}
