//! Counting what customers use: events come in, are counted a little later, and add up per meter and customer.
//!
//! Knows nothing of prices and invoices. Of an event that comes alone, what is wrong with it is said at once, so that no
//! usage is lost in silence; of those in a stream ([`super::stream`]) it is reported afterwards, as by the provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stream::Streams;
use crate::model::decimal::Decimal;
use crate::model::meter::{Formula, Meter, MeterEvent, TimeWindow};
use crate::model::subscription::Period;
use crate::state::table::Table;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};

/// An event is counted this long after it was reported, in seconds: whoever reads at once does not see it yet.
pub(super) const COUNTED_AFTER: i64 = 5;
/// How long an identifier stays taken, and an event can be cancelled, in seconds.
const KNOWN_FOR: i64 = 86_400;
/// How old an event may be when it is reported, in seconds.
const OLDEST: i64 = 35 * 86_400;
/// How far ahead the caller's clock may be, in seconds.
const AHEAD: i64 = 300;
/// Values have up to this many digits, before and after the point, zeros at the front left out (changelog 2026-04-22,
/// billing meter event values validation).
const MOST_DIGITS: usize = 15;

/// Meters and what they counted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Metering {
    pub(crate) meters: Table<Meter>,
    events: Table<MeterEvent>,
    /// The newest event of each identifier.
    identifiers: BTreeMap<String, String>,
    /// Who may stream, and what was wrong with what they sent.
    pub(super) streams: Streams,
}

/// An event as it was reported.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    pub(crate) event_name: String,
    pub(crate) identifier: Option<String>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) payload: BTreeMap<String, String>,
}

/// Why an event is not counted.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    /// The word for it in reports; the errors of requests have no such codes.
    pub(super) code: &'static str,
    param: String,
    pub(super) message: String,
    /// The meter that it was for, where there is one.
    pub(super) meter: Option<String>,
}

impl From<Wrong> for ApiError {
    fn from(wrong: Wrong) -> Self {
        let Wrong { code, param, message, meter: _ } = wrong;
        Self::rule(format!("{message} The event is not counted ({code}).")).param(&param)
    }
}

fn wrong(code: &'static str, param: &str, message: String) -> Wrong {
    Wrong { code, param: param.to_owned(), message, meter: None }
}

/// What an event says, once it is known to be right.
pub(super) struct Readable {
    meter: Meter,
    customer: String,
    value: Decimal,
    timestamp: i64,
    /// When it was reported, by the time of its customer, in unix seconds.
    received: i64,
}

fn read_value(meter: &Meter, payload: &BTreeMap<String, String>) -> Result<Decimal, Wrong> {
    let text = match (meter.formula, payload.get(&meter.value_key)) {
        (Formula::Count, _) => return Ok(Decimal::from(1)),
        (Formula::Sum | Formula::Last, text) => text.map_or("", String::as_str),
    };
    let param = format!("payload[{}]", meter.value_key);
    let digits = text.trim_start_matches('-').replace('.', "");
    if digits.trim_start_matches('0').len() > MOST_DIGITS {
        let message =
            format!("The value in the event payload can have at most {MOST_DIGITS} digits. Received {text}.");
        return Err(wrong("meter_event_value_too_many_digits", &param, message));
    }
    Decimal::try_from(text.to_owned()).map_err(|_| {
        let message = format!("The value must be a number with up to 12 decimal places; got '{text}'.");
        wrong("meter_event_invalid_value", &param, message)
    })
}

impl Metering {
    /// The active meter of an event name.
    pub(crate) fn active(&self, event_name: &str) -> Option<&Meter> {
        self.meters.iter().find(|meter| meter.event_name == event_name && meter.is_active())
    }

    fn meter_for(&self, event_name: &str) -> Result<Meter, Wrong> {
        self.active(event_name).cloned().ok_or_else(|| {
            match self.meters.iter().find(|meter| meter.event_name == event_name) {
                Some(meter) => Wrong {
                    meter: Some(meter.id.clone()),
                    ..wrong(
                        "archived_meter",
                        "event_name",
                        format!("The meter for `{event_name}` is inactive."),
                    )
                },
                None => {
                    wrong("no_meter", "event_name", format!("No meter has the event name `{event_name}`."))
                }
            }
        })
    }

    /// A customer's events that count by an instant; of a pre-aggregated window, only the newest.
    fn counted(&self, meter: &Meter, customer: &str, now: i64) -> Vec<&MeterEvent> {
        let counts = |event: &&MeterEvent| {
            event.meter == meter.id && !event.cancelled && event.received + COUNTED_AFTER <= now
        };
        let all = self.events.of(customer).filter(counts);
        let Some(window) = meter.time_window.map(TimeWindow::seconds) else {
            return all.collect();
        };
        let newest: BTreeMap<i64, &MeterEvent> =
            all.map(|event| (event.timestamp.div_euclid(window), event)).collect();
        newest.into_values().collect()
    }

    /// What a customer used from the start of a period up to, and without, its end.
    pub(crate) fn usage(&self, meter: &Meter, customer: &str, period: Period, now: i64) -> Decimal {
        let within = |event: &&&MeterEvent| (period.start..period.end).contains(&event.timestamp);
        aggregate(meter.formula, self.counted(meter, customer, now).iter().filter(within).copied())
    }

