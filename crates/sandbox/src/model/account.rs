//! Connected accounts: who answers for what, which data they have given, and what follows from that.
//!
//! Requirements, capabilities and what is enabled are never stored: they are read off the data each time, so they fall
//! away as the data come. This module knows no money and no books.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bank_account::BankAccount;
use crate::state::table::Stored;
use crate::wire::params::Metadata;
use crate::words::words;

words! {
    /// The older way to say who answers for what.
    AccountType { Standard = "standard", Express = "express", Custom = "custom", None = "none" }
}

words! {
    /// Who pays the provider's fees on direct charges; the last two are the account, for older types.
    Payer {
        Account = "account",
        Application = "application",
        ApplicationCustom = "application_custom",
        ApplicationExpress = "application_express",
    }
}

words! {
    /// The platform or the provider: who bears losses, or who collects requirements.
    Party { Application = "application", Stripe = "stripe" }
}

words! {
    /// The dashboard that the account's owner has.
    Dashboard { Express = "express", Full = "full", None = "none" }
}

words! {
    /// Why an account was rejected.
    Rejection {
        Fraud = "rejected.fraud",
        TermsOfService = "rejected.terms_of_service",
        Other = "rejected.other",
    }
}

/// Whether the platform still speaks for the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    Connected,
    /// The owner went away with it.
    Revoked,
    Deleted,
}

/// Who answers for what; fixed when the account is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Controller {
    pub(crate) payer: Payer,
    pub(crate) losses: Party,
    pub(crate) collects: Party,
    pub(crate) dashboard: Dashboard,
}

impl Controller {
    /// What an older type stands for.
    pub(crate) const fn of(kind: AccountType) -> Self {
        match kind {
            AccountType::Standard | AccountType::None => Self {
                payer: Payer::Account,
                losses: Party::Stripe,
                collects: Party::Stripe,
                dashboard: Dashboard::Full,
            },
            AccountType::Express => Self {
                payer: Payer::ApplicationExpress,
                losses: Party::Application,
                collects: Party::Stripe,
                dashboard: Dashboard::Express,
            },
            AccountType::Custom => Self {
                payer: Payer::ApplicationCustom,
                losses: Party::Application,
                collects: Party::Application,
                dashboard: Dashboard::None,
            },
        }
    }
}

/// The acceptance of the provider's terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acceptance {
    /// Unix seconds.
    pub(crate) date: i64,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
}

/// A capability that was asked for, or no longer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) requested: bool,
    /// When it was last asked for, in unix seconds.
    pub(crate) at: Option<i64>,
}

/// A connected account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) kind: AccountType,
    pub(crate) controller: Controller,
    pub(crate) country: String,
    pub(crate) default_currency: String,
    pub(crate) email: Option<String>,
    /// What the owner has told, in the shape and under the names of the API: `business_profile`, `business_type`,
    /// `company`, `individual`, `settings`. Requirements are paths into it.
    pub(crate) told: Value,
    pub(crate) acceptance: Option<Acceptance>,
    /// `full` or `recipient`.
    pub(crate) service_agreement: Option<String>,
    pub(crate) capabilities: BTreeMap<String, Asked>,
    pub(crate) external_accounts: Vec<BankAccount>,
    /// Whether everything was once there: it does not become untrue again.
    pub(crate) submitted: bool,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) access: Access,
    pub(crate) metadata: Metadata,
}

impl Stored for Account {
    const LABEL: &'static str = "account";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

const OF_A_PERSON: [&str; 10] = [
    "individual.address.city",
    "individual.address.line1",
    "individual.address.postal_code",
    "individual.dob.day",
    "individual.dob.month",
    "individual.dob.year",
    "individual.email",
    "individual.first_name",
    "individual.last_name",
    "individual.phone",
];
const OF_A_PERSON_IN_US: [&str; 2] = ["individual.address.state", "individual.ssn_last_4"];
const OF_A_COMPANY: [&str; 6] = [
    "company.address.city",
    "company.address.line1",
    "company.address.postal_code",
    "company.name",
    "company.phone",
    "company.tax_id",
];

impl Account {
    /// Whether a capability is asked for.
    pub(crate) fn asks_for(&self, capability: &str) -> bool {
        self.capabilities.get(capability).is_some_and(|asked| asked.requested)
    }

    fn told_at(&self, field: &str) -> bool {
        let pointer = format!("/{}", field.replace('.', "/"));
        self.told.pointer(&pointer).is_some_and(|value| !value.is_null())
    }

    /// Whether a requirement is met.
    fn has(&self, field: &str) -> bool {
        match field {
            "external_account" => !self.external_accounts.is_empty(),
            "tos_acceptance.date" => self.acceptance.is_some(),
            "tos_acceptance.ip" => self.acceptance.as_ref().is_some_and(|accepted| accepted.ip.is_some()),
            "business_profile.url" => {
                self.told_at(field) || self.told_at("business_profile.product_description")
            }
            "individual.ssn_last_4" => self.told_at(field) || self.told_at("individual.id_number"),
            other => self.told_at(other),
        }
    }

    /// What one capability still wants, sorted.
    pub(crate) fn due_for(&self, capability: &str) -> Vec<&'static str> {
        if !self.asks_for(capability) {
            return Vec::new();
        }
        let mut wanted =
            vec!["business_type", "external_account", "tos_acceptance.date", "tos_acceptance.ip"];
        if capability != "transfers" {
            wanted.extend(["business_profile.mcc", "business_profile.url"]);
        }
        match self.told.get("business_type").and_then(Value::as_str) {
            Some("individual") => {
                wanted.extend(OF_A_PERSON);
                if self.country == "US" {
                    wanted.extend(OF_A_PERSON_IN_US);
                }
            }
            Some(_) => wanted.extend(OF_A_COMPANY),
            None => {}
        }
        wanted.retain(|field| !self.has(field));
        wanted.sort_unstable();
        wanted
    }

    /// What the account still owes, over all capabilities, sorted.
    pub(crate) fn due(&self) -> Vec<&'static str> {
        let mut due: Vec<_> = self.capabilities.keys().flat_map(|name| self.due_for(name)).collect();
        due.sort_unstable();
        due.dedup();
        due
    }

    /// Whether a capability can be used.
    pub(crate) fn is_active(&self, capability: &str) -> bool {
        self.asks_for(capability) && self.rejection.is_none() && self.due_for(capability).is_empty()
    }

    /// Whether the account itself may take payments.
    pub(crate) fn charges_enabled(&self) -> bool {
        self.is_active("card_payments")
    }

    /// Whether its money may leave for its bank.
    pub(crate) fn payouts_enabled(&self) -> bool {
        !self.external_accounts.is_empty() && self.capabilities.keys().any(|name| self.is_active(name))
    }

    /// Why it is disabled, in the API's words.
    pub(super) fn disabled_reason(&self) -> Option<&'static str> {
        match self.rejection {
            Some(rejection) => Some(rejection.as_str()),
            None => (!self.due().is_empty()).then_some("requirements.past_due"),
        }
    }

    /// What its customers know it as.
    pub(crate) fn called(&self) -> String {
        let told = |pointer: &str| self.told.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        told("/business_profile/name").or(told("/company/name")).unwrap_or_else(|| "Sandbox".to_owned())
    }
}
