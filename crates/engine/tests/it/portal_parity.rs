//! The same change made on the provider's portal pages and through the API ends the same: mirror, access, books, notices
//! and what the app is told, at once and a month later.

use std::sync::Arc;

use quittance_domain::Timestamp;
use quittance_engine::Settings;
use quittance_engine::checkout::NewCheckout;
use quittance_engine::commands::request::{CancelAt, Feedback, PortalStart};
use quittance_engine::inbox::MONEY_SETTLE_MS;
use quittance_engine::shop::OnStep;
use quittance_engine::subscriptions::{Change, Ending};
use quittance_store::testing::{TestDb, databases};

use crate::app_kit;
use crate::house::{DAY, House, START, catalog, customer, pro};
use crate::known_kit::{break_card, buyer_of, newest_invoice, price_id, text, told, use_card};
use crate::trials::with_trials;

/// What a customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Upgrades,
    UpgradesInTrial,
    Downgrades,
    TakesMore,
    TakesLess,
    TakesMoreSeats,
    TakesFewerSeats,
    TakesAYear,
    ChangesTheirMind,
    CancelsLater,
    CancelsNow,
    Resumes,
    ChangesCard,
    ChangesCardAndPays,
}

impl Does {
    /// What is bought before.
    fn buys(self) -> NewCheckout {
        match self {
            Self::Downgrades | Self::ChangesTheirMind => NewCheckout { plan: "studio".into(), ..pro("ada") },
            Self::TakesMoreSeats => NewCheckout { plan: "studio".into(), ..pro("ada") },
            Self::TakesFewerSeats => NewCheckout { plan: "studio".into(), quantity: Some(3), ..pro("ada") },
            Self::TakesLess => NewCheckout { quantity: Some(3), ..pro("ada") },
            Self::Upgrades
            | Self::UpgradesInTrial
            | Self::TakesMore
            | Self::TakesAYear
            | Self::CancelsLater
            | Self::CancelsNow
            | Self::Resumes
            | Self::ChangesCard
            | Self::ChangesCardAndPays => pro("ada"),
        }
    }

    /// The day on which it is done.
    const fn day(self) -> i64 {
        match self {
            Self::ChangesCardAndPays => 30,
            Self::Upgrades
            | Self::UpgradesInTrial
            | Self::Downgrades
            | Self::TakesMore
            | Self::TakesLess
            | Self::TakesMoreSeats
            | Self::TakesFewerSeats
            | Self::TakesAYear
            | Self::ChangesTheirMind
            | Self::CancelsLater
            | Self::CancelsNow
            | Self::Resumes
            | Self::ChangesCard => 10,
        }
    }
}

/// A subscription in a house whose shop was pushed, on the day of the change.
async fn before(test: TestDb, does: Does) -> (House, String) {
    let catalog = match does {
        Does::UpgradesInTrial => with_trials(),
        Does::Upgrades
        | Does::Downgrades
        | Does::TakesMore
        | Does::TakesLess
        | Does::TakesMoreSeats
        | Does::TakesFewerSeats
        | Does::TakesAYear
        | Does::ChangesTheirMind
        | Does::CancelsLater
        | Does::CancelsNow
        | Does::Resumes
        | Does::ChangesCard
        | Does::ChangesCardAndPays => catalog(),
    };
    let mut h = House::with(test, Settings::default(), catalog.clone()).await;
    h.engine = h.engine_in_force(catalog).await;
    let quiet: OnStep = Arc::new(|_, _, _| {});
    h.engine.push_catalog(false, &quiet).await.unwrap();
    let row = h.open(&does.buys()).await;
    h.pay(row.session.as_deref().unwrap(), "pm_card_visa");
    h.settle().await;
    let id = h.engine.customer("ada").await.unwrap().subscriptions[0].subscription.facts.id.clone();
    if does == Does::Resumes {
        h.engine.cancel_subscription(&id, CancelAt::PeriodEnd, None).await.unwrap();
    }
    if does == Does::ChangesTheirMind {
        let less = Change { plan: Some("pro".into()), ..Change::default() };
        h.engine.change_subscription(&id, &less, None).await.unwrap();
    }
    if does == Does::ChangesCardAndPays {
        break_card(&h, &id);
    }
    live_until(&h, does.day()).await;
    (h, id)
}

/// Lives until the noon of a day, a day at a time.
async fn live_until(h: &House, day: i64) {
    for day in (h.sandbox.now() - START) / DAY..day {
        h.sandbox.advance_time_to(START + (day + 1) * DAY);
        h.settle().await;
    }
}

