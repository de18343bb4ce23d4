//! The ledger's promises on both databases: once per key, corrected by reversal, never changed.

use super::*;
use crate::customers::{self, CustomerPatch, LinkedBy};
use crate::db::Db;
use crate::testing::on_each_database;
use quittance_domain::CustomerId;

const SCOPE: &str = "stripe/test/self";

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(ms)
}

fn money(minor: i64, code: &str) -> Money {
    Money::new(minor, Currency::parse(code).expect("a currency"))
}

fn sale(minor: i64, code: &str) -> Entry {
    let line = |account, minor| Posting { account, amount: money(minor, code) };
    Entry::new([line(Account::Receivable, minor), line(Account::Revenue, -minor)]).expect("balanced")
}

fn invoice(object: &str, when: i64, entry: Option<Entry>) -> Record {
    Record {
        key: Key { scope: SCOPE.to_owned(), kind: Kind::Invoice, object: object.to_owned() },
        at: at(when),
        detail: "invoice finalized".to_owned(),
        source: Some(object.to_owned()),
        payment: Some(format!("pi_of_{object}")),
        provider_customer: Some("cus_1".to_owned()),
        entry,
    }
}

async fn put(db: &Db, records: &[Record], now: i64) -> u64 {
    let records = records.to_vec();
    db.write("test.record", move |tx| record(tx, &records, at(now))).await.expect("recorded")
}

async fn get(db: &Db, which: Which) -> Vec<EntryRow> {
    db.read("test.page", move |tx| page(tx, &which, 100)).await.expect("read")
}

async fn balances(db: &Db, until: i64) -> Vec<(String, i64)> {
    let rows = db.read("test.balances", move |tx| trial_balance(tx, SCOPE, at(until))).await.expect("read");
    rows.iter().map(|b| (format!("{} {}", b.account, b.currency), b.balance())).collect()
}

fn named(rows: &[(&str, i64)]) -> Vec<(String, i64)> {
    rows.iter().map(|(name, sum)| ((*name).to_owned(), *sum)).collect()
}

#[tokio::test]
async fn a_fact_is_posted_once_and_corrected_by_reversal() {
    on_each_database(|db| async move {
        assert_eq!(put(&db, &[invoice("in_1", 10, Some(sale(100, "jpy")))], 20).await, 1);
        assert_eq!(put(&db, &[invoice("in_1", 10, Some(sale(100, "jpy")))], 30).await, 0, "said already");
        assert_eq!(
            put(&db, &[invoice("in_1", 10, Some(sale(70, "jpy")))], 40).await,
            2,
            "taken back, said anew"
        );
        assert_eq!(balances(&db, 1_000).await, named(&[("receivable JPY", 70), ("revenue JPY", -70)]));
        assert_eq!(put(&db, &[invoice("in_1", 50, None)], 60).await, 1);
        assert_eq!(put(&db, &[invoice("in_1", 50, None)], 70).await, 0);
        assert_eq!(balances(&db, 1_000).await, named(&[("receivable JPY", 0), ("revenue JPY", 0)]));
        assert_eq!(
            put(&db, &[invoice("in_1", 80, Some(sale(70, "jpy")))], 90).await,
            1,
            "and it can come back"
        );
        assert_eq!(put(&db, &[invoice("in_2", 80, None)], 90).await, 0, "what never was is not taken back");
        let key = invoice("in_1", 0, None).key;
        let rows = db.read("test.key", move |tx| of_object(tx, &key)).await.expect("read");
        let told: Vec<(bool, i64)> =
            rows.iter().map(|row| (row.reverses, row.entry.postings()[0].amount.minor)).collect();
        assert_eq!(told, [(false, 100), (true, -100), (false, 70), (true, -70), (false, 70)]);
        assert_eq!((rows[0].at, rows[0].posted_at), (at(10), at(20)));
    })
    .await;
}

