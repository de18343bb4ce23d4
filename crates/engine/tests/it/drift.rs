//! Drift: every pair of (mirror status, provider status) is found, explained and mended; what a machine must not mend waits.

use quittance_domain::drift::DriftKind;
use quittance_domain::{SubscriptionStatus, Timestamp};
use quittance_engine::api_keys::Caller;
use quittance_engine::settings::EmailTruth;
use quittance_engine::{ProblemCode, Settings};
use quittance_store::customers::{Change, CustomerPatch};
use quittance_store::drifts::DriftRow;
use quittance_store::mirror;
use serde_json::json;

use crate::house::{House, catalog, customer, on_each};
use crate::known_kit::{
    break_card, foreign_buyer, foreign_subscription, on_each_bent, operator, price_id, retry_settings, text,
};

const STATUSES: [&str; 8] =
    ["trialing", "active", "past_due", "unpaid", "paused", "incomplete", "incomplete_expired", "canceled"];

async fn findings(h: &House) -> Vec<DriftRow> {
    h.engine.drift(true, None, i64::MAX, 1_000).await.unwrap()
}

async fn open(h: &House) -> Vec<DriftRow> {
    h.engine.drift(false, None, i64::MAX, 1_000).await.unwrap()
}

async fn sweep(h: &House) -> quittance_engine::sweep::SweepReport {
    h.engine.sweep(true, false).await.unwrap().unwrap()
}

/// A subscription of a customer of ours, made at the provider.
fn subscription(h: &House, name: &str, more: &str) -> String {
    let buyer = foreign_buyer(h, &format!("metadata[quittance_customer]={name}"));
    foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), more)
}

/// One subscription at the provider in each status, in the order of `STATUSES`.
async fn one_in_each(h: &House) -> Vec<String> {
    retry_settings(h, &json!({ "on_exhaustion": "unpaid" }));
    let unpaid = subscription(h, "unpaid", "");
    h.settle().await;
    break_card(h, &unpaid);
    h.live(75).await;
    let past_due = subscription(h, "past_due", "");
    h.settle().await;
    break_card(h, &past_due);
    h.live(32).await;
    let expired = subscription(h, "incomplete_expired", "&payment_behavior=default_incomplete");
    h.live(1).await;
    let canceled = subscription(h, "canceled", "");
    h.provider("DELETE", &format!("/v1/subscriptions/{canceled}"), "");
    let paused = subscription(h, "paused", "");
    h.provider("POST", &format!("/v1/subscriptions/{paused}/pause"), "type=subscription");
    let incomplete = subscription(h, "incomplete", "&payment_behavior=default_incomplete");
    let all = vec![
        subscription(h, "trialing", "&trial_period_days=20"),
        subscription(h, "active", ""),
        past_due,
        unpaid,
        paused,
        incomplete,
        expired,
        canceled,
    ];
    for (id, status) in all.iter().zip(STATUSES) {
        let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
        assert_eq!(found["status"], status, "{id}");
    }
    all
}

/// Makes the mirror believe in another status, with the access that follows.
async fn tamper(h: &House, id: &str, status: &str, silent: bool) {
    let mut row = h.engine.subscription(id).await.unwrap();
    let now = h.engine.now();
    let (scope, ids) = (row.scope.clone(), vec![id.to_owned()]);
    let known = h.test.db.read("test.digest", move |tx| mirror::digests(tx, &scope, &ids)).await.unwrap();
    // Written wrongly, with the digest of what was read rightly; where the status is the same, only the digest differs.
    let same = row.subscription.facts.status.as_str() == status;
    let digest =
        known.into_iter().flatten().next().filter(|_| silent && !same).map_or("tampered".into(), |k| k.0);
    row.subscription.facts.status = SubscriptionStatus::from(status.to_owned());
    row.subscription.standing = h.engine.settings().access.standing(&row.subscription.facts, None, now);
    row.subscription.access = row.subscription.standing.at(now);
    h.test
        .db
        .write("test.tamper", move |tx| {
            mirror::put_subscription(tx, &row.scope, &row.aggregate, &row.subscription, &digest, now)
        })
        .await
        .unwrap();
}

