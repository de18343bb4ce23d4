//! A webhook's body, signature aside: what becomes a row of the inbox can be stored, found again and told apart.

use quittance_domain::{AggregateKey, Mode, Provider, Scope, Timestamp};
use quittance_engine::inbox::{aggregate_of, new_event};
use quittance_stripe::event::{Event, MAX_BODY_BYTES};
use serde_json::Value;

/// Any body is either refused or becomes a row that both databases can keep, whose aggregate names its own scope.
pub fn event(body: &[u8]) {
    let own = Scope::own(Provider::Stripe, Mode::Test);
    let now = Timestamp::from_seconds(1_795_000_000);
    let row = new_event(body, &own, "webhook", now, now);
    let Ok(event) = Event::parse(body) else {
        assert!(row.is_err(), "a row of what cannot be read");
        return;
    };
    assert!(body.len() <= MAX_BODY_BYTES);
    assert_eq!(event.clone().into_owned(), event);
    let key = aggregate_of(&event, &own);
    // A slash in an id is written as `_`: what is read back is written the same, in the same scope.
    let read = AggregateKey::parse(&key.to_string()).unwrap_or_else(|| panic!("{key} cannot be read back"));
    assert_eq!(
        (&read.scope, read.to_string()),
        (&key.scope, key.to_string()),
        "{key} is read as another aggregate"
    );
    assert_eq!(key.scope.mode, Mode::from_livemode(event.livemode));
    assert_eq!(key.scope.account, event.account.as_deref().unwrap_or(Scope::OWN_ACCOUNT));
    // The payload may still hold text that is no UTF-8 where the envelope did not look.
    let Ok(row) = row else { return };
    assert_eq!(row.aggregate, key.to_string());
    let texts = [
        &row.account,
        &row.event_id,
        &row.event_type,
        &row.aggregate,
        &row.payload,
        row.object.as_ref().unwrap_or(&row.account),
        row.api_version.as_ref().unwrap_or(&row.account),
    ];
    for text in texts {
        assert!(!text.chars().any(char::is_control), "{text:?} cannot be stored everywhere");
    }
    assert!(!row.event_id.is_empty() && row.event_id.len() <= 255 && row.aggregate.len() <= 1_100);
    assert!(serde_json::from_str::<Value>(&row.payload).is_ok(), "{}", row.payload);
}
