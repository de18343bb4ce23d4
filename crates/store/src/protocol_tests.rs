//! The protocol's promises, row by row, on both databases: dedupe, marks, leases, fences, parking, timers.

use futures_util::FutureExt;
use quittance_domain::checkout::{CheckoutState, CheckoutUi, CheckoutWish};
use quittance_domain::ids::{LeaseToken, PlanGroup};
use quittance_domain::{CheckoutId, Currency, CustomerId, PlanKey, Timestamp};

use crate::aggregates::{self, Claim, Hint, Priority};
use crate::checkouts;
use crate::commands::{self, CommandState, NewCommand, Outcome};
use crate::customers::{self, CustomerPatch};
use crate::db::{Db, Tx};
use crate::error::Result;
use crate::inbox::{self, Accepted, NewEvent};
use crate::outbox::{self, NewAlert};
use crate::overview;
use crate::testing::on_each_database;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(ms)
}

fn token(n: u8) -> LeaseToken {
    LeaseToken::from_random([n; 16])
}

fn event(id: &str, aggregate: &str) -> NewEvent {
    NewEvent {
        provider: "stripe",
        account: "self".into(),
        event_id: id.into(),
        livemode: false,
        event_type: "invoice.paid".into(),
        object: Some("in_1".into()),
        aggregate: aggregate.into(),
        money: None,
        api_version: None,
        payload: "{}".into(),
        sha256: "00".into(),
        source: "webhook",
        created_at: at(1_000),
        received_at: at(2_000),
        due: at(2_100),
        made_by: None,
    }
}

async fn accept(db: &Db, events: Vec<NewEvent>) -> Vec<Accepted> {
    db.write("test.accept", move |tx| inbox::accept(tx, &events)).await.expect("accepted")
}

async fn claim(db: &Db, n: u8, now: i64) -> Vec<Claim> {
    claim_rested(db, n, now, now).await
}

async fn claim_rested(db: &Db, n: u8, now: i64, rested: i64) -> Vec<Claim> {
    db.write("test.claim", move |tx| {
        aggregates::claim(tx, &token(n), at(now), at(now + 1_000), at(rested), 10)
    })
    .await
    .expect("claimed")
}

async fn tx<T: Send + 'static>(db: &Db, f: impl Fn(&mut dyn Tx) -> Result<T> + Send + Sync + 'static) -> T {
    db.write("test.tx", f).await.expect("written")
}

fn hint(key: &str, due: i64) -> Hint<'_> {
    Hint { key, priority: Priority::Event, due: at(due), unpark: false, thorough: false }
}

#[tokio::test]
async fn a1_a_duplicate_is_counted_and_marks_nothing() {
    on_each_database(async |db: Db| {
        assert_eq!(
            accept(&db, vec![event("evt_1", "k"), event("evt_2", "k")]).await,
            [Accepted::New, Accepted::New]
        );
        assert_eq!(accept(&db, vec![event("evt_1", "k")]).await, [Accepted::Duplicate]);
        let in_one_batch = accept(&db, vec![event("evt_3", "k"), event("evt_3", "k")]).await;
        assert_eq!(in_one_batch.iter().filter(|a| **a == Accepted::New).count(), 1);
        let (row, first, third) = tx(&db, |tx| {
            Ok((
                aggregates::get(tx, "k")?,
                inbox::get(tx, "stripe", "self", "evt_1")?,
                inbox::get(tx, "stripe", "self", "evt_3")?,
            ))
        })
        .await;
        assert_eq!(row.expect("marked").wanted, 3);
        assert_eq!(first.expect("stored").deliveries, 2);
        assert_eq!(third.expect("stored").deliveries, 2);
    })
    .await;
}

