//! What is thought of what was found. Pure.

use quittance_domain::Timestamp;
use quittance_domain::drift::DriftKind;
use quittance_domain::shop::{ShopPlan, Step};
use quittance_engine::progress::RunState;
use quittance_engine::schedule::Schedule;
use quittance_engine::tie_out::LastTieOut;
use quittance_store::SchemaState;
use quittance_store::aggregates::Backlog;
use quittance_stripe::API_VERSION;
use quittance_stripe::calls::webhook_endpoints::WANTED_EVENTS;
use quittance_stripe::observe::{ObservedAccount, ObservedWebhookEndpoint};

use super::Check;
use crate::config::Config;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Work that waits longer than this is not being done.
const LAG_MS: i64 = 5 * MINUTE_MS;
/// A clock that is off by more than this is worth a word, in milliseconds.
const SKEW_MS: i64 = 2_000;
/// Less room than this is little, and less than a tenth of it is none, in bytes.
const ROOM: u64 = 1_000_000_000;
/// The shortest signing secret that Stripe has ever given.
const SECRET_LENGTH: usize = 24;

/// Whether a proxy that nobody has named stands before the server, so that visitors cannot be told from each other by their
/// addresses. This server speaks no TLS itself.
pub(super) fn hides_visitors(config: &Config) -> bool {
    config.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
        && config.api.trusted_proxies.is_empty()
}

/// Keys, and whether they fit together.
pub(super) fn keys(config: &Config) -> Check {
    const NAME: &str = "keys";
    let key = config.stripe.secret_key.as_ref().map(crate::config::Secret::expose).unwrap_or_default();
    let live = key.starts_with("sk_live_") || key.starts_with("rk_live_");
    let local = config.public_url.as_deref().is_none_or(|url| {
        ["http://", "https://localhost", "https://127."].iter().any(|start| url.starts_with(start))
    });
    if key.is_empty() {
        return Check::failed(NAME, "there is no secret key of the provider", "Set STRIPE_SECRET_KEY.");
    }
    if live && local {
        return Check::failed(
            NAME,
            "a live key is used with an address that customers cannot reach safely",
            "Set QUITTANCE_PUBLIC_URL (public_url) to the https:// address of this server, or use a test key here.",
        );
    }
    if live && config.stripe.api_base != quittance_stripe::config::DEFAULT_API_BASE {
        return Check::failed(
            NAME,
            "a live key is sent to another address than Stripe's own",
            "Remove STRIPE_API_BASE (stripe.api_base), or use a test key.",
        );
    }
    let secrets =
        config.stripe.webhook_secret.as_ref().map(crate::config::Secret::expose).unwrap_or_default();
    let odd = secrets.split(',').map(str::trim).filter(|secret| !secret.is_empty()).any(|secret| {
        let rest = secret.strip_prefix("whsec_").unwrap_or_default();
        secret.len() < SECRET_LENGTH
            || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+/=".contains(&byte))
    });
    if odd {
        let what = "a webhook signing secret is too short to be one, or holds characters that none has";
        let mend =
            "Copy it again from Stripe's dashboard (Developers, Webhooks, your endpoint, Signing secret).";
        return if live { Check::failed(NAME, what, mend) } else { Check::warning(NAME, what, mend) };
    }
    if config.secret.is_none() {
        return Check::warning(
            NAME,
            "QUITTANCE_SECRET is not set: your app cannot link customers to pages, and secrets of app webhooks cannot be stored",
            "Set it to 32 random bytes: openssl rand -hex 32",
        );
    }
    Check::ok(NAME, format!("a {} key, a webhook secret and a root key", if live { "live" } else { "test" }))
}

