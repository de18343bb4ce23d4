//! Drift on our own side: what customers hold, links to customers that are gone, and what is told of a finding.

use quittance_domain::drift::{Cause, DriftKind, Finding, WrongAccess};
use quittance_domain::ledger::{Account, Entry, Key, Kind, Posting, Record};
use quittance_domain::{Currency, Money, PlanKey, Standing, Timestamp};
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::CancelAt;
use quittance_engine::settings::EmailTruth;
use quittance_engine::sweep::{SweepReport, Then};
use quittance_engine::{ProblemCode, Settings};
use quittance_store::customers::{Change, CustomerPatch};
use quittance_store::drifts::{self, DriftRow};
use quittance_store::mirror::{self, HoldingRow};
use quittance_store::{ledger, outbox};

use crate::house::{House, Trouble, catalog, customer, on_each, pro};
use crate::known_kit::{
    bent_engine, buyer_of, failing_subscriber, foreign_buyer, foreign_subscription, odd_price, operator,
    price_id, text,
};

const HOUR_MS: i64 = 3_600_000;

async fn open(h: &House) -> Vec<DriftRow> {
    h.engine.drift(false, None, i64::MAX, 1_000).await.unwrap()
}

async fn sweep(h: &House) -> SweepReport {
    h.engine.sweep(true, false).await.unwrap().unwrap()
}

async fn alerts(h: &House) -> Vec<String> {
    let rows = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
    rows.into_iter().map(|row| row.kind).collect()
}

/// What somebody does to what is held.
type Tampering = fn(&mut Vec<HoldingRow>);

/// Somebody writes around the one door.
async fn hold(h: &House, subscription: &str, who: &str, change: Tampering) {
    let key = h.engine.subscription(subscription).await.unwrap().aggregate;
    let of = key.clone();
    let mut held =
        h.test.db.read("test.held", move |tx| mirror::holdings_of_aggregate(tx, &of)).await.unwrap();
    change(&mut held);
    let who = customer(who);
    h.test.db.write("test.hold", move |tx| mirror::replace_holdings(tx, &key, &who, &held)).await.unwrap();
}