/// What a sweep sees in the provider's list was not brought by the provider: an operator would look for a fault that is none.
#[tokio::test]
async fn what_a_sweep_sees_is_no_delivery() {
    on_each_database(async |db: Db| {
        let seen = |id: &str| NewEvent { source: "sweep", ..event(id, "k") };
        accept(&db, vec![event("evt_1", "k"), seen("evt_2")]).await;
        accept(&db, vec![seen("evt_1"), seen("evt_2")]).await;
        assert_eq!(accept(&db, vec![event("evt_2", "k")]).await, [Accepted::Duplicate]);
        accept(&db, vec![event("evt_1", "k"), event("evt_1", "k"), seen("evt_3")]).await;
        let (deliveries, repeats) = tx(&db, |tx| {
            let rows = inbox::list(tx, i64::MAX, None, 10)?;
            Ok((
                rows.iter().map(|row| row.deliveries).collect::<Vec<_>>(),
                overview::counts(tx, 10)?.duplicates,
            ))
        })
        .await;
        assert_eq!((deliveries, repeats), (vec![0, 1, 3], 2));
    })
    .await;
}

#[tokio::test]
async fn a1_fifty_parallel_deliveries_are_one_event() {
    on_each_database(async |db: Db| {
        let all = (0..50).map(|_| accept(&db, vec![event("evt_1", "k")]));
        let answers = futures_util::future::join_all(all).await.concat();
        assert_eq!(answers.iter().filter(|a| **a == Accepted::New).count(), 1);
        let row = tx(&db, |tx| aggregates::get(tx, "k")).await.expect("marked");
        assert_eq!(row.wanted, 1);
        let stored = tx(&db, |tx| inbox::get(tx, "stripe", "self", "evt_1")).await.expect("stored");
        assert_eq!(stored.deliveries, 50);
    })
    .await;
}

