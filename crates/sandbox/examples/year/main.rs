//! Plays a scripted year with many customers, closes its books, and measures how fast time passes.
//!
//! `cargo xtask bench -- sandbox`, or `cargo run --release -p quittance-sandbox --example year -- --customers 1000`.
//! Before it, a month of many subscriptions (`--subscriptions 10000`; 0 leaves it out) in a sandbox of its own.
//! The yardstick is a call of the same sandbox that does nothing but emit one event, in slices between the days of the
//! same run: machines drift.

mod books;
mod month;
mod script;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use books::Books;
use month::Month;
use quittance_sandbox::Sandbox;
use script::{DAY, Outcome, Year, call, text};

/// Days between two slices of the yardstick, and calls in each.
const SLICE_DAYS: i64 = 15;
const SLICE_CALLS: u32 = 500;

struct Arguments {
    customers: i64,
    subscriptions: i64,
    days: i64,
    seed: u64,
}

fn read_arguments() -> Outcome<Arguments> {
    let mut arguments = Arguments { customers: 1000, subscriptions: 10_000, days: 365, seed: 1 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().and_then(|text| text.parse::<u32>().ok());
        let value = value.ok_or_else(|| format!("{name} needs a number"))?;
        match name.as_str() {
            "--customers" => arguments.customers = i64::from(value),
            "--subscriptions" => arguments.subscriptions = i64::from(value),
            "--days" => arguments.days = i64::from(value),
            "--seed" => arguments.seed = u64::from(value),
            _ => {
                return Err(format!(
                    "{name}: only --customers, --subscriptions, --days and --seed, each with a number"
                ));
            }
        }
    }
    Ok(arguments)
}

/// Adds the real time that something takes.
#[allow(clippy::disallowed_methods, reason = "a measurement measures real time")]
fn timed<T>(spent: &mut Duration, action: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = action();
    *spent += start.elapsed();
    result
}

/// One slice of the yardstick: calls that emit one event each.
fn emit(sandbox: &Sandbox, customer: &str, round: i64) -> Outcome<()> {
    for call_number in 0..SLICE_CALLS {
        let form = format!("metadata[mark]={round}-{call_number}");
        call(sandbox, "POST", &format!("/v1/customers/{customer}"), &form)?;
    }
    Ok(())
}

fn per_second(count: u64, time: Duration) -> String {
    let micros = time.as_micros().max(1);
    let rate = u128::from(count) * 1_000_000 / micros;
    format!("{rate}")
}

/// Whether each of the subscriptions of the month was renewed once.
fn run_month(arguments: &Arguments) -> Outcome<bool> {
    let month = Month::play(&script::sandbox(arguments.seed), arguments.subscriptions)?;
    let count = u64::try_from(month.customers).unwrap_or_default();
    println!("| a month of many subscriptions | |\n| --- | --- |");
    println!("| customers, each with a card and a subscription | {} |", month.customers);
    println!("| customers made per second | {} |", per_second(count, month.arriving));
    println!("| subscriptions made per second | {} |", per_second(count, month.subscribing));
    println!("| a month passes, with {} renewals | {} ms |", month.renewals, month.passing.as_millis());
    println!("| events per second while it passes | {} |", per_second(month.events, month.passing));
    if let Some((before, after)) = month.memory {
        println!("| resident memory before and after | {} and {} MiB |", before / 1024, after / 1024);
    }
    println!();
    Ok(month.renewals == month.customers)
}

fn run(arguments: &Arguments) -> Outcome<bool> {
    if arguments.subscriptions > 0 && !run_month(arguments)? {
        return Err("not every subscription was renewed once in a month".to_owned());
    }
    let (sandbox, bare) = (script::sandbox(arguments.seed), script::sandbox(arguments.seed));
    let idle = text(&call(&bare, "POST", "/v1/customers", "")?, "/id")?;
    let mut year = Year::open(&sandbox, arguments.customers, arguments.seed)?;
    let (mut living, mut passing, mut emitting) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut passed_events, mut bare_events) = (0, 0);
    for day in 0..arguments.days {
        timed(&mut living, || year.live_a_day())?;
        let before = sandbox.events_made();
        timed(&mut passing, || sandbox.advance_time(DAY));
        passed_events += sandbox.events_made() - before;
        if day % SLICE_DAYS == 0 {
            let before = bare.events_made();
            timed(&mut emitting, || emit(&bare, &idle, day))?;
            bare_events += bare.events_made() - before;
        }
    }
    let books = Books::close(&sandbox)?;
    println!("| a year in the sandbox | |\n| --- | --- |");
    println!("| customers, days, seed | {}, {}, {} |", arguments.customers, arguments.days, arguments.seed);
    println!("| renewals paid | {} |", books.renewals);
    println!("| attempts refused | {} |", books.failures);
    println!("| refunds | {:?} |", books.refunds);
    println!("| disputes | {:?} |", books.disputes);
    println!("| payouts | {:?} |", books.payouts);
    println!("| subscriptions | {:?} |", books.subscriptions);
    println!("| what people did | {:?} |", year.acts);
    println!("| time that passed | {} ms |", passing.as_millis());
    println!("| calls of people | {} ms |", living.as_millis());
    println!("| renewals per second | {} |", per_second(books.renewals, passing));
    println!("| events per second while time passes | {} |", per_second(passed_events, passing));
    println!("| events per second of calls that do nothing else | {} |", per_second(bare_events, emitting));
    for (currency, sums) in &books.sums {
        println!("| {currency} | {sums:?}, off by {} |", sums.off_by());
    }
    for fault in &books.faults {
        println!("FAULT: {fault}");
    }
    Ok(books.faults.is_empty())
}

fn main() -> ExitCode {
    match read_arguments().and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
