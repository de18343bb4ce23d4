//! What pays: a card that answers at once, or an account or store whose answer takes days.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::{Rail, TestAccount};
use super::card::{Aftermath, CardFace, TestCard};

/// What a payment method is, and what a charge was made with. Only the name of the test number is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Instrument {
    Card {
        token: String,
        face: CardFace,
    },
    Account {
        token: String,
        /// `individual` or `company`.
        holder: String,
        /// `checking` or `savings`.
        kind: String,
    },
}

/// An instrument with the row of the table that says how it behaves.
pub(crate) enum Behind<'a> {
    Card(&'static TestCard, &'a CardFace),
    Account(&'static TestAccount),
}

impl Instrument {
    /// The row behind it.
    pub(crate) fn behind(&self) -> Behind<'_> {
        match self {
            Self::Card { token, face } => {
                Behind::Card(TestCard::by_token(token).unwrap_or(TestCard::plain()), face)
            }
            Self::Account { token, .. } => {
                Behind::Account(TestAccount::by_token(token).unwrap_or(TestAccount::konbini()))
            }
        }
    }

    /// The card, if it is one.
    pub(crate) fn card(&self) -> Option<&'static TestCard> {
        match self.behind() {
            Behind::Card(card, _) => Some(card),
            Behind::Account(_) => None,
        }
    }

    /// The account or store, if it is one.
    pub(crate) fn account(&self) -> Option<&'static TestAccount> {
        match self.behind() {
            Behind::Card(..) => None,
            Behind::Account(account) => Some(account),
        }
    }

    /// What follows a payment that succeeded.
    pub(crate) fn aftermath(&self) -> Aftermath {
        self.card().map_or(Aftermath::Nothing, |card| card.aftermath)
    }

    /// The type as the API has it.
    pub(crate) fn word(&self) -> &'static str {
        self.account().map_or("card", |account| account.rail.as_str())
    }

    /// The last characters of the number; empty where there is none.
    pub(crate) fn last4(&self) -> &'static str {
        match self.behind() {
            Behind::Card(card, _) => card.last4(),
            Behind::Account(account) => account.last4(),
        }
    }

    /// The field of a payment method that has the type's name.
    pub(crate) fn method_details(&self) -> Value {
        match (self, self.behind()) {
            (_, Behind::Card(card, face)) => face.render(card),
            (Self::Account { holder, kind, .. }, Behind::Account(account)) => {
                let mut details = account.details(holder, kind);
                let more = match account.rail {
                    Rail::SepaDebit => json!({ "generated_from": null }),
                    Rail::UsBankAccount => json!({
                        "financial_connections_account": null, "status_details": null,
                        "networks": { "preferred": "ach", "supported": ["ach"] },
                    }),
                    Rail::Konbini | Rail::CustomerBalance => json!({}),
                };
                merge(&mut details, more);
                details
            }
            (Self::Card { .. }, Behind::Account(_)) => json!({}),
        }
    }

    /// The `payment_method_details` of a charge.
    pub(crate) fn charge_details(&self, authenticated: bool) -> Value {
        let details = match (self, self.behind()) {
            (_, Behind::Card(card, face)) => card.charge_details(face, authenticated),
            (Self::Account { holder, kind, .. }, Behind::Account(account)) => {
                let mut details = account.details(holder, kind);
                let more = match account.rail {
                    Rail::SepaDebit => json!({ "mandate": null }),
                    Rail::UsBankAccount => json!({ "payment_reference": null }),
                    Rail::CustomerBalance => json!({}),
                    Rail::Konbini => json!({ "store": { "chain": "familymart" } }),
                };
                merge(&mut details, more);
                details
            }
            (Self::Card { .. }, Behind::Account(_)) => json!({}),
        };
        json!({ "type": self.word(), self.word(): details })
    }
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(fields), Value::Object(more)) = (into.as_object_mut(), more) {
        fields.extend(more);
    }
}