    /// What a customer used in each window of a period in which there is any event, newest first.
    pub(crate) fn usage_by_window(
        &self,
        meter: &Meter,
        customer: &str,
        period: Period,
        window: TimeWindow,
        now: i64,
    ) -> Vec<(Period, Decimal)> {
        let seconds = window.seconds();
        let mut windows: BTreeMap<i64, Vec<&MeterEvent>> = BTreeMap::new();
        for event in self.counted(meter, customer, now) {
            if (period.start..period.end).contains(&event.timestamp) {
                windows.entry(event.timestamp.div_euclid(seconds)).or_default().push(event);
            }
        }
        let span = |window: i64| Period { start: window * seconds, end: (window + 1) * seconds };
        windows
            .into_iter()
            .rev()
            .map(|(window, events)| (span(window), aggregate(meter.formula, events.into_iter())))
            .collect()
    }
}

fn aggregate<'a>(formula: Formula, events: impl Iterator<Item = &'a MeterEvent>) -> Decimal {
    let none = Decimal::from(0);
    match formula {
        Formula::Count => Decimal::from(i64::try_from(events.count()).unwrap_or(i64::MAX)),
        Formula::Sum => events.fold(none, |sum, event| sum.plus(event.value)),
        // Of several at the same instant, the one that was reported last.
        Formula::Last => events.max_by_key(|event| event.timestamp).map_or(none, |event| event.value),
    }
}

impl World {
    /// The newest event of an identifier, while the identifier is known.
    fn known_event(&self, identifier: &str) -> Option<&MeterEvent> {
        let event = self.metering.identifiers.get(identifier);
        let event = event.and_then(|id| self.metering.events.get(id))?;
        (self.now_of(Some(&event.customer)) - event.received < KNOWN_FOR).then_some(event)
    }

    /// Reads an event, or says what is wrong with it.
    pub(super) fn read_usage(&self, reported: &Reported) -> Result<Readable, Wrong> {
        let meter = self.metering.meter_for(&reported.event_name)?;
        let id = meter.id.clone();
        self.read_for(meter, reported).map_err(|wrong| Wrong { meter: Some(id), ..wrong })
    }

    fn read_for(&self, meter: Meter, reported: &Reported) -> Result<Readable, Wrong> {
        let param = format!("payload[{}]", meter.customer_key);
        let customer = reported.payload.get(&meter.customer_key).cloned().unwrap_or_default();
        if customer.is_empty() {
            let message = format!("The payload has no `{}`.", meter.customer_key);
            return Err(wrong("meter_event_no_customer_defined", &param, message));
        }
        if self.customers.get(&customer).is_none_or(|customer| customer.deleted) {
            let message = format!("No such customer: '{customer}'.");
            return Err(wrong("meter_event_customer_not_found", &param, message));
        }
        // Customers of a test clock use and report by its time.
        let received = self.now_of(Some(&customer));
        let timestamp = reported.timestamp.unwrap_or(received);
        if timestamp > received + AHEAD {
            let message = "An event may be up to 5 minutes ahead.".to_owned();
            return Err(wrong("timestamp_in_future", "timestamp", message));
        }
        if timestamp < received - OLDEST {
            let message = "An event may be up to 35 days old.".to_owned();
            return Err(wrong("timestamp_too_far_in_past", "timestamp", message));
        }
        let value = read_value(&meter, &reported.payload)?;
        Ok(Readable { meter, customer, value, timestamp, received })
    }

    /// Takes an event; it is counted a little later.
    pub(crate) fn record_usage(&mut self, reported: Reported) -> ApiResult<MeterEvent> {
        let readable = self.read_usage(&reported)?;
        self.keep_usage(readable, reported)
    }

    /// Keeps an event that was found right, unless its identifier is taken.
    pub(super) fn keep_usage(&mut self, readable: Readable, reported: Reported) -> ApiResult<MeterEvent> {
        let identifier = reported.identifier.unwrap_or_else(|| self.chance.text(32));
        if self.known_event(&identifier).is_some() {
            let message = format!("An event already exists with identifier {identifier}.");
            return Err(ApiError::state("resource_already_exists", message).param("identifier"));
        }
        let event = MeterEvent {
            id: self.metering.events.made().to_string(),
            identifier: identifier.clone(),
            meter: readable.meter.id,
            event_name: reported.event_name,
            customer: readable.customer,
            value: readable.value,
            timestamp: readable.timestamp,
            received: readable.received,
            cancelled: false,
            payload: reported.payload,
        };
        self.metering.identifiers.insert(identifier, event.id.clone());
        self.metering.events.put(event.clone());
        Ok(event)
    }

    /// Takes an event back, within a day of its report. What was billed stays billed.
    pub(crate) fn cancel_usage(&mut self, event_name: &str, identifier: &str) -> ApiResult<()> {
        let known = self
            .known_event(identifier)
            .filter(|event| event.event_name == event_name && !event.cancelled)
            .map(|event| event.id.clone());
        let id = known.ok_or_else(|| {
            ApiError::missing("meter event of the last 24 hours", identifier, "cancel[identifier]")
        })?;
        self.metering.events.edit(&id, |event| event.cancelled = true);
        Ok(())
    }
}
