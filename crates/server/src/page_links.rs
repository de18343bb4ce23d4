//! Signed links to the pages of one customer: how an app lets somebody whom it has signed in see our pages.
//!
//! Whoever holds a link is that customer on our pages for as long as it lasts, as with a link to the provider's portal.
//! It says who and until when, under a key derived from the root key; nothing is stored. It opens no API call.

use hmac::{Hmac, KeyInit, Mac};
use quittance_domain::time::MINUTE_MS;
use quittance_domain::{CustomerId, Scope, Timestamp};
use sha2::Sha256;

use crate::config::Secret;

/// How long a link lasts, in milliseconds.
pub const LIFE_MS: i64 = 60 * MINUTE_MS;

/// Makes and reads links. The key of one mode, account or installation does not open another's.
#[derive(Clone, Debug)]
pub struct PageLinks {
    root: Secret,
    scope: String,
}

impl PageLinks {
    /// With the root key of this installation.
    #[must_use]
    pub fn new(root: Secret, scope: &Scope) -> Self {
        Self { root, scope: scope.to_string() }
    }

    /// The text that says who and until when; letters, digits and points only.
    #[must_use]
    pub fn sign(&self, customer: &CustomerId, until: Timestamp) -> Option<String> {
        let said = format!("{}.{}", until.seconds(), hex::encode(customer.as_str()));
        let signature = hex::encode(self.mac(&said)?.finalize().into_bytes());
        Some(format!("{said}.{signature}"))
    }

    /// Whom a text names, if we signed it and it has not run out.
    #[must_use]
    pub fn read(&self, text: &str, now: Timestamp) -> Option<CustomerId> {
        let (said, signature) = text.rsplit_once('.')?;
        self.mac(said)?.verify_slice(&hex::decode(signature).ok()?).ok()?;
        let (until, customer) = said.split_once('.')?;
        if now >= Timestamp::from_seconds(until.parse().ok()?) {
            return None;
        }
        CustomerId::parse(&String::from_utf8(hex::decode(customer).ok()?).ok()?).ok()
    }

    fn mac(&self, said: &str) -> Option<Hmac<Sha256>> {
        // Each part ends with a line break, which none of them can hold.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.root.expose().as_bytes()).ok()?;
        mac.update(format!("quittance page link\n{}\n{said}\n", self.scope).as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use quittance_domain::{Mode, Provider};

    use super::*;

    fn links(root: &str, mode: Mode) -> PageLinks {
        PageLinks::new(Secret::new(root.to_owned()), &Scope::own(Provider::Stripe, mode))
    }

    #[test]
    fn only_what_we_signed_is_believed_and_only_for_its_time() {
        let (ours, now) = (links("hush", Mode::Test), Timestamp::from_seconds(1_800_000_000));
        for id in ["ada", "ada@example.com", "日本", "a.b.c"] {
            let id = CustomerId::parse(id).unwrap();
            let link = ours.sign(&id, now.plus_ms(LIFE_MS)).unwrap();
            assert!(link.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.'), "{link}");
            assert_eq!(ours.read(&link, now), Some(id.clone()));
            assert_eq!(ours.read(&link, now.plus_ms(LIFE_MS - 1)), Some(id));
            assert_eq!(ours.read(&link, now.plus_ms(LIFE_MS)), None);
            assert_eq!(links("other", Mode::Test).read(&link, now), None);
            assert_eq!(links("hush", Mode::Live).read(&link, now), None);
            let (until, rest) = link.split_once('.').unwrap();
            let later = until.parse::<i64>().unwrap() + 1;
            assert_eq!(ours.read(&format!("{later}.{rest}"), now), None);
            let eve = hex::encode("eve");
            let (_, signature) = rest.rsplit_once('.').unwrap();
            assert_eq!(ours.read(&format!("{until}.{eve}.{signature}"), now), None);
            assert_eq!(ours.read(&format!("{until}.{rest}00"), now), None);
        }
        for text in ["", ".", "..", "ada", "1.2.3", "9999999999.616461."] {
            assert_eq!(ours.read(text, now), None, "{text}");
        }
        assert!(!format!("{ours:?}").contains("hush"));
    }
}