/// The cron line and the zones.
pub(super) fn schedule(config: &Config, now: Timestamp) -> Check {
    const NAME: &str = "schedule";
    let zones = [("sweep.time_zone", &config.sweep.time_zone), ("mail.zone", &config.mail.zone)];
    for (key, zone) in zones {
        if jiff::tz::TimeZone::get(zone).is_err() {
            return Check::failed(
                NAME,
                format!("{key}: `{zone}` is no time zone"),
                "Use an IANA name such as Asia/Tokyo, or UTC.",
            );
        }
    }
    let Some(line) = config.sweep.schedule.as_deref().filter(|line| !line.trim().is_empty()) else {
        return Check::ok(NAME, format!("a sweep every {} seconds; times are UTC", config.sweep.every_s));
    };
    let schedule = match Schedule::parse(line, &config.sweep.time_zone) {
        Ok(schedule) => schedule,
        Err(why) => {
            return Check::failed(
                NAME,
                format!("sweep.schedule `{line}`: {why}"),
                "Write minute, hour, day, month and weekday, such as */10 * * * *",
            );
        }
    };
    let first = schedule.next_after(now);
    let gap = schedule.next_after(first).since(first);
    let words = format!("the next sweep is at {first} ({line}, {})", config.sweep.time_zone);
    if gap > DAY_MS {
        return Check::warning(
            NAME,
            format!(
                "{words}, and the one after it more than a day later: a webhook that never comes is made good only then"
            ),
            "Sweep at least once a day.",
        );
    }
    Check::ok(NAME, words)
}

/// How much room the database has.
pub(super) fn room(free: u64) -> Check {
    const NAME: &str = "disk";
    let words = format!("{} MB are free", free / 1_000_000);
    if free < ROOM / 10 {
        Check::failed(NAME, words, "Make room: a full disk refuses webhooks and purchases.")
    } else if free < ROOM {
        Check::warning(NAME, words, "Make room before it is needed.")
    } else {
        Check::ok(NAME, words)
    }
}

/// The schema, whether it can be written, and whether a commit stays. `lost` names a setting by which one may not.
pub(super) fn database(schema: &SchemaState, written: Result<(), String>, lost: &str) -> Check {
    const NAME: &str = "database";
    if schema.newer {
        let what = format!("the database was written by a newer release (schema {})", schema.current);
        return Check::failed(NAME, what, "Update Quittance, or restore the backup of before.");
    }
    if schema.current < schema.expected {
        let what = format!("the schema is {}, this release needs {}", schema.current, schema.expected);
        return Check::failed(NAME, what, "Run `quittance migrate`.");
    }
    if let Err(why) = written {
        let mend = "Check the rights, the disk, and whether the server is a read-only copy.";
        return Check::failed(NAME, format!("it cannot be written: {why}"), mend);
    }
    if !lost.is_empty() {
        return Check::failed(
            NAME,
            format!("`{lost}` is off: a commit can be lost when the machine stops"),
            "Switch it on in postgresql.conf. An event is acknowledged only when it is durable.",
        );
    }
    Check::ok(NAME, format!("schema {}, writable, durable", schema.current))
}

/// Whether live and test lie in one database.
pub(super) fn modes(other: bool, live: bool) -> Check {
    const NAME: &str = "modes";
    if !other {
        return Check::ok(NAME, "one mode only");
    }
    let (here, there) = if live { ("live", "test") } else { ("test", "live") };
    Check::warning(
        NAME,
        format!("this database has {there} customers too, and the key is a {here} key"),
        "Give each mode a database of its own (DATABASE_URL), so that no grant or customer is shared.",
    )
}

/// What waits, and what was given up.
pub(super) fn work(backlog: &Backlog, now: Timestamp) -> Check {
    const NAME: &str = "work";
    let parked = backlog.parked.saturating_add(backlog.parked_commands);
    if parked > 0 {
        return Check::failed(
            NAME,
            format!("{parked} customers or commands were given up and wait for you"),
            "quittance parked list, then quittance parked retry NAME",
        );
    }
    let lag = backlog.oldest.map_or(0, |oldest| now.since(oldest));
    if lag > LAG_MS {
        return Check::failed(
            NAME,
            format!(
                "{} customers wait, the first for {} minutes: nobody syncs",
                backlog.dirty,
                lag / MINUTE_MS
            ),
            "Start a server or a worker, and see its log.",
        );
    }
    Check::ok(NAME, format!("{} customers wait for a sync, nothing is parked", backlog.dirty))
}

/// Whether sweeps run.
pub(super) fn sweep(state: Option<&RunState>, open: &[(DriftKind, i64)], now: Timestamp) -> Check {
    const NAME: &str = "sweep";
    let Some(state) = state else {
        return Check::warning(NAME, "no sweep has run yet", "Start a server, or run: quittance reconcile");
    };
    if !state.running && now.since(state.next_at) > DAY_MS {
        return Check::failed(
            NAME,
            format!("a sweep has been due since {}", state.next_at),
            "Start a server or a worker; see its log for `sweep interrupted`.",
        );
    }
    let waiting: i64 = open.iter().map(|(_, count)| count).sum();
    if waiting > 0 {
        return Check::warning(
            NAME,
            format!("{waiting} findings of sweeps wait for you"),
            "quittance drift list",
        );
    }
    let last = state.finished_at.map_or_else(|| "under way".to_owned(), |at| format!("ended at {at}"));
    Check::ok(NAME, format!("the last one {last}"))
}