/// Two nodes that store the same events at once: each event keeps a mark of its own, and no mark is without an event.
#[tokio::test]
async fn a1_marks_have_no_gaps_however_batches_meet() {
    on_each_database(async |db: Db| {
        for round in 0..12 {
            let key = format!("k{round}");
            let batch = |first: usize| {
                let events = (first..first + 6).map(|n| event(&format!("evt_{round}_{n}"), &key)).collect();
                accept(&db, events)
            };
            let answers = futures_util::future::join_all((0..5).map(batch)).await;
            let new = answers.iter().flatten().filter(|answer| **answer == Accepted::New).count();
            assert_eq!(new, 10, "round {round}: each of ten events is new once");
            let (marks, wanted) = tx(&db, move |tx| {
                let wanted = aggregates::get(tx, &key)?.map_or(0, |row| row.wanted);
                let of = (0..wanted)
                    .map(|after| inbox::hints_between(tx, &key, after, after + 1).map(|found| found.len()));
                Ok((of.collect::<Result<Vec<usize>>>()?, wanted))
            })
            .await;
            assert_eq!((wanted, marks), (10, vec![1; 10]), "round {round}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_same_event_id_of_another_account_is_another_event() {
    on_each_database(async |db: Db| {
        let other = NewEvent { account: "acct_2".into(), aggregate: "k2".into(), ..event("evt_1", "k") };
        let alone = NewEvent { event_id: "evt_2".into(), ..other.clone() };
        assert_eq!(accept(&db, vec![event("evt_1", "k"), other, alone]).await, [Accepted::New; 3]);
        let found = |id: &'static str| {
            tx(&db, move |tx| inbox::get(tx, "stripe", "self", id)).map(|row| row.map(|row| row.account))
        };
        assert_eq!(found("evt_1").await.as_deref(), Some("self"));
        assert_eq!(found("evt_2").await.as_deref(), Some("acct_2"), "of no other account");
        assert_eq!(found("evt_3").await, None);
        let of_one = tx(&db, |tx| inbox::list(tx, i64::MAX, Some("k2"), 10)).await;
        assert_eq!(of_one.iter().map(|row| row.event_id.as_str()).collect::<Vec<_>>(), ["evt_2", "evt_1"]);
        assert_eq!(tx(&db, |tx| inbox::list(tx, i64::MAX, None, 2)).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_event_is_processed_when_done_has_reached_its_mark() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_1", "k")]).await;
        let held = claim(&db, 1, 3_000).await.remove(0);
        accept(&db, vec![event("evt_2", "k")]).await;
        assert!(tx(&db, move |tx| aggregates::complete(tx, &held, at(3_500))).await);
        let (first, second) = tx(&db, |tx| {
            Ok((inbox::get(tx, "stripe", "self", "evt_1")?, inbox::get(tx, "stripe", "self", "evt_2")?))
        })
        .await;
        assert!(first.expect("stored").processed);
        assert!(!second.expect("stored").processed, "it came while the sync ran");
        assert_eq!(claim(&db, 2, 4_000).await.len(), 1, "and is claimed again");
    })
    .await;
}

#[tokio::test]
async fn a5_e4_whoever_lost_the_lease_writes_nothing() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_1", "k")]).await;
        let slow = claim(&db, 1, 3_000).await.remove(0);
        assert!(claim(&db, 2, 3_500).await.is_empty(), "leased");
        let fast = claim(&db, 2, 4_000).await.remove(0);
        let (held, late) = (fast.clone(), slow.clone());
        assert!(tx(&db, move |tx| aggregates::complete(tx, &held, at(4_100))).await);
        assert!(!tx(&db, move |tx| aggregates::complete(tx, &late, at(4_200))).await, "fenced");
        assert!(
            !tx(&db, move |tx| aggregates::retry(tx, &slow, 1, at(9_000), "late")).await,
            "not even a failure"
        );
        let row = tx(&db, |tx| aggregates::get(tx, "k")).await.expect("there");
        assert_eq!((row.done, row.attempts, row.last_error), (1, 0, None));
    })
    .await;
}

#[tokio::test]
async fn two_claimers_never_get_the_same_row() {
    on_each_database(async |db: Db| {
        let keys: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
        accept(&db, keys.iter().map(|k| event(&format!("evt_{k}"), k)).collect()).await;
        let claims = futures_util::future::join_all((1..=8).map(|n| claim(&db, n, 3_000))).await.concat();
        let mut claimed: Vec<&str> = claims.iter().map(|c| c.key.as_str()).collect();
        claimed.sort_unstable();
        let count = claimed.len();
        claimed.dedup();
        assert_eq!((claimed.len(), count), (40, 40));
    })
    .await;
}

/// PostgreSQL may run the choice of rows once for each row that it updates, when it believes the table to be tiny:
/// more would then be leased than there are workers, and wait for the lease to run out.
#[tokio::test]
async fn a_claim_takes_no_more_than_was_asked_for_whatever_the_planner_believes() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_0", "k0")]).await;
        tx(&db, |tx| tx.script("ANALYZE aggregates")).await;
        accept(&db, (1..40).map(|n| event(&format!("evt_{n}"), &format!("k{n}"))).collect()).await;
        let claimed =
            tx(&db, |tx| aggregates::claim(tx, &token(1), at(3_000), at(4_000), at(3_000), 3)).await.len();
        assert_eq!(claimed, 3);
    })
    .await;
}

#[tokio::test]
async fn c3_a_parked_aggregate_waits_for_a_person() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_1", "k")]).await;
        let held = claim(&db, 1, 3_000).await.remove(0);
        assert!(tx(&db, move |tx| aggregates::park(tx, &held, 20, at(3_100), "gone")).await);
        accept(&db, vec![event("evt_2", "k")]).await;
        assert!(claim(&db, 2, 1_000_000).await.is_empty(), "new events do not free it");
        assert_eq!(tx(&db, |tx| aggregates::parked(tx, 10)).await.len(), 1);
        assert_eq!(accept(&db, vec![event("evt_1", "k")]).await, [Accepted::Duplicate]);
        assert_eq!(claim(&db, 2, 1_000_000).await.len(), 1, "a resent event does");
    })
    .await;
}