async fn by_api(h: &House, id: &str, does: Does) {
    let change =
        |change: Change| async move { h.engine.change_subscription(id, &change, None).await.map(drop) };
    let plan = |plan: &str| Change { plan: Some(plan.into()), ..Change::default() };
    let units = |quantity| Change { quantity: Some(quantity), ..Change::default() };
    let cancel = |at| Ending { at, feedback: Some(Feedback::TooExpensive), comment: Some("for now".into()) };
    match does {
        Does::Upgrades | Does::UpgradesInTrial => change(plan("studio")).await.unwrap(),
        Does::Downgrades => change(plan("pro")).await.unwrap(),
        Does::TakesMore | Does::TakesMoreSeats => change(units(3)).await.unwrap(),
        Does::TakesLess | Does::TakesFewerSeats => change(units(1)).await.unwrap(),
        Does::TakesAYear | Does::ChangesTheirMind => {
            change(Change { interval: Some("year".into()), ..Change::default() }).await.unwrap();
        }
        Does::CancelsLater => {
            drop(h.engine.cancel_subscription(id, cancel(CancelAt::PeriodEnd), None).await.unwrap());
        }
        Does::CancelsNow => {
            drop(h.engine.cancel_subscription(id, cancel(CancelAt::Now), None).await.unwrap())
        }
        Does::Resumes => drop(h.engine.resume_subscription(id, None).await.unwrap()),
        Does::ChangesCard => use_card(h, id, "pm_card_mastercard"),
        Does::ChangesCardAndPays => {
            use_card(h, id, "pm_card_mastercard");
            h.provider("POST", &format!("/v1/invoices/{}/pay", newest_invoice(h, id)), "");
        }
    }
}

/// Posts a form of the portal, in a session that our API opened.
async fn on_page(h: &House, page: &str, form: &str) {
    let url = h.engine.open_portal(&customer("ada"), None, PortalStart::Home).await.unwrap();
    post(h, &url, page, form);
}

fn post(h: &House, url: &str, page: &str, form: &str) {
    let path = url.strip_prefix("http://127.0.0.1:12111").unwrap();
    let path = format!("{}/{page}", path.split(['?', '#']).next().unwrap());
    let request = quittance_sandbox::HttpRequest::new("POST", &path, "", form);
    let answer = h.sandbox.handle(request);
    assert_eq!(answer.status, 303, "{path}: {}", String::from_utf8_lossy(&answer.body));
}

/// A session whose configuration allows what the one that we push does not offer: more of a plan without units, and an end at once.
fn wide_session(h: &House, id: &str) -> String {
    let item = &h.provider("GET", &format!("/v1/subscriptions/{id}"), "")["items"]["data"][0];
    let (product, price) = (text(&item["price"]["product"]), text(&item["price"]["id"]));
    let of = "features[subscription_update]";
    let form = format!(
        "features[subscription_cancel][enabled]=true&features[subscription_cancel][mode]=immediately\
         &features[subscription_cancel][cancellation_reason][enabled]=true\
         &features[subscription_cancel][cancellation_reason][options][]=too_expensive\
         &{of}[enabled]=true&{of}[default_allowed_updates][0]=quantity&{of}[proration_behavior]=always_invoice\
         &{of}[products][0][product]={product}&{of}[products][0][prices][0]={price}\
         &{of}[products][0][adjustable_quantity][enabled]=true\
         &{of}[schedule_at_period_end][conditions][0][type]=decreasing_item_amount"
    );
    let wide = text(&h.provider("POST", "/v1/billing_portal/configurations", &form)["id"]);
    let form = format!("customer={}&configuration={wide}", buyer_of(h, id));
    text(&h.provider("POST", "/v1/billing_portal/sessions", &form)["url"])
}

async fn by_portal(h: &House, id: &str, does: Does) {
    let change = format!("subscriptions/{id}/change");
    let cancel = format!("subscriptions/{id}/cancel");
    let why = "feedback=too_expensive&comment=for+now";
    let card = "number=5555+5555+5555+4444&expiry=12%2F27&cvc=123&name=Ada";
    let to = |key: &str| format!("price={}", price_id(h, key));
    match does {
        Does::Upgrades | Does::UpgradesInTrial => on_page(h, &change, &to("studio_month_jpy")).await,
        Does::Downgrades => on_page(h, &change, &to("pro_month_jpy")).await,
        Does::TakesAYear => on_page(h, &change, &to("pro_year_jpy")).await,
        Does::ChangesTheirMind => on_page(h, &change, &to("studio_year_jpy")).await,
        Does::TakesMore => post(h, &wide_session(h, id), &change, "quantity=3"),
        Does::TakesMoreSeats => on_page(h, &change, "quantity=3").await,
        Does::TakesFewerSeats => on_page(h, &change, "quantity=1").await,
        Does::TakesLess => post(h, &wide_session(h, id), &change, "quantity=1"),
        Does::CancelsLater => on_page(h, &cancel, why).await,
        Does::CancelsNow => post(h, &wide_session(h, id), &cancel, why),
        Does::Resumes => on_page(h, &format!("subscriptions/{id}/resume"), "").await,
        Does::ChangesCard | Does::ChangesCardAndPays => on_page(h, "card", card).await,
    }
}

