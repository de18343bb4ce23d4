//! A small scripted year whose books must close: charges less fees, refunds and disputes are the balance.

#[path = "../../examples/year/books.rs"]
mod books;
#[path = "../../examples/year/script.rs"]
pub mod script;

use quittance_sandbox::Sandbox;

use books::Books;
use script::{Acts, DAY, Year};

fn play(sandbox: &Sandbox, customers: i64, days: i64) -> Acts {
    let mut year = Year::open(sandbox, customers, 3).unwrap();
    for _ in 0..days {
        year.live_a_day().unwrap();
        sandbox.advance_time(DAY);
    }
    year.acts
}

#[test]
fn the_books_of_a_year_close() {
    let sandbox = script::sandbox(3);
    let acts = play(&sandbox, 30, 365);
    let books = Books::close(&sandbox).unwrap();
    assert_eq!(books.faults, Vec::<String>::new());
    assert_eq!(books.sums.keys().collect::<Vec<_>>(), ["jpy", "usd"]);
    // A year in which nothing happens would close as well.
    assert!(books.renewals > 200 && books.failures > 10, "{books:?}");
    assert!(books.refunds.contains_key("succeeded") && !books.disputes.is_empty(), "{books:?}");
    assert!(books.subscriptions.contains_key("active") && books.subscriptions.contains_key("canceled"));
    assert!(acts.changes > 20 && acts.refunds > 10 && acts.answers > 0 && acts.usage > 100, "{acts:?}");
}

#[test]
fn the_same_seed_plays_the_same_year() {
    let (one, other) = (script::sandbox(3), script::sandbox(3));
    assert_eq!(play(&one, 8, 120), play(&other, 8, 120));
    assert!(one.snapshot() == other.snapshot());
}
