//! Trials: one for each customer, card and e-mail address, as far as the operator wants it.
//!
//! Refuses to know who somebody is: what is compared is hashed by the engine with a key of the installation.

use serde::{Deserialize, Serialize};

/// What a trial is remembered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// The card that it is charged to afterwards, by the provider's fingerprint.
    Card,
    /// The customer.
    Customer,
    /// The e-mail address, see [`normal_email`].
    Email,
}

impl ClaimKind {
    /// The word stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Customer => "customer",
            Self::Email => "email",
        }
    }
}

/// What happens to a trial that turns out to be a second one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSecondTrial {
    /// It ends at once, and what it led to is charged.
    Charge,
    /// The subscription is cancelled; nothing was paid.
    Cancel,
    /// A person decides.
    Alert,
}

/// The operator's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrialPolicy {
    /// One trial for each customer.
    pub once_per_customer: bool,
    /// One for each card. It is known only once the trial has begun.
    pub once_per_card: bool,
    /// One for each e-mail address.
    pub once_per_email: bool,
    /// What happens to a second one that is found after it has begun.
    pub on_second: OnSecondTrial,
}

impl Default for TrialPolicy {
    fn default() -> Self {
        Self {
            once_per_customer: true,
            once_per_card: true,
            once_per_email: true,
            on_second: OnSecondTrial::Charge,
        }
    }
}

impl TrialPolicy {
    /// Whether a trial is remembered by this.
    #[must_use]
    pub const fn counts(&self, kind: ClaimKind) -> bool {
        match kind {
            ClaimKind::Card => self.once_per_card,
            ClaimKind::Customer => self.once_per_customer,
            ClaimKind::Email => self.once_per_email,
        }
    }
}

/// Services where everything after a plus sign goes to the same mailbox.
const IGNORE_PLUS: [&str; 14] = [
    "fastmail.com",
    "gmail.com",
    "hey.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "mac.com",
    "me.com",
    "msn.com",
    "outlook.com",
    "pm.me",
    "proton.me",
    "protonmail.com",
    "zoho.com",
];
/// Services where dots before the @ make no difference.
const IGNORE_DOTS: [&str; 1] = ["gmail.com"];

/// An address as its mailbox: lower case, without what the service ignores. `None` for what is no address.
#[must_use]
pub fn normal_email(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let (local, domain) = lower.rsplit_once('@')?;
    let domain = domain.trim_end_matches('.');
    let domain = if domain == "googlemail.com" { "gmail.com" } else { domain };
    let plus = IGNORE_PLUS.contains(&domain);
    let local = if plus { local.split('+').next().unwrap_or(local) } else { local };
    let local: String = if IGNORE_DOTS.contains(&domain) {
        local.chars().filter(|c| *c != '.').collect()
    } else {
        local.to_owned()
    };
    (!local.is_empty() && !domain.is_empty()).then(|| format!("{local}@{domain}"))
}

/// How a subscription that begins when another one ends waits until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bridge {
    /// As a trial that ends then, to the second.
    Trial,
    /// As a billing cycle that begins then, with nothing charged before: a trial must be longer than there is time.
    Anchor,
}

/// The shortest trial with an end of its own that a checkout of the provider takes, in seconds.
const SHORTEST_TRIAL_S: i64 = 48 * 3_600;
/// A checkout is open for half an hour at least, and must be over before that begins, in seconds; with a minute to
/// spare for the way there.
const SHORTEST_CHECKOUT_S: i64 = 31 * 60;

/// How to bridge the time until `at_s`; `None` when there is too little of it. Times in Unix seconds.
#[must_use]
pub const fn bridge(now_s: i64, at_s: i64) -> Option<Bridge> {
    let left = at_s.saturating_sub(now_s);
    if left > SHORTEST_TRIAL_S + 60 {
        Some(Bridge::Trial)
    } else if left >= SHORTEST_CHECKOUT_S {
        Some(Bridge::Anchor)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_mailbox() {
        for (given, mailbox) in [
            ("Ada@Example.COM", Some("ada@example.com")),
            ("a.d.a+trial2@gmail.com", Some("ada@gmail.com")),
            ("A.D.A@GoogleMail.com", Some("ada@gmail.com")),
            ("a.da+x@outlook.com", Some("a.da@outlook.com")),
            ("ada+x@example.com", Some("ada+x@example.com")),
            (" ada@example.com. ", Some("ada@example.com")),
            ("\"odd@local\"@example.com", Some("\"odd@local\"@example.com")),
            ("+x@gmail.com", None),
            ("nobody", None),
            ("@example.com", None),
            ("ada@", None),
            ("", None),
        ] {
            assert_eq!(normal_email(given).as_deref(), mailbox, "{given}");
        }
    }

    #[test]
    fn the_time_until_a_term_ends_is_bridged_to_the_second() {
        let hour = 3_600;
        for (left, by) in [
            (90 * 24 * hour, Some(Bridge::Trial)),
            (48 * hour + 61, Some(Bridge::Trial)),
            (48 * hour, Some(Bridge::Anchor)),
            (hour, Some(Bridge::Anchor)),
            (31 * 60, Some(Bridge::Anchor)),
            (31 * 60 - 1, None),
            (0, None),
            (-5, None),
        ] {
            assert_eq!(bridge(1_000, 1_000 + left), by, "{left}");
        }
    }
}