#[tokio::test]
async fn the_database_refuses_to_change_or_remove_an_entry() {
    on_each_database(|db| async move {
        put(&db, &[invoice("in_1", 10, Some(sale(100, "jpy")))], 20).await;
        let act = crate::audit::NewAct {
            actor: "grace".into(),
            way: crate::audit::Way::Console,
            action: "refund".into(),
            target: "pi_1".into(),
            input: None,
        };
        let begun = move |tx: &mut dyn Tx| {
            let act = crate::audit::begin(tx, &act, at(1))?;
            crate::audit::end(tx, act, None, at(2))
        };
        db.write("test.act", begun).await.expect("written");
        let mut tried = vec![
            "UPDATE ledger_entries SET detail = 'x'",
            "DELETE FROM ledger_entries",
            "UPDATE ledger_postings SET amount = 0",
            "DELETE FROM ledger_postings",
        ];
        match db.dialect() {
            crate::Dialect::Postgres => tried.push("TRUNCATE ledger_entries, ledger_postings"),
            // It takes rows away without saying DELETE.
            crate::Dialect::Sqlite => tried.extend([
                "REPLACE INTO ledger_postings SELECT * FROM ledger_postings",
                "REPLACE INTO ledger_entries SELECT * FROM ledger_entries",
                "REPLACE INTO audit SELECT * FROM audit",
                "REPLACE INTO audit_ends SELECT * FROM audit_ends",
            ]),
        }
        for text in tried {
            let refused = db.write("test.change", move |tx| tx.script(text)).await;
            let error = refused.expect_err(text).to_string();
            assert!(error.contains("append-only"), "{text}: {error}");
        }
        assert_eq!(get(&db, Which::all(SCOPE)).await.len(), 1);
        assert_eq!(balances(&db, 1_000).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn entries_are_found_by_account_customer_and_time() {
    on_each_database(|db| async move {
        let other = Record {
            provider_customer: None,
            payment: Some("pi_of_in_1".to_owned()),
            key: Key { scope: SCOPE.to_owned(), kind: Kind::BalanceTransaction, object: "txn_1".to_owned() },
            entry: Some(
                Entry::new([
                    Posting { account: Account::Refunds, amount: money(5, "usd") },
                    Posting { account: Account::ProviderBalance, amount: money(-5, "usd") },
                ])
                .expect("balanced"),
            ),
            ..invoice("txn_1", 30, None)
        };
        let stranger =
            Record { provider_customer: Some("cus_2".into()), ..invoice("in_2", 20, Some(sale(1, "usd"))) };
        put(&db, &[invoice("in_1", 10, Some(sale(100, "jpy"))), stranger, other], 40).await;
        db.write("test.link", |tx| {
            let ada = CustomerId::parse("ada").expect("an id");
            customers::upsert(tx, &ada, &CustomerPatch::default(), at(1))?;
            customers::link(tx, SCOPE, "cus_1", &ada, LinkedBy::Operator, at(1))
        })
        .await
        .expect("linked");
        let objects =
            |rows: Vec<EntryRow>| -> Vec<String> { rows.into_iter().map(|row| row.key.object).collect() };
        let all = Which::all(SCOPE);
        assert_eq!(objects(get(&db, all.clone()).await), ["txn_1", "in_2", "in_1"]);
        let account = Which { account: Some(Account::Revenue), ..all.clone() };
        assert_eq!(objects(get(&db, account).await), ["in_2", "in_1"]);
        let customer = Which { customer: Some("ada".to_owned()), ..all.clone() };
        assert_eq!(objects(get(&db, customer.clone()).await), ["txn_1", "in_1"], "a refund by its payment");
        let both = Which { account: Some(Account::Refunds), ..customer };
        assert_eq!(objects(get(&db, both).await), ["txn_1"]);
        let time = Which { from: at(20), until: at(30), ..all.clone() };
        assert_eq!(objects(get(&db, time).await), ["in_2"]);
        let cursor = get(&db, all.clone()).await[0].seq;
        assert_eq!(objects(get(&db, Which { cursor, ..all }).await), ["in_2", "in_1"]);
        assert!(get(&db, Which::all("stripe/live/self")).await.is_empty());
        let before = balances(&db, 20).await;
        assert_eq!(before, named(&[("receivable JPY", 100), ("revenue JPY", -100)]), "as it was then");
        let all = db.read("test.after", |tx| after(tx, SCOPE, 0, 2)).await.expect("read");
        assert_eq!(objects(all), ["in_1", "in_2"]);
    })
    .await;
}

#[tokio::test]
async fn a_payout_is_under_way_until_it_arrives_or_comes_back() {
    on_each_database(|db| async move {
        let moved = |object: &str, detail: &str, kind, payout: &str| Record {
            key: Key { scope: SCOPE.to_owned(), kind, object: object.to_owned() },
            detail: detail.to_owned(),
            source: Some(payout.to_owned()),
            entry: Some(Entry::default()),
            ..invoice(object, 10, None)
        };
        let balance = Kind::BalanceTransaction;
        let all = [
            moved("txn_1", "payout", balance, "po_1"),
            moved("txn_2", "payout", balance, "po_2"),
            moved("txn_3", "payout", balance, "po_3"),
            moved("txn_4", "payout_failure", balance, "po_2"),
            moved("po_3", "payout arrived", Kind::PayoutArrival, "po_3"),
        ];
        put(&db, &all, 20).await;
        let left = db.read("test.payouts", |tx| payouts_under_way(tx, SCOPE, 10)).await.expect("read");
        assert_eq!(left, ["po_1"]);
    })
    .await;
}
