//! Fills the view of the control page.

use crate::faults::{Fault, Lost};
use crate::model::checkout::SessionStatus;
use crate::model::event::{Event, Fate};
use crate::model::test_clock::ClockState;
use crate::pages::{
    ControlView, CustomerRow, DeliveryPolicyView, DeliveryRow, DeliveryState, EventRow, FaultRow, Frame,
    OpenSessionRow, SubscriptionRow, SubscriptionStatus, TimeLineRow,
};
use crate::state::world::World;
use crate::webhooks::policy::share;

/// How much of each list the page shows.
const EVENTS: usize = 50;
const CUSTOMERS: usize = 30;
const CLOCKS: usize = 30;

/// The whole control page.
pub(super) fn control_view(world: &World, frame: Frame, notice: Option<String>, speed: u32) -> ControlView {
    ControlView {
        frame,
        notice,
        time_lines: time_lines(world),
        speed,
        speed_action: "/_sandbox/ui/speed".to_owned(),
        new_clock_action: "/_sandbox/ui/clocks".to_owned(),
        events: world.events.iter().rev().take(EVENTS).map(|event| event_row(world, event)).collect(),
        events_total: world.events.len(),
        policy: policy(world),
        endpoints: world.endpoints.iter().map(|endpoint| (endpoint.url.clone(), endpoint.enabled)).collect(),
        faults: world.faults.iter().enumerate().map(|(index, fault)| fault_row(index, fault)).collect(),
        fault_action: "/_sandbox/ui/faults".to_owned(),
        fault_clear_action: "/_sandbox/ui/faults/clear".to_owned(),
        open_sessions: open_sessions(world),
        customers: customers(world),
        reset_action: "/_sandbox/ui/reset".to_owned(),
    }
}

/// The account's own time, then the newest test clocks.
fn time_lines(world: &World) -> Vec<TimeLineRow> {
    let own = TimeLineRow {
        name: Some("The sandbox's own time".to_owned()),
        id: None,
        now: world.own_now(),
        customers: None,
        advancing: false,
        next_renewal: world.renewal_due(None),
        travel_action: "/_sandbox/ui/travel".to_owned(),
        delete_action: None,
    };
    let clocks = world.test_clocks.iter().rev().take(CLOCKS).map(|clock| TimeLineRow {
        name: clock.name.clone(),
        id: Some(clock.id.clone()),
        now: clock.now,
        customers: Some(world.customers_of_clock(&clock.id).filter(|(_, deleted)| !deleted).count()),
        advancing: clock.state != ClockState::Ready,
        next_renewal: world.renewal_due(Some(&clock.id)),
        travel_action: format!("/_sandbox/ui/clocks/{}/travel", clock.id),
        delete_action: Some(format!("/_sandbox/ui/clocks/{}/delete", clock.id)),
    });
    std::iter::once(own).chain(clocks).collect()
}

fn event_row(world: &World, event: &Event) -> EventRow {
    let deliveries = event
        .notes
        .iter()
        .map(|(endpoint, note)| DeliveryRow {
            url: note.url.clone(),
            attempts: note.attempts,
            state: match note.fate {
                Fate::Waiting => {
                    DeliveryState::Pending { at: world.deliveries.next_attempt(&event.id, endpoint) }
                }
                Fate::Answered(status) if (200..300).contains(&status) => DeliveryState::Delivered { status },
                Fate::Answered(status) => DeliveryState::Failed { status: Some(status) },
                Fate::Failed => DeliveryState::Failed { status: None },
                Fate::Dropped => DeliveryState::Dropped,
            },
        })
        .collect();
    EventRow {
        id: event.id.clone(),
        kind: event.kind.clone(),
        created: event.created,
        object_id: event
            .object
            .value()
            .get("id")
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        deliveries,
        deliver_action: format!("/_sandbox/ui/events/{}/deliver", event.id),
    }
}

fn percent(probability: f64) -> u32 {
    (0..=100).find(|percent| share(*percent) >= probability).unwrap_or(100)
}

fn policy(world: &World) -> DeliveryPolicyView {
    let policy = &world.policy;
    DeliveryPolicyView {
        duplicate_percent: percent(policy.duplicate),
        shuffle_percent: percent(policy.shuffle),
        drop_percent: percent(policy.drop),
        delay_seconds: if policy.delay > 0.0 { policy.max_delay_seconds } else { 0 },
        seed: policy.seed.unwrap_or(0),
        paused: policy.paused,
        held: if policy.paused { world.deliveries.len() } else { 0 },
        action: "/_sandbox/ui/policy".to_owned(),
        pause_action: "/_sandbox/ui/pause".to_owned(),
    }
}

fn fault_row(index: usize, fault: &Fault) -> FaultRow {
    let mut words: Vec<String> = Vec::new();
    if let Some(status) = fault.status {
        words.push(match &fault.code {
            Some(code) => format!("{status} {code}"),
            None => status.to_string(),
        });
    }
    if fault.after_commit {
        words.push("after the commit".to_owned());
    }
    match fault.lost {
        Some(Lost::Before) => words.push("lost before the commit".to_owned()),
        Some(Lost::After) => words.push("lost after the commit".to_owned()),
        None => {}
    }
    if fault.latency_ms > 0 {
        words.push(format!("{} ms late", fault.latency_ms));
    }
    FaultRow {
        id: index.to_string(),
        path: fault.path.clone(),
        effect: words.join(", "),
        remaining: fault.count,
    }
}

fn open_sessions(world: &World) -> Vec<OpenSessionRow> {
    let open =
        world.sessions.iter().rev().filter(|session| session.status == SessionStatus::Open).take(EVENTS);
    open.map(|session| OpenSessionRow {
        id: session.id.clone(),
        path: format!("/c/pay/{}", session.id),
        description: session
            .lines
            .first()
            .map_or_else(|| world.merchant.clone(), |line| line.description.clone()),
        expires_at: session.expires_at,
    })
    .collect()
}

fn customers(world: &World) -> Vec<CustomerRow> {
    let newest = world.customers.iter().rev().filter(|customer| !customer.deleted).take(CUSTOMERS);
    newest
        .map(|customer| CustomerRow {
            id: customer.id.clone(),
            app_id: customer.metadata.values().next().cloned(),
            email: customer.email.clone(),
            clock: customer.test_clock.as_ref().map(|id| {
                world.test_clocks.get(id).and_then(|clock| clock.name.clone()).unwrap_or_else(|| id.clone())
            }),
            now: world.now_of(Some(&customer.id)),
            subscriptions: world
                .subscriptions
                .of(&customer.id)
                .rev()
                .filter_map(|subscription| subscription_row(world, subscription))
                .collect(),
            portal_action: Some(format!("/_sandbox/ui/customers/{}/portal", customer.id)),
        })
        .collect()
}

fn subscription_row(
    world: &World,
    subscription: &crate::model::subscription::Subscription,
) -> Option<SubscriptionRow> {
    let price = subscription.items.first().and_then(|item| world.prices.get(&item.price));
    Some(SubscriptionRow {
        id: subscription.id.clone(),
        name: price.map(|price| world.product_name(price)).unwrap_or_default(),
        status: SubscriptionStatus::from_wire(subscription.status.as_str())?,
        period_end: subscription.period.end,
        cancel_at: subscription.cancel_at,
    })
}
