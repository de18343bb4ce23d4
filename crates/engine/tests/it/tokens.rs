//! Entitlement tokens, checked with another implementation of Ed25519 than the one that signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use quittance_domain::Timestamp;
use quittance_domain::signing::KeyState;
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::grants::NewGrant;
use quittance_engine::{Engine, ProblemCode, Settings};
use serde_json::Value;

use crate::house::{House, catalog, customer};

const ROOT: &str = "a root key of thirty-two characters";
const HOUR_MS: i64 = 3_600_000;

fn settings(root: &str) -> Settings {
    Settings { root_key: Some(root.to_owned().into()), ..Settings::default() }
}

/// A house for each database whose engine has a root key.
async fn houses() -> Vec<House> {
    let mut all = Vec::new();
    for test in quittance_store::testing::databases().await {
        all.push(House::with(test, settings(ROOT), catalog()).await);
    }
    all
}

/// What a verifier would do with the keys that this engine publishes: the claims, if it believes them now.
async fn believed(engine: &Engine, token: &str) -> Option<Value> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{token}") };
    let json =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let head = json(header);
    assert_eq!((&head["alg"], &head["typ"]), (&"EdDSA".into(), &"JWT".into()));
    let keys = engine.published_keys().await.unwrap();
    let key = keys.iter().find(|key| head["kid"] == key.kid.as_str())?;
    let public = VerifyingKey::from_bytes(&key.public_key.clone().try_into().unwrap()).unwrap();
    let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    public.verify_strict(format!("{header}.{claims}").as_bytes(), &signature).ok()?;
    let claims = json(claims);
    (engine.now().seconds() < claims["exp"].as_i64().unwrap()).then_some(claims)
}

async fn token(engine: &Engine, id: &str) -> String {
    engine.entitlement_token(&customer(id), None).await.unwrap().text
}

fn at(text: &Value) -> i64 {
    text.as_i64().unwrap()
}

async fn grant(h: &House, id: &str, feature: &str, limit: i64, until: Timestamp) {
    let gift = NewGrant {
        plan: None,
        feature: Some(feature.into()),
        limit: Some(limit),
        expires_at: Some(until),
        reason: "test".into(),
        idempotency: None,
    };
    let by = Caller {
        key: quittance_domain::ids::ApiKeyId::derived(&["operator"]),
        scopes: KeyScope::ALL.to_vec(),
    };
    h.engine.grant(&customer(id), &gift, &by).await.unwrap();
}

#[tokio::test]
async fn a_token_says_what_the_check_says_and_others_can_verify_it() {
    for h in houses().await {
        h.subscriber("ada").await;
        let token = h.engine.entitlement_token(&customer("ada"), Some("edge")).await.unwrap();
        let claims = believed(&h.engine, &token.text).await.expect("believed");
        assert_eq!(claims["sub"], "ada");
        assert_eq!(claims["iss"], h.engine.settings().public_url.as_str());
        assert_eq!(claims["aud"], "edge");
        assert_eq!(claims["access"], "granted");
        assert_eq!(claims["plans"], serde_json::json!(["free", "pro"]));
        assert_eq!(at(&claims["exp"]), token.expires_at.seconds());
        assert_eq!(at(&claims["exp"]) - at(&claims["iat"]), 300);
        let held = h.engine.held("ada").await.unwrap().unwrap();
        assert_eq!(at(&claims["version"]), held.version);
        for feature in h.engine.catalog().features() {
            let answer = h.engine.check("ada", feature.key.as_str()).await.unwrap();
            let said = claims["entitlements"].get(feature.key.as_str());
            assert_eq!(said.is_some(), answer.allowed, "{feature:?}");
            if let Some(said) = said {
                assert_eq!(said["limit"].as_i64(), answer.limit);
                assert_eq!(
                    said["expires_at"].as_str().map(str::to_owned),
                    answer.expires_at.map(|t| t.to_string())
                );
            }
        }
        // One changed letter, and it is worth nothing.
        let (head, rest) = token.text.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let forged = URL_SAFE_NO_PAD.encode(claims.to_string().replace("ada", "eve"));
        assert!(believed(&h.engine, &format!("{head}.{forged}.{signature}")).await.is_none());
        let stranger = crate::tokens::token(&h.engine, "nobody").await;
        assert_eq!(believed(&h.engine, &stranger).await.unwrap()["entitlements"], serde_json::json!({}));
        let again = crate::tokens::token(&h.engine, "ada").await;
        assert_ne!(believed(&h.engine, &again).await.unwrap()["jti"], claims["jti"]);
    }
}