#[tokio::test]
async fn a_swept_duplicate_frees_nothing() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_1", "k")]).await;
        let held = claim(&db, 1, 3_000).await.remove(0);
        tx(&db, move |tx| aggregates::park(tx, &held, 20, at(3_100), "gone")).await;
        let swept = NewEvent { source: "sweep", ..event("evt_1", "k") };
        assert_eq!(accept(&db, vec![swept]).await, [Accepted::Duplicate]);
        assert!(claim(&db, 2, 1_000_000).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn timers_wake_once_and_survive_only_until_the_next_sync() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_1", "k")]).await;
        let held = claim(&db, 1, 3_000).await.remove(0);
        tx(&db, move |tx| {
            aggregates::complete(tx, &held, at(3_100))?;
            aggregates::set_look_at(tx, "k", Some(at(10_000)))
        })
        .await;
        assert_eq!(tx(&db, |tx| aggregates::wake_due(tx, at(9_999), 10)).await, 0);
        assert_eq!(tx(&db, |tx| aggregates::next_due(tx, 0)).await, Some(at(10_000)));
        assert_eq!(tx(&db, |tx| aggregates::wake_due(tx, at(10_000), 10)).await, 1);
        assert_eq!(tx(&db, |tx| aggregates::wake_due(tx, at(10_001), 10)).await, 0);
        assert_eq!(claim(&db, 2, 10_001).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_urgent_hint_overtakes_and_backoff_is_not_shortened_by_events() {
    on_each_database(async |db: Db| {
        tx(&db, |tx| aggregates::mark(tx, &hint("slow", 5_000), at(1_000))).await;
        assert!(claim(&db, 1, 2_000).await.is_empty());
        tx(&db, |tx| {
            aggregates::mark(tx, &Hint { priority: Priority::Waiting, ..hint("slow", 2_000) }, at(2_000))
        })
        .await;
        let held = claim(&db, 1, 2_000).await.remove(0);
        tx(&db, move |tx| aggregates::retry(tx, &held, 3, at(60_000), "429")).await;
        tx(&db, |tx| aggregates::mark(tx, &hint("slow", 2_500), at(2_500))).await;
        assert!(claim(&db, 2, 59_999).await.is_empty(), "the provider asked to wait");
        assert_eq!(claim(&db, 2, 60_000).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_checkout_that_is_over_never_stands_in_the_way_of_its_successor() {
    on_each_database(async |db: Db| {
        let wish = CheckoutWish {
            customer: CustomerId::parse("u_1").unwrap(),
            plan: PlanKey::parse("pro").unwrap(),
            group: PlanGroup::parse("main").unwrap(),
            interval: "month".into(),
            currency: Currency::parse("jpy").unwrap(),
            quantity: 1,
            promotion_code: None,
            channel: None,
            deal: None,
            success_url: "http://localhost/ok".into(),
            cancel_url: "http://localhost/no".into(),
            trial_days: None,
            trial_refused: false,
            starts_after: None,
            ui: CheckoutUi::Hosted,
            reference: None,
        };
        let (first, second) = (CheckoutId::from_random([1; 16]), CheckoutId::from_random([2; 16]));
        tx(&db, move |tx| {
            customers::upsert(tx, &wish.customer, &CustomerPatch::default(), at(1_000))?;
            checkouts::insert(tx, &first, "s", &wish, at(1_000))?;
            checkouts::set_state(tx, &first, CheckoutState::Processing, at(2_000))?;
            checkouts::set_state(tx, &first, CheckoutState::Expired, at(3_000))?;
            checkouts::insert(tx, &second, "s", &wish, at(4_000))?;
            // A delayed payment that failed for good is still `processing` at the provider.
            assert!(!checkouts::set_state(tx, &first, CheckoutState::Processing, at(5_000))?);
            assert!(!checkouts::set_state(tx, &first, CheckoutState::Open, at(5_000))?);
            assert!(checkouts::set_state(tx, &first, CheckoutState::Complete, at(6_000))?, "paid after all");
            assert!(!checkouts::set_state(tx, &first, CheckoutState::Expired, at(7_000))?);
            Ok(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a4_e12_what_was_just_synced_rests_unless_somebody_waits() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_1", "k")]).await;
        let held = claim_rested(&db, 1, 3_000, 2_000).await.remove(0);
        accept(&db, vec![event("evt_2", "k")]).await;
        assert!(tx(&db, move |tx| aggregates::complete(tx, &held, at(3_500))).await);
        assert!(claim_rested(&db, 2, 4_499, 3_499).await.is_empty(), "it rests");
        assert_eq!(tx(&db, |tx| aggregates::next_due(tx, 1_000)).await, Some(at(4_500)));
        tx(&db, |tx| {
            aggregates::mark(tx, &Hint { priority: Priority::Waiting, ..hint("k", 4_000) }, at(4_000))
        })
        .await;
        assert_eq!(tx(&db, |tx| aggregates::next_due(tx, 1_000)).await, Some(at(3_500)), "overdue");
        let held = claim_rested(&db, 3, 4_000, 3_000).await.remove(0);
        accept(&db, vec![event("evt_3", "k")]).await;
        assert!(tx(&db, move |tx| aggregates::complete(tx, &held, at(4_100))).await);
        assert!(claim_rested(&db, 4, 5_000, 4_000).await.is_empty(), "the urgency went with the claim");
        assert_eq!(claim_rested(&db, 4, 5_100, 4_100).await.len(), 1, "but nothing is forgotten");
    })
    .await;
}

#[tokio::test]
async fn only_a_parked_command_is_freed() {
    on_each_database(async |db: Db| {
        let wish = NewCommand {
            idempotency_key: "key".into(),
            kind: "customer.create",
            object: "customer/u".into(),
            aggregate: None,
            customer: None,
            request: "{}".into(),
        };
        let id = wish.id();
        tx(&db, move |tx| {
            commands::insert(tx, &wish, at(1_000))?;
            commands::claim(tx, &id, &token(1), at(1_000), at(2_000))?;
            assert!(commands::retry(tx, &id, &token(1), at(9_000), "429")?);
            assert!(!commands::unpark(tx, &id, at(1_500))?, "it waits as the provider asked");
            assert!(commands::due(tx, at(1_500), 10)?.is_empty());
            commands::claim(tx, &id, &token(2), at(9_000), at(10_000))?;
            assert!(commands::park(tx, &id, &token(2), at(9_500), "403")?);
            assert!(commands::unpark(tx, &id, at(9_600))?);
            assert_eq!(commands::due(tx, at(9_600), 10)?.len(), 1);
            Ok(())
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn e10_a_failed_look_for_somebody_who_waits_stays_urgent() {
    on_each_database(async |db: Db| {
        accept(&db, vec![event("evt_1", "k")]).await;
        let held = claim(&db, 1, 3_000).await.remove(0);
        assert!(tx(&db, move |tx| aggregates::complete(tx, &held, at(3_500))).await);
        tx(&db, |tx| {
            aggregates::mark(tx, &Hint { priority: Priority::Waiting, ..hint("k", 3_600) }, at(3_600))
        })
        .await;
        let held = claim_rested(&db, 2, 3_600, 2_600).await.remove(0);
        assert!(tx(&db, move |tx| aggregates::retry(tx, &held, 1, at(3_700), "lost")).await);
        assert_eq!(claim_rested(&db, 3, 3_700, 2_700).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn only_the_creation_of_what_our_answered_command_made_marks_nothing() {
    on_each_database(async |db: Db| {
        let wish = || NewCommand {
            idempotency_key: "quittance-key".into(),
            kind: "customer.create",
            object: "customer/u".into(),
            aggregate: None,
            customer: Some("u".into()),
            request: "{}".into(),
        };
        let created = |id: &str, object: &str| NewEvent {
            object: Some(object.into()),
            made_by: Some(commands::id_of("quittance-key")),
            ..event(id, "k")
        };
        let wanted = async || tx(&db, |tx| Ok(aggregates::get(tx, "k")?.map_or(0, |row| row.wanted))).await;
        accept(&db, vec![created("evt_unknown", "cus_1")]).await;
        assert_eq!(wanted().await, 1, "no such command");
        tx(&db, move |tx| commands::insert(tx, &wish(), at(1_000))).await;
        accept(&db, vec![created("evt_early", "cus_1")]).await;
        assert_eq!(wanted().await, 2, "not answered yet");
        let id = wish().id();
        tx(&db, move |tx| {
            commands::claim(tx, &id, &token(1), at(2_000), at(3_000))?;
            commands::finish(tx, &id, &token(1), &Outcome::Succeeded("{\"id\":\"cus_1\"}".into()), at(2_100))
        })
        .await;
        accept(&db, vec![created("evt_other", "cus_2")]).await;
        assert_eq!(wanted().await, 3, "another object");
        let batch = vec![created("evt_ours", "cus_1"), event("evt_next", "k")];
        assert_eq!(accept(&db, batch).await, [Accepted::New, Accepted::New]);
        assert_eq!(wanted().await, 4, "only the second event of the batch is a hint");
        assert_eq!(accept(&db, vec![created("evt_ours", "cus_1")]).await, [Accepted::Duplicate]);
        accept(&db, vec![NewEvent { aggregate: "alone".into(), ..created("evt_alone", "cus_1") }]).await;
        let (ours, alone) = tx(&db, |tx| {
            Ok((
                inbox::get(tx, "stripe", "self", "evt_ours")?,
                inbox::get(tx, "stripe", "self", "evt_alone")?,
            ))
        })
        .await;
        assert!(ours.expect("stored").processed);
        assert!(alone.expect("stored, though its aggregate has no row").processed);
    })
    .await;
}

#[tokio::test]
async fn alerts_are_paged_newest_first() {
    on_each_database(async |db: Db| {
        let alert = |object: &str| NewAlert {
            kind: "unknown_price".into(),
            object: object.into(),
            customer: None,
            aggregate: None,
            detail: "detail".into(),
            mend: "mend".into(),
        };
        tx(&db, move |tx| {
            for object in ["sub_1", "sub_2", "sub_3", "sub_4"] {
                outbox::raise(tx, &alert(object), at(1_000))?;
            }
            outbox::resolve(tx, "unknown_price", "sub_2", at(2_000))
        })
        .await;
        let page = async |all: bool, cursor: i64| {
            let rows = tx(&db, move |tx| outbox::alerts(tx, all, cursor, 2)).await;
            let last = rows.last().map_or(0, |row| row.seq);
            (rows.into_iter().map(|row| row.object).collect::<Vec<_>>(), last)
        };
        let (first, cursor) = page(false, i64::MAX).await;
        assert_eq!(first, ["sub_4", "sub_3"]);
        assert_eq!(page(false, cursor).await.0, ["sub_1"]);
        assert_eq!(page(true, cursor).await.0, ["sub_2", "sub_1"]);
    })
    .await;
}

#[tokio::test]
async fn a_command_is_one_however_many_want_it() {
    on_each_database(async |db: Db| {
        let wish = || NewCommand {
            idempotency_key: "key".into(),
            kind: "customer.create",
            object: "customer/u".into(),
            aggregate: None,
            customer: Some("u".into()),
            request: "{}".into(),
        };
        let inserted = futures_util::future::join_all(
            (0..20).map(|_| tx(&db, move |tx| commands::insert(tx, &wish(), at(1_000)))),
        )
        .await;
        assert_eq!(inserted.iter().filter(|new| **new).count(), 1);
        let id = wish().id();
        let (a, b) = (id.clone(), id.clone());
        let first = tx(&db, move |tx| commands::claim(tx, &a, &token(1), at(2_000), at(3_000))).await;
        assert_eq!(first.expect("claimed").first_sent_at, Some(at(2_000)));
        assert!(tx(&db, move |tx| commands::claim(tx, &b, &token(2), at(2_500), at(3_500))).await.is_none());
        let taken = id.clone();
        let second = tx(&db, move |tx| commands::claim(tx, &taken, &token(2), at(3_000), at(4_000))).await;
        assert_eq!(
            second.expect("taken over").first_sent_at,
            Some(at(2_000)),
            "the key's age counts from the first sending"
        );
        let (late, held) = (id.clone(), id.clone());
        let done = Outcome::Succeeded("{}".into());
        let other = done.clone();
        assert!(!tx(&db, move |tx| commands::finish(tx, &late, &token(1), &other, at(3_100))).await);
        assert!(tx(&db, move |tx| commands::finish(tx, &held, &token(2), &done, at(3_200))).await);
        let row = tx(&db, move |tx| commands::get(tx, &id)).await.expect("there");
        assert_eq!(row.state, CommandState::Succeeded);
        assert_eq!(tx(&db, |tx| commands::asked(tx, "customer/u")).await.count, 1);
    })
    .await;
}

#[tokio::test]
async fn commands_on_one_object_go_in_the_order_in_which_they_were_written() {
    on_each_database(async |db: Db| {
        let wish = |key: &str| NewCommand {
            idempotency_key: key.into(),
            kind: "subscription.cancel",
            object: "sub_1".into(),
            aggregate: None,
            customer: None,
            request: "{}".into(),
        };
        let (resume, cancel) = (wish("resume"), wish("cancel"));
        let (first, second) = (resume.id(), cancel.id());
        // The second is written by a node whose clock is behind.
        tx(&db, move |tx| {
            commands::insert(tx, &resume, at(5_000))?;
            commands::insert(tx, &cancel, at(4_000))
        })
        .await;
        let asked = tx(&db, |tx| commands::asked(tx, "sub_1")).await;
        assert_eq!((asked.count, asked.newest.map(|row| row.id)), (2, Some(second.clone())));
        let (head, none, due) = {
            let (a, b) = (first.clone(), second.clone());
            tx(&db, move |tx| {
                Ok((commands::head(tx, &b)?, commands::head(tx, &a)?, commands::due(tx, at(9_000), 10)?))
            })
            .await
        };
        assert_eq!((head, none, due), (Some(first.clone()), None, vec![first.clone()]));
        let claim = async |id: &quittance_domain::CommandId, n: u8| {
            let id = id.clone();
            tx(&db, move |tx| commands::claim(tx, &id, &token(n), at(9_000), at(9_900))).await
        };
        assert!(claim(&second, 2).await.is_none(), "the older one may still take effect");
        assert!(claim(&first, 1).await.is_some());
        let over = first.clone();
        let done = Outcome::Succeeded("{}".into());
        assert!(tx(&db, move |tx| commands::finish(tx, &over, &token(1), &done, at(9_100))).await);
        assert!(claim(&second, 2).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn the_accounts_money_is_marked_beside_and_only_while_nobody_looks_already() {
    const MONEY: &str = "stripe/test/self/balance/account";
    on_each_database(|db| async move {
        let about = |id: &str, due| NewEvent { money: Some((MONEY.into(), at(due))), ..event(id, "agg/1") };
        let row = async |db: &Db| db.read("test.get", |tx| aggregates::get(tx, MONEY)).await.expect("read");
        accept(&db, vec![event("evt_0", "agg/1")]).await;
        assert_eq!(row(&db).await, None, "an event that is not about money");
        accept(&db, vec![about("evt_1", 9_000), about("evt_2", 8_000)]).await;
        let first = row(&db).await.expect("marked");
        assert_eq!((first.wanted, first.next_attempt_at, first.dirty_since), (1, at(8_000), Some(at(8_000))));
        accept(&db, vec![about("evt_3", 9_500)]).await;
        assert_eq!(row(&db).await.expect("waits").wanted, 1, "one look answers all");
        accept(&db, vec![about("evt_1", 9_500)]).await;
        let claims = claim(&db, 1, 8_000).await;
        let held = claims.iter().find(|claim| claim.key == MONEY).expect("claimed").clone();
        accept(&db, vec![about("evt_4", 9_800)]).await;
        assert_eq!(row(&db).await.expect("marked").wanted, 2, "the look under way may not have seen it");
        let copy = held.clone();
        let kept =
            db.write("test.hold", move |tx| aggregates::hold(tx, &copy, at(20_000))).await.expect("held");
        assert!(kept);
        assert_eq!(row(&db).await.expect("held").lease_until, Some(at(20_000)));
        let stale = Claim { token: token(9), ..held.clone() };
        assert!(!db.write("test.hold", move |tx| aggregates::hold(tx, &stale, at(1))).await.expect("asked"));
        assert!(
            db.write("test.done", move |tx| aggregates::complete(tx, &held, at(8_500))).await.expect("done")
        );
        assert!(row(&db).await.is_some_and(|row| row.done < row.wanted), "and it is looked at again");
    })
    .await;
}
