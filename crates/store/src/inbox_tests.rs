//! Batches of any size: rows travel many to a statement, and each event is answered as if it had come alone.

use std::collections::BTreeSet;

use quittance_domain::Timestamp;

use crate::aggregates;
use crate::db::Db;
use crate::inbox::{self, Accepted, NewEvent};
use crate::testing::on_each_database;

fn event(number: usize) -> NewEvent {
    let at = Timestamp::from_ms(1_000);
    NewEvent {
        provider: "stripe",
        account: if number.is_multiple_of(7) { "acct_1".into() } else { "self".into() },
        event_id: format!("evt_{number}"),
        livemode: false,
        event_type: "invoice.paid".into(),
        object: (!number.is_multiple_of(3)).then(|| format!("in_{number}")),
        aggregate: format!("k{}", number % 90),
        money: None,
        api_version: None,
        payload: format!("{{\"number\":{number}}}"),
        sha256: format!("{number:064}"),
        source: "webhook",
        created_at: at,
        received_at: at,
        due: at,
        made_by: None,
    }
}

async fn accept(db: &Db, numbers: Vec<usize>) -> Vec<Accepted> {
    let events: Vec<NewEvent> = numbers.into_iter().map(event).collect();
    db.write("test.accept", move |tx| inbox::accept(tx, &events)).await.expect("accepted")
}

#[tokio::test]
async fn a1_each_event_of_a_large_batch_is_answered_for_itself() {
    on_each_database(async |db: Db| {
        let known: BTreeSet<usize> = (0..200).filter(|number| number % 11 == 4).collect();
        accept(&db, known.iter().copied().collect()).await;
        // Backwards, so that the order of the answers is not the one in which rows are written.
        let batch: Vec<usize> = (0..200).rev().collect();
        let answers = accept(&db, batch.clone()).await;
        for (number, answer) in batch.iter().zip(&answers) {
            let expected = if known.contains(number) { Accepted::Duplicate } else { Accepted::New };
            assert_eq!(*answer, expected, "{number}");
        }
        assert!(accept(&db, batch).await.iter().all(|answer| *answer == Accepted::Duplicate));
        let stored = db.read("test.list", |tx| inbox::list(tx, i64::MAX, None, 1_000)).await.expect("read");
        assert_eq!(stored.len(), 200);
        for row in &stored {
            let number: usize = row.event_id.trim_start_matches("evt_").parse().expect("a number");
            let sent = event(number);
            assert_eq!(
                (&row.account, &row.object, &row.payload),
                (&sent.account, &sent.object, &sent.payload)
            );
            assert_eq!((&row.aggregate, &row.sha256), (&sent.aggregate, &sent.sha256));
            assert_eq!(row.deliveries, if known.contains(&number) { 3 } else { 2 });
            let key = row.aggregate.clone();
            let (mark, of) = db
                .read("test.marks", move |tx| {
                    Ok((aggregates::get(tx, &key)?, inbox::hints_between(tx, &key, 0, 1_000)?))
                })
                .await
                .expect("read");
            // Each mark belongs to one event, and no mark to none.
            assert_eq!(mark.expect("marked").wanted, i64::try_from(of.len()).expect("few"));
        }
    })
    .await;
}

#[tokio::test]
async fn what_has_not_reached_us_is_found_among_many() {
    on_each_database(async |db: Db| {
        accept(&db, (0..100).filter(|number| number % 7 > 2).collect()).await;
        let ids: Vec<String> = (0..100).map(|number| format!("evt_{number}")).collect();
        let missing = db
            .read("test.missing", move |tx| {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let missing = inbox::missing(tx, "stripe", "self", &ids)?;
                Ok(missing.into_iter().map(str::to_owned).collect::<Vec<_>>())
            })
            .await
            .expect("read");
        let expected: Vec<String> =
            (0..100).filter(|number| number % 7 <= 2).map(|number| format!("evt_{number}")).collect();
        assert_eq!(missing, expected);
    })
    .await;
}
