//! Signed links in mails: each opens one thing for one customer, for a time, to a reader who is not signed in.
//!
//! The text says what, for whom and until when under a key derived from the root key; nothing is stored, and no secret
//! of a provider stands in a mail. Whoever holds the link can do that one thing, so it is as narrow as it can be.

use hmac::{Hmac, KeyInit, Mac};
use quittance_domain::time::DAY_MS;
use quittance_domain::{CustomerId, Scope, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::kind::Kind;

/// What a link opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Paying this invoice.
    Pay(String),
    /// Seeing this invoice, paid or not.
    Document(String),
    /// Changing the payment method.
    Card,
    /// Cancelling this subscription.
    Cancel(String),
    /// The customer's own billing page.
    Billing,
    /// Choosing which mails to get; this kind is the one that the mail was.
    Preferences(Kind),
}

impl Target {
    /// How long a link to it lasts, in milliseconds: as long as what it is about is likely to matter. Declining mails
    /// must still work for somebody who clears out an old mailbox.
    #[must_use]
    pub const fn life_ms(&self) -> i64 {
        match self {
            Self::Pay(_) | Self::Card => 30 * DAY_MS,
            Self::Document(_) | Self::Cancel(_) => 60 * DAY_MS,
            Self::Billing => 7 * DAY_MS,
            Self::Preferences(_) => 730 * DAY_MS,
        }
    }

    /// The path of its page: with a token of [`MailLinks::sign`].
    #[must_use]
    pub fn path(&self, token: &str) -> String {
        match self {
            Self::Pay(_) | Self::Document(_) | Self::Card | Self::Cancel(_) | Self::Billing => {
                format!("/mail/open/{token}")
            }
            Self::Preferences(_) => format!("/mail/preferences/{token}"),
        }
    }

    fn word(&self) -> (&'static str, &str) {
        match self {
            Self::Pay(invoice) => ("pay", invoice),
            Self::Document(invoice) => ("document", invoice),
            Self::Card => ("card", ""),
            Self::Cancel(subscription) => ("cancel", subscription),
            Self::Billing => ("billing", ""),
            Self::Preferences(kind) => ("mails", kind.as_str()),
        }
    }

    fn read(word: &str, object: &str) -> Option<Self> {
        match (word, object) {
            ("pay", invoice) if !invoice.is_empty() => Some(Self::Pay(invoice.to_owned())),
            ("document", invoice) if !invoice.is_empty() => Some(Self::Document(invoice.to_owned())),
            ("cancel", subscription) if !subscription.is_empty() => {
                Some(Self::Cancel(subscription.to_owned()))
            }
            ("card", "") => Some(Self::Card),
            ("billing", "") => Some(Self::Billing),
            ("mails", kind) => Kind::parse(kind).map(Self::Preferences),
            _ => None,
        }
    }
}

/// What reading a link gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is ours and lasts.
    Open(CustomerId, Target),
    /// It is ours and has run out.
    Expired(CustomerId, Target),
}

/// Makes and reads links. The key of one mode, account or installation does not open another's.
#[derive(Clone, Debug)]
pub struct MailLinks {
    root: SecretString,
    scope: String,
}

impl MailLinks {
    /// With the root key of this installation.
    #[must_use]
    pub fn new(root: SecretString, scope: &Scope) -> Self {
        Self { root, scope: scope.to_string() }
    }

    /// The text of a link that lasts from now on; letters, digits, points and underscores only.
    #[must_use]
    pub fn sign(&self, customer: &CustomerId, target: &Target, now: Timestamp) -> Option<String> {
        let until = now.plus_ms(target.life_ms()).seconds();
        let (word, object) = target.word();
        let said = format!("{word}.{}.{until}.{}", hex::encode(object), hex::encode(customer.as_str()));
        let signature = hex::encode(self.mac(&said)?.finalize().into_bytes());
        Some(format!("{said}.{signature}"))
    }

    /// What a text opens, if we signed it.
    #[must_use]
    pub fn read(&self, text: &str, now: Timestamp) -> Option<Opened> {
        let (said, signature) = text.rsplit_once('.')?;
        self.mac(said)?.verify_slice(&hex::decode(signature).ok()?).ok()?;
        let mut parts = said.split('.');
        let (word, object) = (parts.next()?, decoded(parts.next()?)?);
        let until: i64 = parts.next()?.parse().ok()?;
        let customer = CustomerId::parse(&decoded(parts.next()?)?).ok()?;
        let target = Target::read(word, &object)?;
        if now >= Timestamp::from_seconds(until) {
            return Some(Opened::Expired(customer, target));
        }
        Some(Opened::Open(customer, target))
    }

    fn mac(&self, said: &str) -> Option<Hmac<Sha256>> {
        // Each part ends with a line break, which none of them can hold.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.root.expose_secret().as_bytes()).ok()?;
        mac.update(format!("quittance mail link\n{}\n{said}\n", self.scope).as_bytes());
        Some(mac)
    }
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(hex::decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use quittance_domain::{Mode, Provider};

    use super::*;

    fn links(root: &str, mode: Mode) -> MailLinks {
        MailLinks::new(SecretString::from(root.to_owned()), &Scope::own(Provider::Stripe, mode))
    }

    #[test]
    fn a_link_opens_what_it_says_for_its_time_and_nothing_else() {
        let (ours, now) = (links("hush", Mode::Test), Timestamp::from_seconds(1_800_000_000));
        let ada = CustomerId::parse("ada@example.com").unwrap();
        for target in [
            Target::Pay("in_1".into()),
            Target::Document("in_1".into()),
            Target::Card,
            Target::Cancel("sub_1".into()),
            Target::Billing,
            Target::Preferences(Kind::CardExpiring),
        ] {
            let link = ours.sign(&ada, &target, now).unwrap();
            assert!(link.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_'), "{link}");
            let open = Opened::Open(ada.clone(), target.clone());
            assert_eq!(ours.read(&link, now), Some(open.clone()));
            assert_eq!(ours.read(&link, now.plus_ms(target.life_ms() - 1)), Some(open));
            let over = Opened::Expired(ada.clone(), target.clone());
            assert_eq!(ours.read(&link, now.plus_ms(target.life_ms())), Some(over));
            assert_eq!(links("other", Mode::Test).read(&link, now), None);
            assert_eq!(links("hush", Mode::Live).read(&link, now), None);
            let (said, signature) = link.rsplit_once('.').unwrap();
            for forged in [
                said.replacen(target.word().0, "cancel", 1).replace("mails", "pay"),
                format!("{said}0"),
                said.replace(&hex::encode("ada@example.com"), &hex::encode("eve@example.com")),
            ] {
                if forged != said {
                    assert_eq!(ours.read(&format!("{forged}.{signature}"), now), None, "{forged}");
                }
            }
        }
        for text in ["", ".", "....", "pay.x.1.y.z"] {
            assert_eq!(ours.read(text, now), None, "{text}");
        }
        assert!(!format!("{ours:?}").contains("hush"));
    }
}
