//! Published vectors and the listed edge cases of the signature scheme, plus properties over arbitrary bytes.

use super::*;
use proptest::prelude::*;

const EVT1: &[u8] = br#"{"id":"evt_1","object":"event","type":"invoice.paid"}"#;
const OLD: &str = "9a4814c899ffc02f8957a3b59c62d2d9a21433cb8b92c60ac2b628f16383a573";
const NEW: &str = "8486a3e5f8fd0f5f27261ae780aca6962ee6e256f600a9e9ebbc9b75e25f16db";
const T: i64 = 1_795_000_000;

fn secrets(list: &[&str]) -> Vec<SecretString> {
    list.iter().map(|s| SecretString::from(*s)).collect()
}

fn check(header: &str, body: &[u8], keys: &[&str], now_s: i64) -> Result<(), SignatureError> {
    verify(Some(header.as_bytes()), body, &secrets(keys), now_s, DEFAULT_TOLERANCE_S)
}

fn sign(key: &str, at: &str, body: &[u8]) -> String {
    let hex = signature_hex(key.as_bytes(), at.as_bytes(), body).expect("any key length is fine for HMAC");
    String::from_utf8(hex.to_vec()).expect("hex is ASCII")
}

#[test]
fn published_vectors() {
    let rows: &[(&str, &[u8], i64, &str)] = &[
        (
            "whsec_test_secret",
            br#"{"id":"evt_test_webhook","object":"event"}"#,
            1_700_000_000,
            "d95c6b7477fbd7e9f90b1b0ef5f9c7ac25abca5382460e0d988c2b2a5b71b990",
        ),
        ("whsec_quittance_old", EVT1, T, OLD),
        ("whsec_quittance_new", EVT1, T, NEW),
        (
            "whsec_utf8",
            r#"{"name":"José 日本 — €"}"#.as_bytes(),
            T + 1,
            "646d7cf27347cb7ecb80dcb1b40dfe6af6f01667ca9f3fc44031ef998780e767",
        ),
        (
            "whsec_ws",
            b"{\n  \"id\": \"evt_2\",\n  \"object\": \"event\"\n}\n",
            T + 2,
            "feb32019be456b8179da7da45549b88127b19fd8a92922e96e6970a32c628bff",
        ),
    ];
    for (key, body, t, v1) in rows {
        let header = format!("t={t},v1={v1}");
        assert_eq!(check(&header, body, &[key], *t), Ok(()), "{key}");
        assert_eq!(check(&header, body, &["whsec_other"], *t), Err(SignatureError::NoMatch), "{key}");
    }
}

#[test]
fn a_rolled_secret_passes_under_either_and_other_schemes_are_ignored() {
    let header = format!("t={T},v1={OLD},v1={NEW},v0=deadbeef");
    for keys in [&["whsec_quittance_old"][..], &["whsec_quittance_new"], &["whsec_x", "whsec_quittance_new"]]
    {
        assert_eq!(check(&header, EVT1, keys, T), Ok(()), "{keys:?}");
    }
    assert_eq!(
        check(&format!("t={T},v0={OLD}"), EVT1, &["whsec_quittance_old"], T),
        Err(SignatureError::Malformed)
    );
}

#[test]
fn the_tolerance_is_inclusive_in_both_directions() {
    let header = format!("t={T},v1={OLD}");
    for (now, want) in [
        (T + 300, Ok(())),
        (T + 301, Err(SignatureError::TooOld)),
        (T - 300, Ok(())),
        (T - 301, Err(SignatureError::TooNew)),
        (T - 3600, Err(SignatureError::TooNew)),
        (i64::MAX, Err(SignatureError::TooOld)),
        (i64::MIN, Err(SignatureError::TooNew)),
    ] {
        assert_eq!(check(&header, EVT1, &["whsec_quittance_old"], now), want, "now {now}");
    }
    let zero = verify(Some(header.as_bytes()), EVT1, &secrets(&["whsec_quittance_old"]), T + 1, 0);
    assert_eq!(zero, Err(SignatureError::TooOld), "zero does not disable the check");
}

#[test]
fn the_signature_is_decided_before_the_time() {
    let header = format!("t={T},v1={OLD}");
    assert_eq!(check(&header, EVT1, &["whsec_wrong"], T + 9_999), Err(SignatureError::NoMatch));
}