/// Whether the ledger agrees with the provider's balance and payouts.
pub(super) fn ledger(last: Option<(Timestamp, LastTieOut)>, told: bool, now: Timestamp) -> Check {
    const NAME: &str = "ledger";
    let Some((at, last)) = last else {
        return Check::warning(
            NAME,
            "the ledger has not been held against the provider yet",
            "A server or a worker does it after its first sweep; now: quittance ledger tie-out",
        );
    };
    if !last.agrees {
        let words = format!("{} differences between the ledger and the provider at {at}", last.differences);
        let mend = "quittance ledger tie-out --mend";
        return if told {
            Check::failed(NAME, words, mend)
        } else {
            Check::warning(NAME, format!("{words}; it is looked at again within minutes"), mend)
        };
    }
    if now.since(at) > 2 * DAY_MS {
        return Check::warning(
            NAME,
            format!("the ledger agreed with the provider at {at}, and nobody has looked since"),
            "Start a server or a worker, or run: quittance ledger tie-out",
        );
    }
    Check::ok(NAME, format!("it agreed with the provider to the last unit at {at}"))
}

/// Whether the account can take payments.
pub(super) fn account(found: &ObservedAccount) -> Check {
    const NAME: &str = "provider";
    if !found.charges_enabled {
        return Check::failed(
            NAME,
            format!("{} cannot take payments yet", found.id),
            "Answer Stripe's open questions: dashboard, Settings, Business.",
        );
    }
    if !found.payouts_enabled || !found.details_submitted {
        return Check::warning(
            NAME,
            format!("{} takes payments and is not paid out yet", found.id),
            "Answer Stripe's open questions: dashboard, Settings, Business.",
        );
    }
    Check::ok(NAME, format!("{} takes payments", found.id))
}

/// How far this machine's clock is from the provider's.
pub(super) fn clock(skew_ms: Option<i64>, tolerance_s: i64) -> Check {
    const NAME: &str = "clock";
    let mend = "Set the clock by NTP: timedatectl set-ntp true";
    match skew_ms {
        None => Check::skipped(NAME, "the provider did not tell its time"),
        Some(ms) if ms.abs() > tolerance_s.saturating_mul(1_000) / 2 => Check::failed(
            NAME,
            format!(
                "this clock is {} seconds off: good webhooks are refused as too old or too early",
                ms / 1_000
            ),
            mend,
        ),
        Some(ms) if ms.abs() > SKEW_MS => {
            Check::warning(NAME, format!("this clock is {} seconds off", ms / 1_000), mend)
        }
        Some(_) => Check::ok(NAME, "within two seconds of the provider's"),
    }
}

/// Whether the provider sends what is needed, to the right place, in the right form.
pub(super) fn endpoint(all: &[ObservedWebhookEndpoint], url: &str) -> Check {
    const NAME: &str = "webhook_endpoint";
    let here: Vec<_> = all.iter().filter(|e| e.url.trim_end_matches('/') == url).collect();
    let [one] = here.as_slice() else {
        return if here.is_empty() {
            Check::failed(
                NAME,
                format!("the provider has no webhook endpoint {url}"),
                "Add it in Stripe's dashboard (Developers, Webhooks) with all events of `quittance doctor --events`, and set STRIPE_WEBHOOK_SECRET to its signing secret. On a machine of yours: stripe listen.",
            )
        } else {
            Check::warning(
                NAME,
                format!("the provider has {} endpoints {url}: every event comes as often", here.len()),
                "Remove all but one of them.",
            )
        };
    };
    if one.status != "enabled" {
        return Check::failed(
            NAME,
            format!("{} is {}", one.id, one.status),
            "Switch it on in Stripe's dashboard; what was missed meanwhile the next sweep brings.",
        );
    }
    let wanted = |event: &&&str| !one.enabled_events.iter().any(|has| has == "*" || has == **event);
    let missing: Vec<&str> = WANTED_EVENTS.iter().filter(wanted).copied().collect();
    if !missing.is_empty() {
        return Check::failed(
            NAME,
            format!(
                "{} is not sent {} of the events that are needed: {}",
                one.id,
                missing.len(),
                missing.join(", ")
            ),
            "Add them to the endpoint in Stripe's dashboard, or let it be sent all.",
        );
    }
    match one.api_version.as_deref() {
        Some(API_VERSION) => {
            Check::ok(NAME, format!("{} is enabled, with every event, in {API_VERSION}", one.id))
        }
        other => Check::warning(
            NAME,
            format!(
                "{} is sent events in {}, and this release was checked against {API_VERSION}",
                one.id,
                other.unwrap_or("the account's default version")
            ),
            "It works, since events are only hints; make a new endpoint with that version when you can.",
        ),
    }
}