fn gives(status: &str) -> bool {
    matches!(status, "trialing" | "active" | "past_due")
}

/// The rows of the matrix in which one side has nothing: not mirrored, and gone at the provider.
#[tokio::test]
async fn every_status_that_one_side_does_not_have_is_found_and_mended() {
    on_each_bent(|h, bent| {
        Box::pin(async move {
            let ids = one_in_each(h).await;
            h.drop_webhooks();
            h.settle().await;
            sweep(h).await;
            h.settle().await;
            let forget = "DELETE FROM holdings; DELETE FROM subscriptions";
            h.test.db.write("test.forget", move |tx| tx.script(forget)).await.unwrap();
            for who in STATUSES {
                h.engine.reload(who).await.unwrap();
            }
            let report = sweep(h).await;
            assert_eq!((report.unknown, report.differing, report.gone), (8, 0, 0), "{report:?}");
            let found = open(h).await;
            for (id, truth) in ids.iter().zip(STATUSES) {
                let row = found.iter().find(|row| row.object == *id).expect(truth);
                assert_eq!((row.kind, row.ours.as_deref()), (DriftKind::Unknown, None), "{truth}");
                assert_eq!(row.theirs.as_deref(), Some(truth));
                if truth != "past_due" {
                    let wrong = if gives(truth) { "too_little" } else { "none" };
                    assert_eq!(row.wrong.as_str(), wrong, "{truth}");
                }
            }
            h.settle().await;
            assert!(open(h).await.is_empty());
            for (id, truth) in ids.iter().zip(STATUSES) {
                let held = h.engine.subscription(id).await.unwrap().subscription;
                assert_eq!(held.facts.status.as_str(), truth);
                if truth != "past_due" {
                    assert_eq!(h.allowed(truth, "article:full").await, gives(truth), "{truth}");
                }
            }

            // The provider no longer lists them; what was over for us is nobody's loss.
            h.pass_ms(3_600_000);
            bent.bend(|_, body| {
                if body["object"] == "list" && body["url"] == "/v1/subscriptions" {
                    body["data"] = json!([]);
                    body["has_more"] = json!(false);
                }
            });
            let runs = |status: &str| !matches!(status, "incomplete_expired" | "canceled");
            let report = sweep(h).await;
            assert_eq!((report.gone, report.unknown, report.differing), (6, 0, 0), "{report:?}");
            let found = open(h).await;
            for (id, truth) in ids.iter().zip(STATUSES) {
                let row = found.iter().find(|row| row.object == *id);
                assert_eq!(row.map(|row| row.kind), runs(truth).then_some(DriftKind::Gone), "{truth}");
                let Some(row) = row else { continue };
                assert_eq!((row.ours.as_deref(), row.theirs.as_deref()), (Some(truth), None));
                if truth != "past_due" {
                    let wrong = if gives(truth) { "too_much" } else { "none" };
                    assert_eq!(row.wrong.as_str(), wrong, "{truth}");
                }
            }
            h.settle().await;
            assert!(open(h).await.is_empty());
            for truth in STATUSES {
                assert!(!h.allowed(truth, "article:full").await, "{truth} is gone");
            }
        })
    })
    .await;
}

