//! Numbers by which tax offices know a customer. They are shown on invoices and change no tax.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::table::Stored;
use crate::words::words;

static TYPES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| include_str!("tax_id_types.txt").lines().collect());

/// Types whose numbers the provider looks up at the office that gave them.
const LOOKED_UP: [&str; 3] = ["au_abn", "eu_vat", "gb_vat"];

words! {
    /// What the office said of a number.
    Verification {
        Pending = "pending",
        Verified = "verified",
        Unverified = "unverified",
        Unavailable = "unavailable",
    }
}

/// Whether the API has numbers of a type.
pub(crate) fn is_type(kind: &str) -> bool {
    TYPES.contains(kind)
}

/// A number of a customer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TaxId {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    /// The API's word, such as `eu_vat`.
    pub(crate) kind: String,
    pub(crate) value: String,
    pub(crate) verification: Verification,
}

impl Stored for TaxId {
    const LABEL: &'static str = "tax ID";
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn customer(&self) -> Option<&str> {
        Some(&self.customer)
    }
}

impl TaxId {
    /// What is known of a number when it is given.
    pub(crate) fn at_first(kind: &str) -> Verification {
        if LOOKED_UP.contains(&kind) { Verification::Pending } else { Verification::Unavailable }
    }

    /// What the office says of it later: test numbers of nine equal digits choose the answer, any other waits for ever.
    pub(crate) fn answer(&self) -> Option<Verification> {
        let digits: String = self.value.chars().filter(char::is_ascii_digit).collect();
        match digits.as_str() {
            "000000000" => Some(Verification::Verified),
            "111111111" => Some(Verification::Unverified),
            _ => None,
        }
    }

    /// ISO 3166, where the type or the number says it.
    fn country(&self) -> Option<String> {
        let (head, _) = self.kind.split_once('_')?;
        let head = if head == "eu" { self.value.get(..2)? } else { head };
        head.chars().all(|char| char.is_ascii_alphabetic()).then(|| head.to_ascii_uppercase())
    }

    /// The object.
    pub(crate) fn render(&self) -> Value {
        let known = self.verification == Verification::Verified;
        json!({
            "id": self.id,
            "object": "tax_id",
            "country": self.country(),
            "created": self.created,
            "customer": self.customer,
            "customer_account": null,
            "livemode": false,
            "owner": { "customer": self.customer, "customer_account": null, "type": "customer" },
            "type": self.kind,
            "value": self.value,
            "verification": {
                "status": self.verification.as_str(),
                "verified_address": known.then_some("1 Test Street"),
                "verified_name": known.then_some("TEST"),
            },
        })
    }
}
