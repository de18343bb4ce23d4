//! The engine against the sandbox, in one process, on both databases, with time and faults in hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests stop at the first surprise"
)]

#[path = "it/alerts.rs"]
mod alerts;
#[path = "it/app_events.rs"]
mod app_events;
#[path = "it/app_kit.rs"]
mod app_kit;
#[path = "it/app_webhooks.rs"]
mod app_webhooks;
#[path = "it/calls.rs"]
mod calls;
#[path = "it/changes.rs"]
mod changes;
#[path = "it/deliveries.rs"]
mod deliveries;
#[path = "it/disputes.rs"]
mod disputes;
#[path = "it/drift.rs"]
mod drift;
#[path = "it/drift_limits.rs"]
mod drift_limits;
#[path = "it/drift_own.rs"]
mod drift_own;
#[path = "it/dunning.rs"]
mod dunning;
#[path = "it/erasure.rs"]
mod erasure;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/feed.rs"]
mod feed;
#[path = "it/fraud.rs"]
mod fraud;
#[path = "it/freshness.rs"]
mod freshness;
#[path = "it/house.rs"]
mod house;
#[path = "it/import.rs"]
mod import;
#[path = "it/keyed.rs"]
mod keyed;
#[path = "it/known_a.rs"]
mod known_a;
#[path = "it/known_a20.rs"]
mod known_a20;
#[path = "it/known_a22.rs"]
mod known_a22;
#[path = "it/known_a26.rs"]
mod known_a26;
#[path = "it/known_b.rs"]
mod known_b;
#[path = "it/known_e.rs"]
mod known_e;
#[path = "it/known_kit.rs"]
mod known_kit;
#[path = "it/leaps.rs"]
mod leaps;
#[path = "it/ledger.rs"]
mod ledger;
#[path = "it/ledger_corrections.rs"]
mod ledger_corrections;
#[path = "it/life.rs"]
mod life;
#[path = "it/light.rs"]
mod light;
#[path = "it/lives.rs"]
mod lives;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/notices.rs"]
mod notices;
#[path = "it/once.rs"]
mod once;
#[path = "it/orders.rs"]
mod orders;
#[path = "it/paid_periods.rs"]
mod paid_periods;
#[path = "it/permutations.rs"]
mod permutations;
#[path = "it/planned.rs"]
mod planned;
#[path = "it/policy_preview.rs"]
mod policy_preview;
#[path = "it/portal_offers.rs"]
mod portal_offers;
#[path = "it/portal_parity.rs"]
mod portal_parity;
#[path = "it/priced_changes.rs"]
mod priced_changes;
#[path = "it/pricing.rs"]
mod pricing;
#[path = "it/quotes.rs"]
mod quotes;
#[path = "it/races.rs"]
mod races;
#[path = "it/refunds.rs"]
mod refunds;
#[path = "it/retention.rs"]
mod retention;
#[path = "it/shadow.rs"]
mod shadow;
#[path = "it/shop.rs"]
mod shop;
#[path = "it/suspensions.rs"]
mod suspensions;
#[path = "it/sweeps.rs"]
mod sweeps;
#[path = "it/taken.rs"]
mod taken;
#[path = "it/tie_out.rs"]
mod tie_out;
#[path = "it/tokens.rs"]
mod tokens;
#[path = "it/trials.rs"]
mod trials;
#[path = "it/turns.rs"]
mod turns;
#[path = "it/year.rs"]
mod year;