#[tokio::test]
async fn every_pair_of_statuses_is_found_and_mended() {
    on_each(|h| {
        Box::pin(async move {
            // Nothing is mirrored: no webhook came.
            let ids = one_in_each(h).await;
            h.drop_webhooks();
            h.settle().await;
            let mut pairs = 0;
            for local in STATUSES {
                sweep(h).await;
                h.settle().await;
                for (place, id) in ids.iter().enumerate() {
                    tamper(h, id, local, place % 2 == pairs / 8 % 2).await;
                }
                let before = findings(h).await.first().map_or(0, |row| row.seq);
                let dry = h.engine.sweep(true, true).await.unwrap().unwrap();
                assert_eq!(dry.differing, 8, "{local}: {dry:?}");
                assert_eq!(
                    findings(h).await.first().map_or(0, |row| row.seq),
                    before,
                    "a dry run keeps nothing"
                );
                let report = sweep(h).await;
                assert_eq!((report.differing, report.unknown, report.gone), (8, 0, 0), "{local}: {report:?}");
                let found: Vec<DriftRow> =
                    findings(h).await.into_iter().filter(|row| row.seq > before).collect();
                for (id, truth) in ids.iter().zip(STATUSES) {
                    let kind = if local == truth { DriftKind::Content } else { DriftKind::Status };
                    let row = found.iter().find(|row| row.object == *id && row.kind == kind);
                    let row = row.unwrap_or_else(|| panic!("{local} × {truth} is not found: {found:?}"));
                    assert_eq!((row.ours.as_deref(), row.theirs.as_deref()), (Some(local), Some(truth)));
                    let wrong = match (gives(local), gives(truth)) {
                        (true, false) => "too_much",
                        (false, true) => "too_little",
                        (true, true) | (false, false) => "none",
                    };
                    // Grace may be over: then a failing subscription gives nothing on either side.
                    if truth != "past_due" && local != "past_due" {
                        assert_eq!(row.wrong.as_str(), wrong, "{local} × {truth}");
                    }
                    pairs += 1;
                }
                h.settle().await;
                for (id, truth) in ids.iter().zip(STATUSES) {
                    let row = h.engine.subscription(id).await.unwrap();
                    assert_eq!(
                        row.subscription.facts.status.as_str(),
                        truth,
                        "{local} × {truth} is not mended"
                    );
                    // Grace may be over.
                    if truth != "past_due" {
                        assert_eq!(h.allowed(truth, "article:full").await, gives(truth), "{local} × {truth}");
                    }
                }
                let left: Vec<DriftRow> = open(h).await;
                assert!(left.is_empty(), "{local}: {left:?}");
                let again = sweep(h).await;
                assert_eq!((again.findings, again.missed_events), (0, 0), "{local}: {again:?}");
            }
            assert_eq!(pairs, 64);
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_not_mirrored_is_found_with_its_cause_and_its_time() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let id = subscription(h, "ada", "");
            h.pass_ms(3_600_000);
            h.settle().await;
            assert!(!h.allowed("ada", "article:full").await);
            let report = sweep(h).await;
            assert_eq!((report.unknown, report.new_findings), (1, 1), "{report:?}");
            let row = &open(h).await[0];
            assert_eq!(
                (row.kind, row.object.as_str(), row.cause.as_str()),
                (DriftKind::Unknown, id.as_str(), "missed_event")
            );
            assert!(row.cause_detail.as_deref().is_some_and(|event| event.starts_with("evt_")), "{row:?}");
            assert_eq!(row.wrong.as_str(), "too_little");
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(
                alerts.iter().any(|alert| alert.kind == "wrong_access" && alert.object == id),
                "{alerts:?}"
            );
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
            let row = h.engine.drift_finding(row.seq).await.unwrap();
            assert_eq!((row.state.as_str(), row.ended_by.as_deref()), ("mended", Some("synced")));
            let wrong = row.wrong_ms.unwrap();
            assert!((3_600_000..3_700_000).contains(&wrong), "about the hour: {wrong}");
            let alerts = h.engine.alerts(false, i64::MAX, 10).await.unwrap();
            assert!(alerts.iter().all(|alert| alert.kind != "wrong_access"), "over: {alerts:?}");
        })
    })
    .await;
}