/// Whether signed webhooks arrive: the only proof that the secret is the right one.
pub(super) fn received(newest: Option<Timestamp>, now: Timestamp) -> Check {
    const NAME: &str = "webhooks_received";
    match newest {
        None => Check::warning(
            NAME,
            "no webhook has been accepted lately, so nothing shows that the signing secret is the right one",
            "Send one: stripe trigger customer.created, or change a customer in the dashboard; then look again.",
        ),
        Some(at) if now.since(at) > 7 * DAY_MS => Check::warning(
            NAME,
            format!("the last webhook was accepted at {at}"),
            "On a quiet account this is fine; else look at the endpoint's deliveries in Stripe's dashboard.",
        ),
        Some(at) => Check::ok(NAME, format!("the last webhook was accepted at {at}")),
    }
}

/// The catalog, the portal and tax at the provider.
pub(super) fn shop(plan: &ShopPlan) -> [Check; 3] {
    let of_portal = |step: &&Step| matches!(step, Step::CreatePortal { .. } | Step::UpdatePortal { .. });
    let sells = |step: &&Step| matches!(step, Step::CreatePrice { .. } | Step::CreateProduct { .. });
    let words = |steps: &[&Step]| steps.iter().map(|step| step.in_words()).collect::<Vec<_>>().join("; ");
    let catalog: Vec<&Step> = plan.steps.iter().filter(|step| !of_portal(step)).collect();
    let portal: Vec<&Step> = plan.steps.iter().filter(of_portal).collect();
    let mend = "quittance catalog diff, then quittance catalog push";
    let first = if catalog.iter().any(sells) {
        Check::failed(
            "catalog",
            format!("what the catalog sells is not at the provider: {}", words(&catalog)),
            mend,
        )
    } else if let Some(finding) = plan.findings.first() {
        let what = format!("{} findings; first: {}: {}", plan.findings.len(), finding.about, finding.what);
        Check::warning("catalog", what, finding.mend.clone())
    } else if catalog.is_empty() {
        Check::ok("catalog", "the provider sells what the catalog says")
    } else {
        Check::warning("catalog", format!("the provider differs: {}", words(&catalog)), mend)
    };
    let second = if portal.is_empty() {
        Check::ok("portal", "the customer portal is as configured")
    } else {
        Check::warning("portal", format!("the customer portal differs: {}", words(&portal)), mend)
    };
    [first, second, tax(plan)]
}

/// Whether prices say of tax at the provider what the catalog says of it, and what is charged is what they say.
fn tax(plan: &ShopPlan) -> Check {
    match plan.tax.as_slice() {
        [] => Check::ok(
            "tax",
            "prices say of tax what the catalog says; checkouts charge them as they are, and ask for no tax to be computed",
        ),
        [one] => Check::warning("tax", format!("{}: {}", one.about, one.what), one.mend.clone()),
        [first, ..] => Check::warning(
            "tax",
            format!("{} prices; first: {}: {}", plan.tax.len(), first.about, first.what),
            first.mend.clone(),
        ),
    }
}

/// Whether the address that customers are sent to leads here.
pub(super) fn reached(url: &str, answer: Result<u16, String>) -> Check {
    const NAME: &str = "public_url";
    match answer {
        Ok(200) => Check::ok(NAME, format!("{url} answers")),
        Ok(status) => Check::failed(
            NAME,
            format!("{url}/healthz answers {status}"),
            "Let your proxy pass everything under it to this server, /webhooks/stripe first.",
        ),
        Err(why) => Check::warning(
            NAME,
            format!("{url} cannot be reached from here: {why}"),
            "Start the server; then check DNS, the proxy and its certificate.",
        ),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
