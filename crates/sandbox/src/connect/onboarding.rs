//! Links that lead the owner of an account to the onboarding page, once.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::account::{Acceptance, Account};
use crate::model::bank_account::BankAccount;
use crate::state::table::Stored;
use crate::state::world::World;
use crate::wire::params::Metadata;
use crate::wire::shape::overlay;

/// A link works for this long, in seconds.
const LINK_SECONDS: i64 = 300;
/// A page that was opened can be sent for this long, in seconds.
const PAGE_SECONDS: i64 = 24 * 3600;

/// How far a link was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LinkState {
    Fresh,
    Opened,
    Used,
}

/// A link to the onboarding page. It opens the page once; after that, and after its time, it leads to `refresh_url`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountLink {
    pub(crate) token: String,
    pub(crate) created: i64,
    pub(crate) account: String,
    pub(crate) refresh_url: String,
    pub(crate) return_url: String,
    pub(crate) state: LinkState,
}

impl Stored for AccountLink {
    const LABEL: &'static str = "account_link";
    fn id(&self) -> &str {
        &self.token
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl AccountLink {
    /// When it stops working, in unix seconds.
    pub(crate) fn expires_at(&self) -> i64 {
        self.created + LINK_SECONDS
    }

    /// The object.
    pub(crate) fn render(&self, public_url: &str) -> Value {
        json!({
            "object": "account_link",
            "created": self.created,
            "expires_at": self.expires_at(),
            "url": format!("{public_url}/connect/onboarding/{}", self.token),
        })
    }

    /// Whether the page may be shown.
    pub(crate) fn opens(&self, now: i64) -> bool {
        self.state == LinkState::Fresh && now < self.expires_at()
    }

    /// Whether the page that was shown may still be sent.
    pub(crate) fn takes(&self, now: i64) -> bool {
        self.state == LinkState::Opened && now < self.created + PAGE_SECONDS
    }
}

/// What the owner of an account types, or leaves to the page's test data.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// The API's word: `individual`, `company`, …
    pub(crate) business_type: String,
    /// The whole name of the person or the company.
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) url: String,
}

impl Told {
    /// What is known of an account already.
    pub(crate) fn known(account: &Account) -> Self {
        let text = |pointer: &str| account.told.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let mut told = Self {
            business_type: text("/business_type").to_owned(),
            name: text("/company/name").to_owned(),
            email: text("/individual/email").to_owned(),
            url: text("/business_profile/url").to_owned(),
        };
        if told.business_type.is_empty() {
            "individual".clone_into(&mut told.business_type);
        }
        if told.is_person() {
            let name = format!("{} {}", text("/individual/first_name"), text("/individual/last_name"));
            name.trim().clone_into(&mut told.name);
        }
        if told.email.is_empty() {
            told.email = account.email.clone().unwrap_or_default();
        }
        told
    }

    /// The same with test data in place of what is not known.
    pub(crate) fn or_test_data(mut self) -> Self {
        let texts = [
            (&mut self.name, "Ada Test"),
            (&mut self.email, "owner@example.com"),
            (&mut self.url, "https://shop.example"),
        ];
        for (text, otherwise) in texts {
            if text.is_empty() {
                otherwise.clone_into(text);
            }
        }
        self
    }

    /// Whether a person stands behind it.
    pub(crate) fn is_person(&self) -> bool {
        self.business_type == "individual"
    }

    /// What a test account needs beside what the page asks for.
    fn test_data(&self, country: &str) -> Value {
        let address = json!({
            "line1": "1 Test Street", "city": "Testville", "postal_code": "94107", "country": country,
            "state": if country == "US" { json!("CA") } else { Value::Null },
        });
        let phone = "+15555550100";
        let owner = if self.is_person() {
            let dob = json!({ "day": 1, "month": 1, "year": 1990 });
            json!({ "individual": { "phone": phone, "dob": dob, "address": address, "ssn_last_4": "0000" } })
        } else {
            json!({ "company": { "phone": phone, "tax_id": "000000000", "address": address } })
        };
        let mut data = json!({ "business_profile": { "mcc": "5734" } });
        overlay(&mut data, owner);
        data
    }

    fn said(&self) -> Value {
        let mut data =
            json!({ "business_type": self.business_type, "business_profile": { "url": self.url } });
        let owner = if self.is_person() {
            let (first, last) = self.name.rsplit_once(' ').unwrap_or((&self.name, &self.name));
            json!({ "individual": { "first_name": first, "last_name": last, "email": self.email } })
        } else {
            json!({ "company": { "name": self.name } })
        };
        overlay(&mut data, owner);
        data
    }
}

impl World {
    /// Makes a link for an account.
    pub(crate) fn add_link(&mut self, account: &str, refresh_url: String, return_url: String) -> Value {
        let link = AccountLink {
            token: self.chance.text(20),
            created: self.now,
            account: account.to_owned(),
            refresh_url,
            return_url,
            state: LinkState::Fresh,
        };
        let object = link.render(&self.public_url);
        self.connect.links.put(link);
        object
    }

    /// The owner has filled the page: everything is there, the terms are accepted.
    pub(crate) fn onboard(&mut self, id: &str, told: &Told) {
        let bank = self.test_bank_account(id);
        let now = self.now;
        let missing_bank = |account: &Account| account.external_accounts.is_empty();
        let added = self.connect.accounts.get(id).is_some_and(missing_bank);
        if added {
            let object = bank.render();
            self.within(id, |books| books.emit("account.external_account.created", object));
        }
        self.change_account(id, |account| {
            let mut data = told.test_data(&account.country);
            overlay(&mut data, account.told.clone());
            overlay(&mut data, told.said());
            account.told = data;
            if account.email.is_none() {
                account.email = Some(told.email.clone());
            }
            account.acceptance =
                Some(Acceptance { date: now, ip: Some("127.0.0.1".to_owned()), user_agent: None });
            if added {
                account.external_accounts.push(bank);
            }
        });
    }

    fn test_bank_account(&mut self, account: &str) -> BankAccount {
        let known = self.connect.accounts.get(account);
        BankAccount {
            country: known.map(|account| account.country.clone()).unwrap_or_default(),
            currency: known.map(|account| account.default_currency.clone()).unwrap_or_default(),
            id: self.chance.id("ba_"),
            account: account.to_owned(),
            last4: "6789".to_owned(),
            routing_number: Some("110000000".to_owned()),
            holder_name: None,
            holder_type: None,
            is_default: true,
            metadata: Metadata::new(),
        }
    }
}
