//! Filling the mirror from an account that has lived without us: everything is covered, counted, and gone on with.

use std::collections::BTreeMap;

use quittance_domain::{AggregateKey, Timestamp};
use quittance_engine::import::{ImportOptions, ImportReport};
use quittance_engine::progress::LongRun;
use quittance_engine::world::Point;
use quittance_store::Sql;

use crate::house::{House, customer, on_each};
use crate::known_kit::{
    break_card, foreign_buyer, foreign_subscription, give_card, newest_payment, price_id, text,
};

/// An account with something of everything, of which no webhook has reached us.
struct Account {
    mapped: String,
    nobody: String,
    buyer: String,
}

fn buyer(h: &House, name: &str) -> String {
    foreign_buyer(h, &format!("metadata[quittance_customer]={name}"))
}

async fn account(h: &House) -> Account {
    h.drop_webhooks();
    let price = price_id(h, "pro_month_jpy");
    let past_due = foreign_subscription(h, &buyer(h, "past_due"), &price, "");
    break_card(h, &past_due);
    let renewing = buyer(h, "active");
    foreign_subscription(h, &renewing, &price, "");
    for _ in 0..33 {
        h.sandbox.advance_time(crate::house::DAY);
    }
    foreign_subscription(h, &buyer(h, "trialing"), &price, "&trial_period_days=20");
    let canceled = foreign_subscription(h, &buyer(h, "canceled"), &price, "");
    h.provider("DELETE", &format!("/v1/subscriptions/{canceled}"), "");
    let paused = foreign_subscription(h, &buyer(h, "paused"), &price, "");
    h.provider("POST", &format!("/v1/subscriptions/{paused}/pause"), "type=subscription");
    foreign_subscription(h, &buyer(h, "incomplete"), &price, "&payment_behavior=default_incomplete");
    let scheduled = foreign_subscription(h, &buyer(h, "scheduled"), &price, "");
    h.provider("POST", "/v1/subscription_schedules", &format!("from_subscription={scheduled}"));
    // Several of one customer, one of them refunded.
    let twice = buyer(h, "twice");
    foreign_subscription(h, &twice, &price, "");
    foreign_subscription(h, &twice, &price, "");
    let payment = newest_payment(h, &twice);
    h.provider("POST", "/v1/refunds", &format!("payment_intent={payment}"));
    let mapped = foreign_buyer(h, "");
    foreign_subscription(h, &mapped, &price, "");
    let nobody = foreign_buyer(h, "");
    foreign_subscription(h, &nobody, &price, "");
    // One who paid once and never subscribed, one of ours with nothing, one of nobody with nothing, and a guest.
    let buyer = buyer(h, "once");
    let card = give_card(h, &buyer, "pm_card_visa");
    for owner in
        [format!("&customer={buyer}&payment_method={card}"), "&payment_method=pm_card_visa".to_owned()]
    {
        h.provider(
            "POST",
            "/v1/payment_intents",
            &format!("amount=500&currency=jpy&confirm=true&off_session=true{owner}"),
        );
    }
    h.provider("POST", "/v1/customers", "metadata[quittance_customer]=quiet");
    h.provider("POST", "/v1/customers", "");
    h.sandbox.advance_time(3_600);
    Account { mapped, nobody, buyer }
}

async fn import(h: &House, mapping: &[(&str, &str)], dry_run: bool) -> ImportReport {
    let mapping = mapping.iter().map(|(theirs, ours)| ((*theirs).to_owned(), customer(ours))).collect();
    h.engine.import(&ImportOptions { dry_run, mapping }).await.unwrap().unwrap()
}

/// What one side counted, by object and status.
fn side(report: &ImportReport, ours: bool) -> BTreeMap<(String, String), u64> {
    let lines = report.coverage.iter().map(|line| {
        ((line.object.to_owned(), line.status.clone()), if ours { line.mirror } else { line.provider })
    });
    lines.filter(|(_, n)| *n > 0).collect()
}

fn missing(report: &ImportReport, object: &str, word: &str) -> u64 {
    report.not_covered.iter().filter(|m| m.object == object && m.why.contains(word)).map(|m| m.count).sum()
}

/// How many subscriptions the provider itself has in each status.
fn at_provider(h: &House) -> BTreeMap<String, u64> {
    let listed = h.provider("GET", "/v1/subscriptions", "status=all&limit=100");
    let mut words = BTreeMap::new();
    for subscription in listed["data"].as_array().unwrap() {
        *words.entry(text(&subscription["status"])).or_default() += 1;
    }
    words
}