/// Keys are forgotten an hour after they signed last, whatever lifetime is configured.
#[tokio::test]
async fn no_token_lives_longer_than_an_hour() {
    for test in quittance_store::testing::databases().await {
        let mut long = settings(ROOT);
        long.tokens.lifetime_ms = 10 * HOUR_MS;
        let h = House::with(test, long, catalog()).await;
        let token = h.engine.entitlement_token(&customer("ada"), None).await.unwrap();
        let life = token.expires_at.since(h.engine.now());
        assert!((HOUR_MS - 1_000..=HOUR_MS).contains(&life), "{life}");
    }
}

#[tokio::test]
async fn a_token_never_outlives_what_it_grants_nor_a_limit_that_ends() {
    for h in houses().await {
        h.engine.put_customer(&customer("ada"), Default::default()).await.unwrap();
        let now = h.engine.now();
        grant(&h, "ada", "team:seats", 9, now.plus_ms(90_500)).await;
        grant(&h, "ada", "team:seats", 2, now.plus_ms(20 * HOUR_MS)).await;
        let token = h.engine.entitlement_token(&customer("ada"), None).await.unwrap();
        let claims = believed(&h.engine, &token.text).await.unwrap();
        assert_eq!(claims["entitlements"]["team:seats"]["limit"], 9);
        assert_eq!(
            token.expires_at,
            Timestamp::from_seconds(now.plus_ms(90_500).seconds()),
            "with the wider limit"
        );
        // Within the last second of it the token is without it, and lasts again.
        h.pass_ms(89_600);
        let next = h.engine.entitlement_token(&customer("ada"), None).await.unwrap();
        let claims = believed(&h.engine, &next.text).await.unwrap();
        assert_eq!(claims["entitlements"]["team:seats"]["limit"], 2);
        assert!(next.expires_at.since(h.engine.now()) > 290_000, "{}", next.expires_at);
    }
}

/// Days pass; both nodes look after the keys as their workers do; a token of each node is issued at every step.
#[tokio::test]
async fn keys_change_in_time_made_once_and_every_token_in_force_is_believed_on_both_nodes() {
    for test in quittance_store::testing::databases().await {
        let mut often = settings(ROOT);
        often.tokens.rotation.rotate_every_ms = 10 * 24 * HOUR_MS;
        let h = House::with(test, often, catalog()).await;
        let other = h.another_engine().await;
        h.engine.put_customer(&customer("ada"), Default::default()).await.unwrap();
        let mut kids = std::collections::BTreeSet::new();
        for turn in 0..64 {
            let (a, b) = tokio::join!(h.engine.tend_signing_keys(), other.tend_signing_keys());
            a.and(b).unwrap();
            let (one, two) = (token(&h.engine, "ada").await, token(&other, "ada").await);
            for engine in [&h.engine, &other] {
                let both = believed(engine, &one).await.is_some() && believed(engine, &two).await.is_some();
                assert!(both, "{turn}");
                let keys = engine.signing_keys().await.unwrap();
                let signing: Vec<_> = keys.iter().filter(|key| key.state == KeyState::Signing).collect();
                assert_eq!(signing.len(), 1, "{keys:?}");
                assert!(keys.len() <= 3, "{keys:?}");
                kids.insert(signing[0].kid.clone());
            }
            // Just before a token ends it is still believed, whatever has changed meanwhile.
            h.pass_ms(299_000);
            h.engine.tend_signing_keys().await.unwrap();
            // What signs no more has no private part any more, in the database.
            let rows = h.engine.db().read("test", quittance_store::signing_keys::list).await.unwrap();
            for (row, key) in rows.iter().zip(h.engine.signing_keys().await.unwrap()) {
                assert_eq!(row.sealed.is_some(), key.state.needs_private(), "{turn}: {key:?}");
            }
            assert!(believed(&other, &one).await.is_some(), "{turn}");
            h.pass_ms(2_000);
            assert!(believed(&other, &one).await.is_none(), "{turn}");
            h.pass_ms(12 * HOUR_MS - 301_000);
        }
        assert_eq!(kids.len(), 4, "one at the start and one after each ten days");
    }
}