#[tokio::test]
async fn what_is_held_otherwise_than_the_mirror_says_is_found_and_written_anew() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            let bob = h.subscriber("bob").await;
            h.provider("DELETE", &format!("/v1/subscriptions/{bob}"), "");
            h.settle().await;
            assert_eq!(sweep(h).await.findings, 0);
            let wrong: [(&str, &str, Tampering, &str); 4] = [
                (&id, "ada", |held| held.clear(), "too_little"),
                (&id, "ada", |held| held[0].standing = Standing::Revoked, "too_little"),
                (&id, "ada", |held| held[0].plan = PlanKey::parse("studio").unwrap(), "none"),
                // Its subscription is over, and is on no list of those that run.
                (&bob, "bob", |held| held[0].standing = Standing::Granted { until: None }, "too_much"),
            ];
            for (subscription, who, change, access) in wrong {
                hold(h, subscription, who, change).await;
                let report = sweep(h).await;
                assert_eq!((report.findings, report.new_findings), (1, 1), "{access}: {report:?}");
                let rows = open(h).await;
                assert_eq!(
                    (rows[0].kind, rows[0].object.as_str(), rows[0].wrong.as_str()),
                    (DriftKind::Entitlement, subscription, access),
                    "{rows:?}"
                );
                h.settle().await;
                assert!(open(h).await.is_empty(), "{access}");
                assert_eq!(sweep(h).await.findings, 0, "{access}: mended");
            }
            assert!(h.allowed("ada", "article:full").await && !h.allowed("bob", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_plans_own_grace_is_no_drift() {
    for test in quittance_store::testing::databases().await {
        let mut settings = Settings::default();
        let own = quittance_domain::access::PlanAccess { grace_days: Some(30), ..Default::default() };
        settings.access.grace_days = 3;
        settings.access.plan.insert(PlanKey::parse("pro").unwrap(), own);
        let h = House::with(test, settings, catalog()).await;
        let id = failing_subscriber(&h, "ada").await;
        h.live(5).await;
        assert!(h.allowed("ada", "article:full").await, "thirty days");
        assert_eq!(sweep(&h).await.findings, 0);
        // Nor does another difference say that access is wrong.
        h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[note]=seen");
        h.drop_webhooks();
        sweep(&h).await;
        let rows = open(&h).await;
        assert_eq!((rows.len(), rows[0].wrong), (1, WrongAccess::None), "{rows:?}");
    }
}

#[tokio::test]
async fn what_another_policy_would_not_give_is_taken_back() {
    for test in quittance_store::testing::databases().await {
        let mut settings = Settings::default();
        settings.access.grace_days = 30;
        let h = House::with(test, settings, catalog()).await;
        failing_subscriber(&h, "ada").await;
        h.live(5).await;
        assert_eq!(sweep(&h).await.findings, 0);
        let strict = h.engine_with(Settings::default()).await;
        h.live(4).await;
        let report = strict.sweep(true, false).await.unwrap().unwrap();
        assert_eq!((report.findings, report.differing), (1, 0), "{report:?}");
        let row = open(&h).await.remove(0);
        assert_eq!(
            (row.kind, row.cause.as_str(), row.wrong),
            (DriftKind::Entitlement, "policy_changed", WrongAccess::TooMuch)
        );
        h.pass_burst();
        strict.drain().await.unwrap();
        assert!(open(&h).await.is_empty());
        assert!(!strict.check("ada", "article:full").await.unwrap().allowed);
        assert_eq!(strict.sweep(true, false).await.unwrap().unwrap().findings, 0);
    }
}

#[tokio::test]
async fn a_customer_who_was_deleted_there_is_found_and_buys_again_as_another() {
    on_each(|h| {
        Box::pin(async move {
            let before = h.open(&pro("ada")).await;
            let gone = h.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
            let subscribed = h.subscriber("bob").await;
            let bob = buyer_of(h, &subscribed);
            for buyer in [&gone, &bob] {
                h.provider("DELETE", &format!("/v1/customers/{buyer}"), "");
            }
            h.withhold();
            h.sandbox.advance_time(3_600);
            let report = sweep(h).await;
            assert!(report.missed_events > 0, "{report:?}");
            let rows = open(h).await;
            let of = |kind, object: &str| {
                let row = rows.iter().find(|row| row.kind == kind && row.object == object);
                row.unwrap_or_else(|| panic!("{kind:?} of {object} is not found: {rows:?}")).cause.clone()
            };
            assert_eq!(of(DriftKind::DeletedCustomer, &gone), "customer_deleted");
            assert_eq!(of(DriftKind::DeletedCustomer, &bob), "customer_deleted");
            assert_eq!(of(DriftKind::Status, &subscribed), "missed_event");
            h.settle().await;
            assert!(open(h).await.is_empty());
            assert!(!h.allowed("bob", "article:full").await);
            assert_eq!(sweep(h).await.findings, 0, "found once");
            let again = h.open(&pro("ada")).await;
            assert_ne!(again.id, before.id);
            let new = h.engine.known_provider_customer(&customer("ada")).await.unwrap().unwrap();
            assert_ne!(new, gone);
            h.pay(again.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            assert!(h.allowed("ada", "article:full").await);
        })
    })
    .await;
}

#[tokio::test]
async fn customers_are_listed_once_a_day_and_by_hand() {
    on_each(|h| {
        Box::pin(async move {
            h.subscriber("ada").await;
            h.settle().await;
            let by_clock = |customers: u64, after_ms: i64| async move {
                h.pass_ms(after_ms);
                let report = h.engine.sweep(false, false).await.unwrap().unwrap();
                assert_eq!(report.customers, customers, "{report:?}");
            };
            by_clock(1, HOUR_MS).await;
            by_clock(0, HOUR_MS).await;
            assert_eq!(sweep(h).await.customers, 1);
            by_clock(0, HOUR_MS).await;
            by_clock(1, 24 * HOUR_MS).await;
        })
    })
    .await;
}

#[tokio::test]
async fn what_the_sync_has_told_is_not_told_again_and_what_it_has_not_is() {
    on_each(|h| {
        Box::pin(async move {
            let price = odd_price(h);
            let told = foreign_buyer(h, "metadata[quittance_customer]=ada");
            let silent = foreign_buyer(h, "metadata[quittance_customer]=bob");
            foreign_subscription(h, &told, &price, "");
            let other = foreign_subscription(h, &silent, &price, "");
            h.settle().await;
            let now = h.engine.now();
            let object = other.clone();
            h.test
                .db
                .write("test.resolve", move |tx| outbox::resolve(tx, "unknown_price", &object, now))
                .await
                .unwrap();
            sweep(h).await;
            let rows = open(h).await;
            assert_eq!(rows.iter().filter(|row| row.kind == DriftKind::UnknownPrice).count(), 2, "{rows:?}");
            let mut kinds = alerts(h).await;
            kinds.sort_unstable();
            assert_eq!(kinds, ["drift_unknown_price", "unknown_price"], "one for each subscription");
        })
    })
    .await;
}

#[tokio::test]
async fn a_parked_look_is_the_cause_and_a_difference_that_turns_wrong_is_told() {
    on_each(|h| {
        Box::pin(async move {
            let id = h.subscriber("ada").await;
            h.provider("POST", &format!("/v1/subscriptions/{id}"), "metadata[note]=seen");
            h.trouble(&format!("customer={}", buyer_of(h, &id)), Trouble::Status(403), 1_000);
            h.settle().await;
            sweep(h).await;
            let rows = open(h).await;
            assert_eq!(
                (rows.len(), rows[0].kind, rows[0].cause.as_str(), rows[0].wrong),
                (1, DriftKind::Content, "parked", WrongAccess::None),
                "{rows:?}"
            );
            assert!(!alerts(h).await.contains(&"wrong_access".to_owned()));
            let counted = h.engine.sweep(true, true).await.unwrap().unwrap();
            assert_eq!((counted.findings, counted.for_operator), (1, 1), "no sync mends it: {counted:?}");
            // The same status there, for another period; ours is over, and so is access.
            h.live(40).await;
            sweep(h).await;
            let found = open(h).await.into_iter().find(|row| row.seq == rows[0].seq).unwrap();
            assert_eq!(found.wrong, WrongAccess::TooLittle, "{found:?}");
            assert_eq!(alerts(h).await.iter().filter(|kind| *kind == "wrong_access").count(), 1);
            assert_eq!(found.wrong_since, Some(rows[0].last_seen_at), "by then it was not wrong: {found:?}");
            let standing = h.engine.alerts(false, i64::MAX, 100).await.unwrap();
            let alert = standing.iter().find(|alert| alert.kind == "wrong_access").unwrap();
            assert!(alert.mend.contains("quittance parked retry stripe/"), "nobody mends it else: {alert:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn money_of_nobody_stays_found_however_much_it_is() {
    on_each(|h| {
        Box::pin(async move {
            let (scope, now) = (h.engine.scope().to_string(), h.engine.now());
            h.test
                .db
                .write("test.money", move |tx| {
                    for n in 0..1_200 {
                        let finding = Finding {
                            kind: DriftKind::UnownedPayment,
                            object: format!("pi_{n}"),
                            customer: None,
                            aggregate: None,
                            ours: None,
                            theirs: Some("guest".to_owned()),
                            cause: Cause::NotOurs,
                            wrong: WrongAccess::None,
                            since: None,
                        };
                        drifts::put(tx, &scope, &finding, None, now)?;
                    }
                    Ok(())
                })
                .await
                .unwrap();
            for _ in 0..2 {
                h.pass_ms(HOUR_MS);
                sweep(h).await;
                let sums = h.engine.drift_sums().await.unwrap();
                assert_eq!((sums.len(), sums[0].state.as_str(), sums[0].count), (1, "open", 1_200));
            }
        })
    })
    .await;
}

/// One look posts records in the order of their ids, and a long list its newest page first.
#[tokio::test]
async fn money_of_nobody_is_found_although_younger_money_was_written_before_it() {
    on_each(|h| {
        Box::pin(async move {
            let (scope, now) = (h.engine.scope().to_string(), h.engine.now());
            let paid = |n: i64, at: Timestamp| {
                let amount = |minor| Money::new(minor, Currency::parse("jpy").unwrap());
                let line = |account, minor| Posting { account, amount: amount(minor) };
                Record {
                    key: Key {
                        scope: scope.clone(),
                        kind: Kind::BalanceTransaction,
                        object: format!("txn_{n}"),
                    },
                    at,
                    detail: "charge".to_owned(),
                    source: Some(format!("ch_{n}")),
                    payment: Some(format!("pi_{n}")),
                    provider_customer: None,
                    entry: Entry::new([line(Account::Receivable, 100), line(Account::Revenue, -100)]).ok(),
                }
            };
            let hours = |n: i64| now.plus_ms(n * HOUR_MS);
            // The clock of a simulation is ahead.
            let books = [paid(1, hours(-2)), paid(2, now), paid(3, hours(-2)), paid(4, hours(24 * 365))];
            h.test
                .db
                .write("test.books", move |tx| ledger::record(tx, &books, now).map(|_| ()))
                .await
                .unwrap();
            sweep(h).await;
            let early = open(h).await;
            assert!(early.iter().all(|row| row.object != "pi_2"), "it may still find its customer");
            h.pass_ms(HOUR_MS);
            sweep(h).await;
            let mut found: Vec<String> = open(h).await.into_iter().map(|row| row.object).collect();
            found.sort_unstable();
            assert_eq!(found, ["pi_1", "pi_2", "pi_3", "pi_4"]);
        })
    })
    .await;
}

#[tokio::test]
async fn what_begins_when_another_ends_is_not_one_too_many() {
    on_each(|h| {
        Box::pin(async move {
            let old = h.subscriber("ada").await;
            h.engine.cancel_subscription(&old, CancelAt::PeriodEnd, None).await.unwrap();
            h.settle().await;
            let wish = NewCheckout { plan: "studio".into(), starts_after: Some(old.clone()), ..pro("ada") };
            let row = h.open(&wish).await;
            h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
            h.settle().await;
            let both = h.engine.customer("ada").await.unwrap().subscriptions;
            assert!(both.len() == 2 && both.iter().all(|row| row.subscription.is_live()), "{both:?}");
            assert_eq!(sweep(h).await.findings, 0, "{:?}", open(h).await);
            assert!(h.engine.shadow_report().await.unwrap().duplicates.is_empty());
        })
    })
    .await;
}

#[tokio::test]
async fn what_was_made_while_the_pages_came_is_not_gone() {
    for test in quittance_store::testing::databases().await {
        let h = House::build(test).await;
        let id = h.subscriber("ada").await;
        let (engine, bent) = bent_engine(&h, Settings::default(), catalog()).await;
        // The sweep's list has not got it.
        bent.bend(|path, body| {
            if path.contains("/v1/subscriptions?") && !path.contains("customer=cus") {
                body["data"] = serde_json::json!([]);
            }
        });
        let report = engine.sweep(true, false).await.unwrap().unwrap();
        assert_eq!((report.subscriptions, report.gone), (0, 0), "{report:?}");
        h.pass_ms(HOUR_MS);
        let report = engine.sweep(true, false).await.unwrap().unwrap();
        assert_eq!(report.gone, 1, "{report:?}");
        assert_eq!(open(&h).await[0].object, id);
    }
}

#[tokio::test]
async fn a_dry_run_shows_what_differs_and_what_would_become_of_it() {
    for (truth, then) in [(EmailTruth::Ours, Then::WriteOurs), (EmailTruth::Provider, Then::TakeTheirs)] {
        for test in quittance_store::testing::databases().await {
            let settings = Settings { email_truth: truth, ..Settings::default() };
            let h = House::with(test, settings, catalog()).await;
            let patch =
                CustomerPatch { email: Change::Set("ada@example.com".into()), ..CustomerPatch::default() };
            h.engine.put_customer(&customer("ada"), patch).await.unwrap();
            let id = h.subscriber("ada").await;
            let buyer = buyer_of(&h, &id);
            h.provider("POST", &format!("/v1/customers/{buyer}"), "email=other@example.com");
            h.settle().await;
            h.provider("DELETE", &format!("/v1/subscriptions/{id}"), "");
            h.drop_webhooks();
            let swept = h.engine.swept(true, true).await.unwrap().unwrap();
            let shown: Vec<(DriftKind, &str, Then)> = swept
                .differences
                .iter()
                .map(|found| (found.finding.kind, found.finding.object.as_str(), found.then))
                .collect();
            assert_eq!(
                shown,
                [(DriftKind::Status, id.as_str(), Then::Sync), (DriftKind::Email, buyer.as_str(), then)]
            );
            assert!(open(&h).await.is_empty(), "it keeps nothing");
            assert!(h.engine.swept(true, false).await.unwrap().unwrap().differences.is_empty());
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_written_yet_is_one_finding_until_it_is() {
    on_each(|h| {
        Box::pin(async move {
            let patch =
                CustomerPatch { email: Change::Set("ada@example.com".into()), ..CustomerPatch::default() };
            h.engine.put_customer(&customer("ada"), patch).await.unwrap();
            let buyer = buyer_of(h, &h.subscriber("ada").await);
            h.provider("POST", &format!("/v1/customers/{buyer}"), "email=other@example.com");
            h.settle().await;
            h.trouble(&format!("/v1/customers/{buyer}"), Trouble::Status(500), 3);
            assert_eq!(sweep(h).await.new_findings, 1);
            h.engine.drain().await.unwrap();
            let before: Vec<Timestamp> = open(h).await.iter().map(|row| row.found_at).collect();
            assert_eq!(before.len(), 1, "no sync ends it");
            h.pass_ms(60_000);
            assert_eq!(sweep(h).await.new_findings, 0, "it is known");
            for _ in 0..6 {
                h.pass_ms(HOUR_MS);
                h.settle().await;
            }
            sweep(h).await;
            assert!(open(h).await.is_empty(), "it was written");
            let at_provider = h.provider("GET", &format!("/v1/customers/{buyer}"), "");
            assert_eq!(text(&at_provider["email"]), "ada@example.com");
        })
    })
    .await;
}

/// Runs by the clock list customers once a day: the others have not looked at addresses.
#[tokio::test]
async fn an_address_that_nobody_looked_at_is_not_mended() {
    on_each(|h| {
        Box::pin(async move {
            let patch =
                CustomerPatch { email: Change::Set("ada@example.com".into()), ..CustomerPatch::default() };
            h.engine.put_customer(&customer("ada"), patch).await.unwrap();
            let buyer = buyer_of(h, &h.subscriber("ada").await);
            h.provider("POST", &format!("/v1/customers/{buyer}"), "email=other@example.com");
            h.settle().await;
            assert_eq!(sweep(h).await.new_findings, 1);
            h.pass_ms(HOUR_MS);
            let report = h.engine.sweep(false, false).await.unwrap().unwrap();
            assert_eq!(report.customers, 0, "{report:?}");
            assert_eq!(open(h).await.len(), 1, "it still differs");
            h.settle().await;
            h.pass_ms(24 * HOUR_MS);
            let report = h.engine.sweep(false, false).await.unwrap().unwrap();
            assert_eq!((report.customers, open(h).await.len()), (1, 0), "{report:?}");
        })
    })
    .await;
}

#[tokio::test]
async fn an_address_that_was_removed_there_is_a_difference() {
    for truth in [EmailTruth::Ours, EmailTruth::Provider, EmailTruth::Ignore] {
        for test in quittance_store::testing::databases().await {
            let settings = Settings { email_truth: truth, ..Settings::default() };
            let h = House::with(test, settings, catalog()).await;
            for id in ["ada", "bob"] {
                let email = Change::Set(format!("{id}@example.com"));
                let patch = CustomerPatch { email, ..CustomerPatch::default() };
                h.engine.put_customer(&customer(id), patch).await.unwrap();
            }
            let buyer = buyer_of(&h, &h.subscriber("ada").await);
            h.subscriber("bob").await;
            // Another one of Bob's, who paid there without saying who he is.
            let guest = foreign_buyer(&h, "metadata[quittance_customer]=bob");
            h.engine.link_customer(&customer("bob"), &guest, &operator()).await.unwrap();
            h.provider("POST", &format!("/v1/customers/{buyer}"), "email=");
            h.settle().await;
            let there = |id: &str| h.provider("GET", &format!("/v1/customers/{id}"), "")["email"].clone();
            assert!(there(&buyer).is_null() && there(&guest).is_null());
            let found = sweep(&h).await.findings;
            h.settle().await;
            let ours = async |id: &str| h.engine.customer(id).await.unwrap().customer.email;
            assert_eq!(ours("bob").await.as_deref(), Some("bob@example.com"), "{truth:?}");
            let (ada, there) = (ours("ada").await, there(&buyer));
            match truth {
                EmailTruth::Ours => {
                    assert_eq!((found, there.as_str()), (2, Some("ada@example.com")));
                    assert_eq!(ada.as_deref(), Some("ada@example.com"));
                }
                EmailTruth::Provider => assert_eq!((found, ada, there.is_null()), (1, None, true)),
                EmailTruth::Ignore => {
                    assert_eq!((found, ada.as_deref()), (0, Some("ada@example.com")));
                }
            }
            assert_eq!(sweep(&h).await.findings, 0, "{truth:?}");
        }
    }
}

#[tokio::test]
async fn what_a_sync_mends_is_nobodys_to_ignore() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let buyer = foreign_buyer(h, "metadata[quittance_customer]=ada");
            foreign_subscription(h, &buyer, &price_id(h, "pro_month_jpy"), "");
            h.drop_webhooks();
            sweep(h).await;
            let row = open(h).await.remove(0);
            assert_eq!(row.kind, DriftKind::Unknown);
            let refused = h.engine.ignore_drift(row.seq, "ops").await.unwrap_err();
            assert_eq!(refused.code, ProblemCode::WrongState);
            assert!(refused.mend.contains("quittance parked"), "{}", refused.mend);
        })
    })
    .await;
}
