//! The sandbox's scripted year with the engine beside it: renewals, failing cards, changes of plan, refunds, disputes and daily payouts
//! of many people, of which the engine hears by webhooks. At its end the ledger is the provider's money to the minor unit.
//!
//! The sums that it is held against come from the year's own books, which know nothing of the engine. `QUITTANCE_YEAR=1000` plays it
//! with so many people; without it a few live it.

#[path = "../../../sandbox/examples/year/books.rs"]
mod books;
#[path = "../../../sandbox/examples/year/script.rs"]
#[allow(dead_code, reason = "the house brings its own sandbox")]
mod script;

use std::collections::BTreeMap;

use quittance_domain::Timestamp;
use quittance_domain::ledger::Account;
use quittance_engine::inbox::MONEY_SETTLE_MS;
use serde_json::json;

use self::books::Books;
use self::script::{DAY, Year};
use crate::house::{House, on_each};

/// People and days.
fn size() -> (i64, i64) {
    let given = std::env::var("QUITTANCE_YEAR").ok();
    given.map_or((30, 240), |people| (people.parse().expect("QUITTANCE_YEAR is a number"), 365))
}

fn pay_out_daily(h: &House) {
    let mut request = quittance_sandbox::HttpRequest::new("PUT", "/_sandbox/settings", "sk_test_house", "");
    request.body = json!({ "payout_schedule": "daily" }).to_string().into_bytes();
    request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
    let set = h.sandbox.handle(request);
    assert_eq!(set.status, 200, "{}", set.value());
}

/// By currency and account, in minor units.
async fn balances(h: &House) -> BTreeMap<(String, Account), i64> {
    let rows = h.engine.trial_balance(Timestamp::from_ms(i64::MAX)).await.unwrap();
    rows.iter().map(|row| ((row.currency.code().to_owned(), row.account), row.balance())).collect()
}

#[tokio::test]
async fn a_year_of_many_people_ties_out_to_zero() {
    on_each(|h| {
        Box::pin(async move {
            let (people, days) = size();
            pay_out_daily(h);
            let mut year = Year::open(&h.sandbox, people, 3).unwrap();
            for day in 0..days {
                year.live_a_day().unwrap();
                h.sandbox.advance_time(DAY);
                // Webhooks of two days come together, so that it takes half the time.
                if day % 2 == 1 {
                    h.settle().await;
                }
            }
            h.pass_ms(MONEY_SETTLE_MS + 1_000);
            h.settle().await;

            let theirs = Books::close(&h.sandbox).unwrap();
            assert_eq!(theirs.faults, Vec::<String>::new());
            let (acts, ours) = (&year.acts, balances(h).await);
            let shown = format!(
                "{acts:?}; {} renewals, {} failures, refunds {:?}, disputes {:?}, payouts {:?}",
                theirs.renewals, theirs.failures, theirs.refunds, theirs.disputes, theirs.payouts
            );
            eprintln!("{people} people, {days} days: {shown}");
            assert!(theirs.renewals > 0 && theirs.failures > 0 && acts.changes > 0, "{shown}");
            assert!(!theirs.refunds.is_empty() && !theirs.disputes.is_empty(), "{shown}");
            assert!(theirs.payouts.contains_key("paid"), "{shown}");

            let tied = h.engine.tie_out(true).await.unwrap();
            assert!(tied.agrees(), "{:#?}", tied.lines);
            assert!(tied.compared > 0 && tied.currencies.len() == theirs.sums.len(), "{tied:?}");
            for (currency, sums) in &theirs.sums {
                let of = |account| ours.get(&(currency.clone(), account)).copied().unwrap_or(0);
                let all: i64 =
                    ours.iter().filter(|((code, _), _)| code == currency).map(|(_, sum)| sum).sum();
                assert_eq!(all, 0, "{currency}: debits are credits");
                assert_eq!(of(Account::ProviderBalance), sums.balance, "{currency}: {sums:?}");
                assert_eq!(of(Account::Payouts) + of(Account::Bank), sums.payouts, "{currency}: {sums:?}");
                assert_eq!(of(Account::Fees), sums.fees, "{currency}: {sums:?}");
                assert_eq!(of(Account::Refunds), sums.refunds, "{currency}: {sums:?}");
                assert_eq!(of(Account::Disputes), sums.disputes, "{currency}: {sums:?}");
            }
        })
    })
    .await;
}