/// Without what is another one in each house: ids become their kind.
fn plain(text: &str) -> String {
    const KINDS: [&str; 13] =
        ["aev", "ch", "chk", "cus", "evt", "grt", "in", "pi", "pm", "si", "sub", "sub_sched", "txn"];
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(word.len());
        let (name, rest) = word.split_at(end);
        match name.rsplit_once('_') {
            Some((kind, id)) if KINDS.contains(&kind) && id.len() > 8 => out.push_str(kind),
            Some(_) | None => out.push_str(name),
        }
        out.push_str(rest);
    }
    out
}

/// Everything that a change has led to, a line each.
async fn ending(h: &House, id: &str) -> Vec<String> {
    h.settle().await;
    h.pass_ms(MONEY_SETTLE_MS + 1_000);
    h.settle().await;
    let row = h.engine.subscription(id).await.unwrap().subscription;
    let facts = &row.facts;
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let mut lines = vec![
        format!(
            "{} {:?} ends {:?} ended {:?}",
            facts.status,
            row.plan(),
            at(facts.ends_at()),
            at(facts.ended_at)
        ),
        format!("next {:?} waiting {:?}", row.scheduled, row.pending),
        format!("why {:?}", facts.ahead.cancellation),
        format!("card {:?}", facts.told.card.as_ref().map(|card| (&card.brand, &card.last4, card.month()))),
    ];
    for item in &facts.items {
        let period = (at(item.period_start), at(item.period_end));
        lines.push(format!("line {} x{} {:?} {period:?}", item.price, item.quantity, item.interval));
    }
    for feature in ["article:preview", "article:full", "course:library", "team:seats"] {
        let answer = h.engine.check("ada", feature).await.unwrap();
        let until = at(answer.expires_at);
        lines.push(format!("{feature} {} {:?} {until:?} {:?}", answer.allowed, answer.access, answer.limit));
    }
    let mut more = Vec::new();
    for entry in h.engine.ledger_after(0, 10_000).await.unwrap() {
        more.push(format!("books {} {} {:?}", entry.key.kind.as_str(), entry.reverses, entry.entry));
    }
    for notice in told(h, "ada", None).await {
        more.push(format!("told {} {:?} {}", notice.kind.as_str(), at(notice.about), notice.data));
    }
    for event in app_kit::told(h, "ada").await {
        more.push(format!("app {} {}", event["type"], event["data"]));
    }
    // Through the API a change drops what was planned and is made in one; what the portal makes drops it when it is seen.
    more.retain(|line| !line.contains("\"changes\":[\"change_unscheduled\"]"));
    let kinds = |line: &quittance_store::history::HistoryRow| {
        line.kind.starts_with("subscription.") && line.kind != "subscription.change_unscheduled"
    };
    let lived = h.engine.timeline("ada", i64::MAX, 500).await.unwrap();
    more.extend(lived.iter().filter(|line| kinds(line)).map(|line| format!("line {}", line.kind)));
    more.sort();
    lines.extend(more);
    lines.iter().map(|line| plain(line)).collect()
}

async fn ends_the_same(does: Does) {
    for (one, other) in databases().await.into_iter().zip(databases().await) {
        eprintln!("on {}", one.db.dialect().name());
        let (api, here) = before(one, does).await;
        let (portal, there) = before(other, does).await;
        by_api(&api, &here, does).await;
        by_portal(&portal, &there, does).await;
        let (first, second) = (ending(&api, &here).await, ending(&portal, &there).await);
        assert_eq!(first, second, "{does:?}: the API first, the portal second");
        live_until(&api, does.day() + 30).await;
        live_until(&portal, does.day() + 30).await;
        let (later, same) = (ending(&api, &here).await, ending(&portal, &there).await);
        assert_eq!(later, same, "{does:?}, a month later: the API first, the portal second");
        for part in ["app ", "told ", "books ", "line subscription."] {
            assert!(later.iter().any(|line| line.starts_with(part)), "{does:?} has {part}: {later:?}");
        }
    }
}

macro_rules! changes {
    ($($name:ident = $does:expr;)+) => {
        $(#[tokio::test] async fn $name() { ends_the_same($does).await; })+
    };
}

changes! {
    an_upgrade_ends_the_same = Does::Upgrades;
    an_upgrade_in_a_trial_ends_the_same = Does::UpgradesInTrial;
    a_downgrade_ends_the_same = Does::Downgrades;
    more_units_end_the_same = Does::TakesMore;
    fewer_units_end_the_same = Does::TakesLess;
    more_seats_end_the_same = Does::TakesMoreSeats;
    fewer_seats_end_the_same = Does::TakesFewerSeats;
    a_longer_interval_ends_the_same = Does::TakesAYear;
    a_change_instead_of_a_planned_one_ends_the_same = Does::ChangesTheirMind;
    a_cancellation_with_the_period_ends_the_same = Does::CancelsLater;
    a_cancellation_at_once_ends_the_same = Does::CancelsNow;
    a_resumption_ends_the_same = Does::Resumes;
    another_card_ends_the_same = Does::ChangesCard;
    another_card_for_what_is_owed_ends_the_same = Does::ChangesCardAndPays;
}
