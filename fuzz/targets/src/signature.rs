//! The webhook's signature header: what is accepted is exactly what an independent reading of the scheme accepts.
//!
//! Input: the header, an empty line, the body.

use hmac::{Hmac, KeyInit, Mac};
use quittance_stripe::signature::{DEFAULT_TOLERANCE_S, MAX_HEADER_BYTES, MAX_SIGNATURES, verify};
use secrecy::SecretString;
use sha2::Sha256;

const OLD: &str = "whsec_old";
const NEW: &str = "whsec_new";
const NOW: i64 = 1_795_000_000;

/// No header is accepted but one that carries the signature of this body under a configured secret at a time near now.
pub fn signature(input: &[u8]) {
    let at = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (header, body) = (&input[..at], input.get(at + 2..).unwrap_or_default());
    let secrets = [SecretString::from(OLD), SecretString::from("  "), SecretString::from(NEW)];
    for now in [NOW, time_of(header).unwrap_or(0)] {
        let accepted = verify(Some(header), body, &secrets, now, DEFAULT_TOLERANCE_S).is_ok();
        assert_eq!(accepted, acceptable(header, body, now), "the reference disagrees");
    }
    assert!(verify(None, body, &secrets, NOW, DEFAULT_TOLERANCE_S).is_err());
    assert!(verify(Some(header), body, &[], NOW, i64::MAX).is_err(), "accepted without a secret");
    genuine(body, &secrets);
}

/// A genuine signature is accepted, also among others, and refused after any change of header or body.
fn genuine(body: &[u8], secrets: &[SecretString]) {
    let accepted = |header: &[u8], body: &[u8], now| {
        verify(Some(header), body, secrets, now, DEFAULT_TOLERANCE_S).is_ok()
    };
    let signed = hex::encode(mac(NEW, NOW.to_string().as_bytes(), body));
    let header = format!("t={NOW},v1={signed}");
    assert!(accepted(header.as_bytes(), body, NOW));
    for others in
        [format!("t={NOW},v0={signed},v1={},v1={signed}", "0".repeat(64)), format!("{header},v1=,v2=x")]
    {
        assert!(accepted(others.as_bytes(), body, NOW), "{others}");
    }
    for (now, near) in [
        (NOW + DEFAULT_TOLERANCE_S, true),
        (NOW + DEFAULT_TOLERANCE_S + 1, false),
        (NOW - DEFAULT_TOLERANCE_S, true),
        (NOW - DEFAULT_TOLERANCE_S - 1, false),
        (i64::MAX, false),
        (i64::MIN, false),
    ] {
        assert_eq!(accepted(header.as_bytes(), body, now), near, "at {now}");
    }
    for spaced in [
        format!("t={NOW}, v1={signed}"),
        format!(" {header}"),
        format!("t= {NOW},v1={signed}"),
        format!("{header} "),
    ] {
        assert!(!accepted(spaced.as_bytes(), body, NOW), "{spaced}");
    }
    let mut forged = header.clone().into_bytes();
    for bit in 0..forged.len() * 8 {
        // Each bit of the header costs a signature over the whole body: of a long body every eighth will do.
        if body.len() > 256 && bit % 8 != 0 {
            continue;
        }
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(!accepted(&forged, body, NOW), "bit {bit} of the header does not matter");
        forged[bit / 8] ^= 1 << (bit % 8);
    }
    let mut forged = body.to_vec();
    for byte in (0..forged.len()).step_by(forged.len() / 64 + 1) {
        forged[byte] ^= 1 << (byte % 8);
        assert!(!accepted(header.as_bytes(), &forged, NOW), "byte {byte} of the body does not matter");
        forged[byte] ^= 1 << (byte % 8);
    }
    forged.push(b' ');
    assert!(!accepted(header.as_bytes(), &forged, NOW), "a longer body is another body");
}

/// The scheme, read once more: the last `t`, and any `v1`, between commas and without spaces.
fn acceptable(header: &[u8], body: &[u8], now: i64) -> bool {
    let values = |key: &str| -> Vec<&[u8]> {
        let parts = header.split(|byte| *byte == b',');
        parts.filter_map(|part| part.strip_prefix(key.as_bytes())).collect()
    };
    let (times, signatures) = (values("t="), values("v1="));
    let Some(time) = time_of(header) else { return false };
    let text = times.last().copied().unwrap_or_default();
    header.len() <= MAX_HEADER_BYTES
        && signatures.len() <= MAX_SIGNATURES
        && (i128::from(now) - i128::from(time)).abs() <= i128::from(DEFAULT_TOLERANCE_S)
        && [OLD, NEW].iter().any(|secret| {
            let wanted = hex::encode(mac(secret, text, body));
            signatures.contains(&wanted.as_bytes())
        })
}

fn time_of(header: &[u8]) -> Option<i64> {
    let parts = header.split(|byte| *byte == b',');
    let text = parts.filter_map(|part| part.strip_prefix(b"t=")).next_back()?;
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn mac(secret: &str, time: &[u8], body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    mac.update(&[time, b".", body].concat());
    mac.finalize().into_bytes().to_vec()
}