#[tokio::test]
async fn an_account_of_every_kind_is_mirrored_and_its_counts_agree() {
    on_each(|h| {
        Box::pin(async move {
            let account = account(h).await;
            let dry = import(h, &[], true).await;
            assert!(!dry.agrees() && dry.dry_run && dry.syncs == 0, "{dry:?}");
            assert!(side(&dry, true).is_empty(), "a dry run mirrors nothing: {dry:?}");
            assert!(h.engine.customer("active").await.is_err(), "and knows nobody");

            let report = import(h, &[(&account.mapped, "mapped"), ("cus_nobody", "x")], false).await;
            assert!(report.agrees(), "{report:#?}");
            assert_eq!(side(&report, false), side(&report, true));
            assert_eq!(report.balance_agrees, Some(true));
            for (status, n) in at_provider(h) {
                let line = report.coverage.iter().find(|l| l.object == "subscriptions" && l.status == status);
                assert_eq!(line.map(|l| (l.provider, l.mirror)), Some((n, n)), "{status}");
            }
            assert_eq!(side(&dry, false), side(&report, false), "both list the same");
            // Whose they are: by metadata, by the file, or nobody's.
            for (id, feature) in [
                ("active", true),
                ("trialing", true),
                ("mapped", true),
                ("canceled", false),
                ("paused", false),
                ("incomplete", false),
            ] {
                assert_eq!(h.allowed(id, "article:full").await, feature, "{id}");
            }
            assert_eq!((report.customers.by_mapping, report.customers.mapping_unknown), (1, 1));
            assert_eq!(report.customers.unowned, 1, "{:?}", report.customers);
            let owner = h.engine.db().read("test", {
                let (scope, id) = (h.engine.scope().to_string(), account.nobody.clone());
                move |tx| quittance_store::customers::linked(tx, &scope, &id)
            });
            assert_eq!(owner.await.unwrap(), None);
            // One of ours with nothing is known all the same, or the next checkout would make a second one.
            assert!(h.engine.known_provider_customer(&customer("quiet")).await.unwrap().is_some());
            assert_eq!(missing(&report, "customers", "nothing to mirror"), 1);
            assert_eq!(missing(&report, "payments", "no customer"), 1);
            assert!(missing(&report, "payments", "failed") > 0, "{:#?}", report.not_covered);
            // The one-off payment is in the mirror of its customer.
            let key = AggregateKey::customer(h.engine.scope().clone(), &account.buyer).to_string();
            let paid = h
                .engine
                .db()
                .read("test", move |tx| quittance_store::mirror::payments_of_aggregate(tx, &key));
            assert_eq!(paid.await.unwrap().len(), 1);
            // Nothing is asked of the provider.
            let far = Timestamp::from_ms(i64::MAX);
            let due = h.engine.db().read("test", move |tx| quittance_store::commands::due(tx, far, 100));
            assert!(due.await.unwrap().is_empty());

            // Again: nothing new, and the same counts.
            let again = import(h, &[(&account.mapped, "other")], false).await;
            assert!(again.agrees(), "{again:#?}");
            assert_eq!(again.customers.mapping_conflicts, 1, "a link is never moved by a file");
            assert!(h.allowed("mapped", "article:full").await);
            // A sweep finds nothing that differs.
            let swept = h.engine.sweep(true, true).await.unwrap().unwrap();
            assert_eq!((swept.differing, swept.unknown, swept.gone), (0, 0, 0), "{swept:?}");
            assert_eq!(
                swept.missed_events, 0,
                "what was before the import is not asked for again: {swept:?}"
            );
        })
    })
    .await;
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_where_it_was() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let price = price_id(h, "pro_month_jpy");
            for n in 0..101 {
                let id = buyer(h, &format!("user_{n}"));
                foreign_subscription(h, &id, &price, "");
            }
            let gate = h.hold_point(Point::ImportCheckpointed);
            let (engine, options) = (h.engine.clone(), ImportOptions::default());
            let first = tokio::spawn(async move { engine.import(&options).await });
            gate.reached().await;
            // While one imports, another does not.
            assert!(h.engine.import(&ImportOptions::default()).await.unwrap().is_none());
            let state = h.engine.run_state(LongRun::Import).await.unwrap().unwrap();
            let progress = state.progress.unwrap();
            assert!(
                state.running && progress.step == "subscriptions" && progress.done == 100,
                "{progress:?}"
            );
            first.abort();
            h.release_point(Point::ImportCheckpointed);
            // Its lease runs out.
            h.pass_ms(h.engine.settings().retry.lease_ms + 1);
            let before = h.calls();
            let report = import(h, &[], false).await;
            assert!(report.resumed && report.agrees(), "{report:#?}");
            let listed = report.coverage.iter().find(|l| l.object == "subscriptions").unwrap();
            assert_eq!((listed.provider, listed.mirror), (101, 101), "counted once");
            // Subscriptions 1 more page, then payments, invoices and customers 2 pages each.
            assert_eq!(report.calls, 8, "the first page is not listed again");
            assert!(h.calls() > before);
            assert!(h.engine.run_state(LongRun::Import).await.unwrap().is_some_and(|s| !s.running));
        })
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_synced_is_named() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let id = buyer(h, "parked");
            foreign_subscription(h, &id, &price_id(h, "pro_month_jpy"), "");
            h.trouble(&format!("customer={id}"), crate::house::Trouble::Status(400), 1_000);
            let report = import(h, &[], false).await;
            assert!(!report.agrees());
            assert_eq!(missing(&report, "aggregates", "given up"), 1, "{:#?}", report.not_covered);
            h.transport.mend();
            let report = import(h, &[], false).await;
            assert!(report.agrees(), "a second one tries again what was given up: {report:#?}");
        })
    })
    .await;
}