#[test]
fn broken_headers() {
    let upper = OLD.to_uppercase();
    let long = format!("t={T},v1={OLD},x={}", "a".repeat(MAX_HEADER_BYTES));
    let rows = [
        (String::new(), SignatureError::Missing),
        (format!("v1={OLD}"), SignatureError::Malformed),
        (format!("t={T}"), SignatureError::Malformed),
        (format!("t=soon,v1={OLD}"), SignatureError::Malformed),
        (format!("t=+{T},v1={OLD}"), SignatureError::Malformed),
        (format!("t=99999999999999999999,v1={OLD}"), SignatureError::Malformed),
        (format!("t=,v1={OLD}"), SignatureError::Malformed),
        (format!("t={T}, v1={OLD}"), SignatureError::Malformed),
        (format!("t={T},v1={upper}"), SignatureError::NoMatch),
        (format!("t={T},v1= {OLD}"), SignatureError::NoMatch),
        (format!("t={T},v1="), SignatureError::NoMatch),
        (long, SignatureError::Malformed),
    ];
    for (header, want) in rows {
        assert_eq!(check(&header, EVT1, &["whsec_quittance_old"], T), Err(want), "{header:.80}");
    }
    assert_eq!(verify(None, EVT1, &secrets(&["whsec_quittance_old"]), T, 300), Err(SignatureError::Missing));
}

#[test]
fn a_negative_time_is_readable_and_too_old() {
    let header = format!("t=-5,v1={}", sign("whsec_k", "-5", EVT1));
    assert_eq!(check(&header, EVT1, &["whsec_k"], T), Err(SignatureError::TooOld));
}

#[test]
fn the_last_timestamp_wins() {
    let good = format!("t=1,t={T},v1={OLD}");
    assert_eq!(check(&good, EVT1, &["whsec_quittance_old"], T), Ok(()));
    let bad = format!("t={T},t=1,v1={OLD}");
    assert_eq!(check(&bad, EVT1, &["whsec_quittance_old"], T), Err(SignatureError::NoMatch));
}

#[test]
fn the_number_of_signatures_is_bounded() {
    let filler = ",v1=00".repeat(MAX_SIGNATURES - 1);
    assert_eq!(check(&format!("t={T}{filler},v1={OLD}"), EVT1, &["whsec_quittance_old"], T), Ok(()));
    let hundred = ",v1=00".repeat(99);
    let got = check(&format!("t={T}{hundred},v1={OLD}"), EVT1, &["whsec_quittance_old"], T);
    assert_eq!(got, Err(SignatureError::Malformed));
}

#[test]
fn blank_secrets_never_match() {
    for blank in ["", " ", "\t\n"] {
        let header = format!("t={T},v1={}", sign(blank, &T.to_string(), EVT1));
        assert_eq!(check(&header, EVT1, &[blank], T), Err(SignatureError::NoMatch), "{blank:?}");
    }
    assert_eq!(
        check(&format!("t={T},v1={OLD}"), EVT1, &[], T),
        Err(SignatureError::NoMatch),
        "no secret at all"
    );
}

#[test]
fn bodies_need_not_be_text() {
    let body = [0xff, 0x00, 0xfe, b'{', 0x80];
    let header = format!("t={T},v1={}", sign("whsec_k", &T.to_string(), &body));
    assert_eq!(check(&header, &body, &["whsec_k"], T), Ok(()));
}

proptest! {
    #[test]
    fn arbitrary_headers_are_refused_without_panic(
        header in proptest::collection::vec(any::<u8>(), 0..300), body in proptest::collection::vec(any::<u8>(), 0..100)
    ) {
        prop_assert!(verify(Some(&header), &body, &secrets(&["whsec_k"]), T, 300).is_err());
    }

    #[test]
    fn header_shaped_text_is_refused_without_panic(header in "(t=-?[0-9]{0,20}|v1=[0-9a-f]{0,70}|v0=x|,| ){0,40}") {
        prop_assert!(check(&header, b"body", &["whsec_k"], T).is_err());
    }

    #[test]
    fn one_changed_byte_anywhere_is_refused(
        body in proptest::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), flip in 1_u8..
    ) {
        let header = format!("t={T},v1={}", sign("whsec_k", &T.to_string(), &body));
        prop_assert_eq!(check(&header, &body, &["whsec_k"], T), Ok(()));
        let mut tampered = body.clone();
        tampered[at.index(body.len())] ^= flip;
        prop_assert_eq!(check(&header, &tampered, &["whsec_k"], T), Err(SignatureError::NoMatch));
    }
}