/// A webhook that has arrived and waits for its sync is no drift.
#[tokio::test]
async fn what_is_about_to_be_answered_is_no_finding() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "cancel_at_period_end=true");
            h.deliver().await;
            let report = sweep(h).await;
            assert_eq!((report.under_way, report.findings), (1, 0), "{report:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_nobody_waits_to_be_claimed_and_is_told_once() {
    on_each(|h| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "email=stranger@example.com");
            let id = foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.settle().await;
            h.pass_ms(2 * 3_600_000);
            h.settle().await;
            sweep(h).await;
            h.settle().await;
            sweep(h).await;
            let kinds = |rows: &[DriftRow]| {
                let mut kinds: Vec<&str> = rows.iter().map(|row| row.kind.as_str()).collect();
                kinds.sort_unstable();
                kinds.join(" ")
            };
            let rows = open(h).await;
            assert_eq!(kinds(&rows), "unowned_payment unowned_subscription", "{rows:?}");
            let told = |alerts: &[quittance_store::outbox::AlertRow]| {
                alerts
                    .iter()
                    .filter(|alert| alert.kind.starts_with("drift_"))
                    .map(|alert| alert.created_at)
                    .collect::<Vec<Timestamp>>()
            };
            let first = told(&h.engine.alerts(true, i64::MAX, 50).await.unwrap());
            assert_eq!(first.len(), 1, "the sync has told of the subscription");
            h.pass_ms(60_000);
            sweep(h).await;
            assert_eq!(
                told(&h.engine.alerts(true, i64::MAX, 50).await.unwrap()),
                first,
                "one alert for each, not for each run"
            );
            let found = rows.iter().find(|row| row.kind == DriftKind::UnownedSubscription).unwrap();
            assert_eq!(found.object, id);
            h.engine.put_customer(&customer("ada"), CustomerPatch::default()).await.unwrap();
            let by: Caller = operator();
            let claimed = h.engine.claim_drift(found.seq, &customer("ada"), &by).await.unwrap();
            assert_eq!((claimed.state.as_str(), claimed.ended_by.as_deref()), ("mended", Some("claimed")));
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await, "what was paid for is given");
            sweep(h).await;
            assert!(open(h).await.is_empty(), "the money has an owner too");
            let again = h.engine.claim_drift(found.seq, &customer("ada"), &by).await.unwrap_err();
            assert_eq!(again.code, ProblemCode::WrongState);
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_ignored_stays_ignored_and_what_is_gone_ends() {
    on_each(|h| {
        Box::pin(async move {
            let one = foreign_buyer(h, "");
            let two = foreign_buyer(h, "");
            let price = price_id(h, "pro_month_jpy");
            let ignored = foreign_subscription(h, &one, &price, "&trial_period_days=20");
            let ended = foreign_subscription(h, &two, &price, "&trial_period_days=20");
            h.settle().await;
            sweep(h).await;
            let rows = open(h).await;
            assert_eq!(rows.len(), 2, "{rows:?}");
            let row = rows.iter().find(|row| row.object == ignored).unwrap();
            h.engine.ignore_drift(row.seq, "ops").await.unwrap();
            h.provider("DELETE", &format!("/v1/subscriptions/{ended}"), "");
            h.settle().await;
            h.pass_ms(1_000);
            sweep(h).await;
            assert!(open(h).await.is_empty());
            let states: Vec<(String, Option<String>)> =
                findings(h).await.into_iter().map(|row| (row.state, row.ended_by)).collect();
            assert!(states.contains(&("ignored".into(), Some("ops".into()))), "{states:?}");
            assert!(states.contains(&("mended".into(), Some("gone".into()))), "{states:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn another_address_is_mended_in_the_direction_that_was_chosen() {
    for truth in [EmailTruth::Ours, EmailTruth::Provider, EmailTruth::Ignore] {
        for test in quittance_store::testing::databases().await {
            let settings = Settings { email_truth: truth, ..Settings::default() };
            let h = House::with(test, settings, catalog()).await;
            let patch =
                CustomerPatch { email: Change::Set("ada@example.com".into()), ..CustomerPatch::default() };
            h.engine.put_customer(&customer("ada"), patch).await.unwrap();
            let id = h.subscriber("ada").await;
            let buyer = text(&h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["customer"]);
            let at_provider =
                |h: &House| text(&h.provider("GET", &format!("/v1/customers/{buyer}"), "")["email"]);
            assert_eq!(at_provider(&h), "ada@example.com");
            h.provider("POST", &format!("/v1/customers/{buyer}"), "email=other@example.com");
            h.settle().await;
            let dry = h.engine.sweep(true, true).await.unwrap().unwrap();
            assert_eq!(dry.findings, u64::from(truth != EmailTruth::Ignore), "a dry run shows it");
            assert_eq!(at_provider(&h), "other@example.com", "and changes nothing");
            sweep(&h).await;
            h.settle().await;
            let ours = h.engine.customer("ada").await.unwrap().customer.email.unwrap();
            let expected = match truth {
                EmailTruth::Ours => ("ada@example.com", "ada@example.com"),
                EmailTruth::Provider => ("other@example.com", "other@example.com"),
                EmailTruth::Ignore => ("ada@example.com", "other@example.com"),
            };
            assert_eq!((ours.as_str(), at_provider(&h).as_str()), expected, "{truth:?}");
            let again = sweep(&h).await;
            assert_eq!(again.findings, 0, "{truth:?}");
            let stored = format!("{:?}", findings(&h).await);
            assert!(!stored.contains("example.com"), "findings keep no address: {stored}");
        }
    }
}

#[tokio::test]
async fn access_that_todays_policy_would_not_give_is_found() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            // Somebody wrote around the one door; the provider's truth and the digest are as they were.
            let row = h.engine.subscription(&id).await.unwrap();
            let found = h.provider("GET", &format!("/v1/subscriptions/{id}"), "");
            assert_eq!(found["status"], "active");
            let digest = h
                .test
                .db
                .read("test.digest", {
                    let (scope, ids) = (row.scope.clone(), vec![id.clone()]);
                    move |tx| mirror::digests(tx, &scope, &ids)
                })
                .await
                .unwrap()[0]
                .clone()
                .unwrap()
                .0;
            let (mut wrong, now) = (row.clone(), h.engine.now());
            wrong.subscription.standing = quittance_domain::Standing::Revoked;
            h.test
                .db
                .write("test.tamper", move |tx| {
                    mirror::put_subscription(
                        tx,
                        &wrong.scope,
                        &wrong.aggregate,
                        &wrong.subscription,
                        &digest,
                        now,
                    )
                })
                .await
                .unwrap();
            let report = sweep(h).await;
            assert_eq!((report.findings, report.differing), (1, 0), "{report:?}");
            let row = &open(h).await[0];
            assert_eq!(
                (row.kind, row.wrong.as_str()),
                (DriftKind::Entitlement, "none"),
                "answers are read from what is held, and that is right"
            );
            h.settle().await;
            assert!(open(h).await.is_empty());
            assert_eq!(sweep(h).await.findings, 0);
        })
    })
    .await;
}

#[tokio::test]
async fn two_live_subscriptions_of_one_group_wait_for_an_operator() {
    on_each(|h| {
        Box::pin(async move {
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let price = price_id(h, "pro_month_jpy");
            let older = foreign_subscription(h, &buyer, &price, "");
            h.pass_ms(5_000);
            h.settle().await;
            let newer = foreign_subscription(h, &buyer, &price, "");
            h.settle().await;
            sweep(h).await;
            let rows = open(h).await;
            let row = rows.iter().find(|row| row.kind == DriftKind::Duplicate).expect("found");
            assert_eq!(
                (row.object.as_str(), row.ours.as_deref()),
                (newer.as_str(), Some(format!("beside {older}").as_str()))
            );
            h.settle().await;
            let status =
                |id: &str| text(&h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["status"]);
            assert_eq!(
                (status(&older), status(&newer)),
                ("active".into(), "active".into()),
                "no machine decides"
            );
            h.provider("DELETE", &format!("/v1/subscriptions/{newer}"), "");
            h.settle().await;
            h.pass_ms(1_000);
            sweep(h).await;
            assert!(open(h).await.is_empty());
        })
    })
    .await;
}