#[tokio::test]
async fn a_place_that_is_gone_at_the_provider_begins_its_list_again() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            for n in 0..101 {
                buyer(h, &format!("user_{n}"));
            }
            let gate = h.hold_point(Point::ImportCheckpointed);
            let (engine, options) = (h.engine.clone(), ImportOptions::default());
            let first = tokio::spawn(async move { engine.import(&options).await });
            // Subscriptions, payments, invoices: a page each; then the first page of customers.
            for _ in 0..3 {
                gate.reached().await;
                gate.open();
            }
            gate.reached().await;
            first.abort();
            h.release_point(Point::ImportCheckpointed);
            h.pass_ms(h.engine.settings().retry.lease_ms + 1);
            h.trouble("starting_after=", crate::house::Trouble::Status(404), 1);
            let report = import(h, &[], false).await;
            assert_eq!(report.customers.listed, 101, "each is counted once: {report:#?}");
            assert!(report.agrees() && report.resumed);
        })
    })
    .await;
}

static OTHER_SUBSCRIPTION: Sql = Sql::registered(
    "test.other_subscription",
    "UPDATE subscriptions SET id = 'sub_stray' WHERE id = (SELECT MIN(id) FROM subscriptions)",
);
static OTHER_PAYMENT: Sql = Sql::registered(
    "test.other_payment",
    "UPDATE payments SET id = 'pi_stray' WHERE id = (SELECT MIN(id) FROM payments)",
);

/// Lays an import's lists beside the mirror as it is, without syncing anything.
async fn beside(h: &House) -> ImportReport {
    import(h, &[], true).await
}

#[tokio::test]
async fn as_many_and_not_the_same_is_no_agreement() {
    on_each(|h| {
        Box::pin(async move {
            h.drop_webhooks();
            let price = price_id(h, "pro_month_jpy");
            foreign_subscription(h, &buyer(h, "user_1"), &price, "");
            foreign_subscription(h, &buyer(h, "user_2"), &price, "");
            assert!(import(h, &[], false).await.agrees() && beside(h).await.agrees());
            // One row of each kind stands for another object than the provider's; the numbers stay.
            for (object, swap) in [("subscriptions", &OTHER_SUBSCRIPTION), ("payments", &OTHER_PAYMENT)] {
                let changed = h.test.db.write("test.swap", move |tx| tx.exec(swap, &[])).await.unwrap();
                assert_eq!(changed, 1, "{object}");
                let report = beside(h).await;
                let lines: Vec<_> = report.coverage.iter().filter(|line| !line.same).collect();
                assert!(!report.agrees() && lines.iter().any(|line| line.object == object), "{report:#?}");
                assert!(report.coverage.iter().all(|line| line.provider == line.mirror), "{report:#?}");
            }
        })
    })
    .await;
}
