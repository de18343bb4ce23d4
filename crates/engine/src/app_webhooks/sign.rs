//! The Standard Webhooks scheme, symmetric: what is signed, and how a secret is written.
//!
//! <https://www.standardwebhooks.com>: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, under the bytes that
//! the secret stands for in base64 behind `whsec_`. Several signatures stand side by side while a secret is rotated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use quittance_domain::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// What each secret starts with.
const PREFIX: &str = "whsec_";

/// A secret for a new endpoint, from 256 random bits.
#[must_use]
pub fn secret_of(random: [[u8; 16]; 2]) -> SecretString {
    SecretString::from(format!("{PREFIX}{}", STANDARD.encode(random.concat())))
}

/// The value of `webhook-signature`: one signature for each secret, the newest first. `None` when a secret is not
/// written as this scheme writes it.
#[must_use]
pub fn signatures(secrets: &[SecretString], id: &str, at: Timestamp, body: &str) -> Option<String> {
    let mut all = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let key = STANDARD.decode(secret.expose_secret().strip_prefix(PREFIX)?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(format!("{id}.{}.{body}", at.seconds()).as_bytes());
        all.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    Some(all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples that the scheme's authors publish with their libraries.
    const PUBLISHED: [(&str, &str, i64, &str, &str); 2] = [
        (
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];

    #[test]
    fn signs_as_the_published_examples() {
        for (secret, id, at, body, expected) in PUBLISHED {
            let at = Timestamp::from_seconds(at);
            let secret = SecretString::from(secret.to_owned());
            assert_eq!(signatures(&[secret], id, at, body).as_deref(), Some(expected));
        }
    }

    #[test]
    fn several_secrets_sign_side_by_side_and_a_strange_one_signs_nothing() {
        let at = Timestamp::from_seconds(1);
        let (new, old) = (secret_of([[1; 16], [2; 16]]), secret_of([[3; 16], [4; 16]]));
        let both = signatures(&[new.clone(), old.clone()], "aev_1", at, "{}").unwrap();
        let each: Vec<&str> = both.split(' ').collect();
        assert_eq!(each.len(), 2);
        assert_eq!(each[0], signatures(&[new], "aev_1", at, "{}").unwrap());
        assert_eq!(each[1], signatures(&[old], "aev_1", at, "{}").unwrap());
        for strange in ["", "hush", "whsec_not base64!"] {
            assert_eq!(signatures(&[strange.to_owned().into()], "aev_1", at, "{}"), None, "{strange}");
        }
    }
}
