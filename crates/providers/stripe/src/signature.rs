//! Verifies the `Stripe-Signature` header over the raw bytes of a webhook.
//!
//! It never parses the body and never reads a clock. Scheme: `t=<unix seconds>,v1=<hex>[,v1=<hex>...]`, where `v1` is the
//! lowercase hex HMAC-SHA256 of `"{t}." + body` under the whole secret text, prefix included. Stricter than the official
//! libraries in one point: a timestamp too far in the future is refused as well, so that a message signed with a skewed clock
//! cannot be replayed for longer than the tolerance.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

/// The tolerance that Stripe's own libraries use, in seconds; inclusive in both directions.
pub const DEFAULT_TOLERANCE_S: i64 = 300;
/// A longer header is refused unread.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;
/// More `v1` values than this are refused: Stripe sends one for each active secret, which are two while one is being rolled.
pub const MAX_SIGNATURES: usize = 64;
/// A lowercase hex SHA-256.
const HEX_LEN: usize = 64;

/// Why a webhook's signature was refused. Nothing may be stored or changed because of such a message; no money moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no `Stripe-Signature` header.
    #[error("the Stripe-Signature header is missing; only Stripe should call this address")]
    Missing,
    /// The header has no usable timestamp, no `v1` value, or is too large.
    #[error("the Stripe-Signature header is malformed; check for a proxy that rewrites headers")]
    Malformed,
    /// No `v1` value fits any configured secret.
    #[error(
        "no signature fits a configured secret; compare the endpoint's signing secret with STRIPE_WEBHOOK_SECRET \
         and check for a proxy that rewrites bodies"
    )]
    NoMatch,
    /// Correctly signed, but longer ago than the tolerance.
    #[error("the signature is too old; resend the event from Stripe and check this machine's clock")]
    TooOld,
    /// Correctly signed, but for a time further ahead than the tolerance.
    #[error("the signature is dated in the future; check this machine's clock")]
    TooNew,
}

impl SignatureError {
    /// A stable code for metrics and problem documents.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Malformed => "signature_malformed",
            Self::NoMatch => "signature_mismatch",
            Self::TooOld => "signature_too_old",
            Self::TooNew => "signature_too_new",
        }
    }
}

/// Checks that `body` was signed with one of `secrets` at a time within `tolerance_s` of `now_s` (both in seconds, UTC).
///
/// The signature is decided before the time, so that an answer about time is given only to someone who holds the secret.
/// Blank secrets never match. There is no value that disables the time check: zero means "this very second".
///
/// # Errors
/// [`SignatureError`] says which check failed.
pub fn verify(
    header: Option<&[u8]>,
    body: &[u8],
    secrets: &[SecretString],
    now_s: i64,
    tolerance_s: i64,
) -> Result<(), SignatureError> {
    let header = header.filter(|h| !h.is_empty()).ok_or(SignatureError::Missing)?;
    let signed = SignedHeader::parse(header)?;
    if !signed.matches(body, secrets) {
        return Err(SignatureError::NoMatch);
    }
    let age = now_s.saturating_sub(signed.at_s);
    if age > tolerance_s {
        Err(SignatureError::TooOld)
    } else if age < tolerance_s.saturating_neg() {
        Err(SignatureError::TooNew)
    } else {
        Ok(())
    }
}

/// The header's parts; other schemes (`v0`) and unknown keys are ignored.
struct SignedHeader<'a> {
    /// The timestamp as it was written, because that text is what was signed.
    at_text: &'a [u8],
    at_s: i64,
    candidates: Vec<&'a [u8]>,
}

impl<'a> SignedHeader<'a> {
    fn parse(header: &'a [u8]) -> Result<Self, SignatureError> {
        if header.len() > MAX_HEADER_BYTES {
            return Err(SignatureError::Malformed);
        }
        let mut at_text = None;
        let mut candidates = Vec::with_capacity(2);
        for part in header.split(|b| *b == b',') {
            // A space after a comma makes the key " v1", which no scheme has: Stripe never sends one.
            if let Some(value) = part.strip_prefix(b"t=") {
                at_text = Some(value);
            } else if let Some(value) = part.strip_prefix(b"v1=") {
                if candidates.len() == MAX_SIGNATURES {
                    return Err(SignatureError::Malformed);
                }
                candidates.push(value);
            }
        }
        let at_text = at_text.ok_or(SignatureError::Malformed)?;
        let at_s = seconds(at_text).ok_or(SignatureError::Malformed)?;
        if candidates.is_empty() {
            return Err(SignatureError::Malformed);
        }
        Ok(Self { at_text, at_s, candidates })
    }

    /// Compares every candidate under every secret without leaving early, so that time tells nothing about which one fitted.
    fn matches(&self, body: &[u8], secrets: &[SecretString]) -> bool {
        let mut found = Choice::from(0);
        for secret in secrets {
            let key = secret.expose_secret();
            if key.trim().is_empty() {
                continue;
            }
            let Some(expected) = signature_hex(key.as_bytes(), self.at_text, body) else { continue };
            for candidate in &self.candidates {
                found |= expected.as_slice().ct_eq(candidate);
            }
        }
        found.into()
    }
}

/// Digits with an optional minus sign: an unreadable time and a negative one are different refusals.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.starts_with('+') {
        return None;
    }
    text.parse().ok()
}

fn signature_hex(key: &[u8], at_text: &[u8], body: &[u8]) -> Option<[u8; HEX_LEN]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(at_text);
    mac.update(b".");
    mac.update(body);
    let mut out = [0; HEX_LEN];
    hex::encode_to_slice(mac.finalize().into_bytes(), &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
