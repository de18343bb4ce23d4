//! Aggregates: the unit that is synced and serialised (engine.md section 3).
//!
//! The key names provider, account and mode as well as the object, so that two accounts or modes
//! can never mix.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A payment provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Stripe.
    Stripe,
}

impl Provider {
    /// The name used in keys, API, metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
        }
    }
}

/// Whether real money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The provider's test mode or a sandbox.
    Test,
    /// Real money.
    Live,
}

impl Mode {
    /// From the provider's `livemode` flag.
    #[must_use]
    pub const fn from_livemode(livemode: bool) -> Self {
        if livemode { Self::Live } else { Self::Test }
    }

    /// `live` or `test`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// Where an object lives: provider, account and mode. `self` is the account of the configured key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// The provider.
    pub provider: Provider,
    /// The connected account, or `self`.
    pub account: String,
    /// Test or live.
    pub mode: Mode,
}

impl Scope {
    /// The configured account itself.
    pub const OWN_ACCOUNT: &'static str = "self";

    /// The scope of the configured account.
    #[must_use]
    pub fn own(provider: Provider, mode: Mode) -> Self {
        Self { provider, account: Self::OWN_ACCOUNT.to_owned(), mode }
    }

    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let provider = match parts.next()? {
            "stripe" => Provider::Stripe,
            _ => return None,
        };
        let mode = match parts.next()? {
            "test" => Mode::Test,
            "live" => Mode::Live,
            _ => return None,
        };
        let account = parts.next().filter(|a| !a.is_empty() && !a.contains('/'))?.to_owned();
        Some(Self { provider, account, mode })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.provider.as_str(), self.mode.as_str(), self.account)
    }
}

/// What an aggregate is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateObject {
    /// One customer at the provider, by the provider's id: the normal case.
    Customer(String),
    /// A checkout session without a customer.
    Checkout(String),
    /// A payment that leads to its customer: disputes and refunds name only it.
    Payment(String),
    /// The account's money: its balance transactions and payouts, of all customers.
    Balance,
    /// Any other object without a customer (a price, a payout …): kept for the record, nothing to fetch.
    Other(String),
}

/// An aggregate's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateKey {
    /// Where the object lives.
    pub scope: Scope,
    /// Which object.
    pub object: AggregateObject,
}

impl AggregateKey {
    /// The aggregate of a provider's customer.
    #[must_use]
    pub fn customer(scope: Scope, provider_customer: &str) -> Self {
        Self { scope, object: AggregateObject::Customer(provider_customer.to_owned()) }
    }

    /// The aggregate of the account's money.
    #[must_use]
    pub const fn balance(scope: Scope) -> Self {
        Self { scope, object: AggregateObject::Balance }
    }

    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, id) = text.rsplit_once('/')?;
        let (scope, kind) = rest.rsplit_once('/')?;
        let scope = Scope::parse(scope)?;
        let object = match kind {
            "customer" => AggregateObject::Customer(id.to_owned()),
            "checkout" => AggregateObject::Checkout(id.to_owned()),
            "payment" => AggregateObject::Payment(id.to_owned()),
            "balance" => AggregateObject::Balance,
            "other" => AggregateObject::Other(id.to_owned()),
            _ => return None,
        };
        Some(Self { scope, object })
    }
}

impl fmt::Display for AggregateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = match &self.object {
            AggregateObject::Customer(id) => ("customer", id.as_str()),
            AggregateObject::Checkout(id) => ("checkout", id.as_str()),
            AggregateObject::Payment(id) => ("payment", id.as_str()),
            AggregateObject::Balance => ("balance", "account"),
            AggregateObject::Other(id) => ("other", id.as_str()),
        };
        // A slash in an id from outside would make two keys look alike.
        write!(f, "{}/{kind}/{}", self.scope, id.replace('/', "_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_and_keep_modes_and_accounts_apart() {
        let own = Scope::own(Provider::Stripe, Mode::Test);
        let live = Scope::own(Provider::Stripe, Mode::Live);
        let connected = Scope { account: "acct_1".into(), ..own.clone() };
        let keys = [own, live, connected].map(|scope| AggregateKey::customer(scope, "cus_1"));
        for key in &keys {
            assert_eq!(AggregateKey::parse(&key.to_string()).as_ref(), Some(key));
        }
        assert_eq!(keys[0].to_string(), "stripe/test/self/customer/cus_1");
        assert_ne!(keys[0].to_string(), keys[1].to_string());
        assert_ne!(keys[0].to_string(), keys[2].to_string());
        let balance = AggregateKey::balance(Scope::own(Provider::Stripe, Mode::Test));
        assert_eq!(balance.to_string(), "stripe/test/self/balance/account");
        assert_eq!(AggregateKey::parse(&balance.to_string()), Some(balance));
        assert_eq!(AggregateKey::parse("stripe/other/self/customer/x"), None);
        assert_eq!(AggregateKey::parse("nonsense"), None);
    }
}