#[tokio::test]
async fn a_key_is_published_before_it_signs_and_survives_a_restart() {
    for h in houses().await {
        let first = token(&h.engine, "ada").await;
        let next = h.engine.rotate_signing_keys(false).await.unwrap().expect("made");
        assert_eq!(next.state, KeyState::Waiting);
        assert_eq!(h.engine.rotate_signing_keys(false).await.unwrap(), None, "one waits already");
        let published: Vec<String> =
            h.engine.published_keys().await.unwrap().into_iter().map(|k| k.kid).collect();
        assert!(published.contains(&next.kid) && published.len() == 2);
        let kid = |token: &str| -> String {
            let head: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap())
                    .unwrap();
            head["kid"].as_str().unwrap().to_owned()
        };
        let restarted = h.another_engine().await;
        assert_eq!(kid(&token(&restarted, "ada").await), kid(&first));
        h.pass_ms(24 * HOUR_MS);
        assert_eq!(kid(&token(&restarted, "ada").await), next.kid);
        let sealed = h.engine.db().read("test", quittance_store::signing_keys::list).await.unwrap();
        assert!(sealed.iter().filter_map(|row| row.sealed.as_ref()).all(|text| text.starts_with("v1.")));
    }
}

#[tokio::test]
async fn a_withdrawn_key_is_believed_no_more_on_any_node() {
    for h in houses().await {
        let (other, alone) = (h.another_engine().await, h.another_engine().await);
        let following = tokio::spawn(other.clone().follow_changes());
        let stolen = token(&other, "ada").await;
        assert!(believed(&other, &stolen).await.is_some() && believed(&alone, &stolen).await.is_some());
        let fresh = h.engine.rotate_signing_keys(true).await.unwrap().expect("made");
        assert_eq!(fresh.state, KeyState::Signing);
        assert!(believed(&h.engine, &stolen).await.is_none());
        crate::memory::eventually(async || believed(&other, &stolen).await.is_none()).await;
        // A node that hears nothing goes on with what it has read for half a minute, and no longer.
        h.pass_ms(30_000);
        assert!(believed(&alone, &stolen).await.is_none());
        let next = token(&other, "ada").await;
        assert!(believed(&h.engine, &next).await.is_some());
        following.abort();
    }
}

#[tokio::test]
async fn without_the_root_key_there_are_no_tokens_and_another_one_takes_over_once() {
    for test in quittance_store::testing::databases().await {
        let h = House::with(test, settings(ROOT), catalog()).await;
        let old = token(&h.engine, "ada").await;
        let bare = h.engine_with(Settings::default()).await;
        let problem = bare.entitlement_token(&customer("ada"), None).await.unwrap_err();
        assert_eq!(problem.code, ProblemCode::NotConfigured);
        assert!(believed(&bare, &old).await.is_some(), "what was signed can be verified");
        let changed = h.engine_with(settings("another root key, as long as the first one")).await;
        let problem = changed.entitlement_token(&customer("ada"), None).await.unwrap_err();
        assert_eq!(
            problem.code,
            ProblemCode::NotConfigured,
            "a node that was set up wrongly makes no keys in turn"
        );
        h.pass_ms(61_000);
        let new = token(&changed, "ada").await;
        assert!(believed(&changed, &new).await.is_some() && believed(&changed, &old).await.is_some());
    }
}
