//! The stream of usage: many events in one request, for whoever has opened a session. What is wrong with them is not said
//! in the answer but in thin events a little later, one for each meter and one for names that no meter has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::metering::{COUNTED_AFTER, Reported, Wrong};
use crate::model::meter::Meter;
use crate::state::timers::Timer;
use crate::state::world::World;
use crate::webhooks::thin;

/// A session's token works for this long, in seconds.
const SESSION_SECONDS: i64 = 900;
/// A report shows this many events of each kind of mistake.
const MOST_SAMPLES: usize = 10;

/// Sessions of an account, and what its next reports will say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Streams {
    /// When each token stops working, in unix seconds.
    sessions: BTreeMap<String, i64>,
    /// By meter; an empty name stands for events that found none.
    reports: BTreeMap<String, Report>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Report {
    /// When the first of its events came, in unix seconds.
    since: i64,
    mistakes: Vec<Mistake>,
}

/// An event that was not counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mistake {
    code: String,
    identifier: String,
    message: String,
}

impl Report {
    /// The `data` of the event that tells of it.
    fn render(&self, until: i64) -> Value {
        let mut kinds: BTreeMap<&str, Vec<&Mistake>> = BTreeMap::new();
        for mistake in &self.mistakes {
            kinds.entry(&mistake.code).or_default().push(mistake);
        }
        let sample = |mistake: &&Mistake| {
            let request = json!({ "identifier": mistake.identifier });
            json!({ "error_message": mistake.message, "request": request })
        };
        let kinds = kinds.into_iter().map(|(code, mistakes)| {
            let samples: Vec<Value> = mistakes.iter().take(MOST_SAMPLES).map(sample).collect();
            json!({ "code": code, "error_count": mistakes.len(), "sample_errors": samples })
        });
        let count = self.mistakes.len();
        let summary = match count {
            1 => "There is 1 invalid event".to_owned(),
            count => format!("There are {count} invalid events"),
        };
        json!({
            "developer_message_summary": summary,
            "reason": { "error_count": count, "error_types": kinds.collect::<Vec<_>>() },
            "validation_end": thin::time(until),
            "validation_start": thin::time(self.since),
        })
    }
}

impl World {
    /// Opens a session for the account whose books are open.
    pub(crate) fn open_stream(&mut self) -> Value {
        let now = self.own_now();
        let until = now + SESSION_SECONDS;
        let (id, token) = (self.chance.id("mes_test_"), self.chance.id("mest_test_"));
        self.metering.streams.sessions.retain(|_, ends| *ends > now);
        self.metering.streams.sessions.insert(token.clone(), until);
        json!({
            "id": id, "object": "v2.billing.meter_event_session", "authentication_token": token,
            "created": thin::time(now), "expires_at": thin::time(until), "livemode": false,
        })
    }

    /// The account that opened the session of a token, while it lasts.
    pub(crate) fn streaming_account(&self, token: &str) -> Option<&str> {
        let now = self.own_now();
        let holds =
            |books: &&Self| books.metering.streams.sessions.get(token).is_some_and(|ends| *ends > now);
        self.all_books().find(holds).map(|books| books.account_id.as_str())
    }

    /// Takes an event of a stream. A wrong one goes into a report; one that is known already counts once.
    pub(crate) fn stream_usage(&mut self, mut reported: Reported) {
        let identifier = reported.identifier.take().unwrap_or_else(|| self.chance.text(32));
        reported.identifier = Some(identifier.clone());
        match self.read_usage(&reported) {
            Ok(readable) => {
                // The only error is an identifier that was counted before.
                let _ = self.keep_usage(readable, reported);
            }
            Err(wrong) => self.note_mistake(wrong, identifier),
        }
    }

    fn note_mistake(&mut self, wrong: Wrong, identifier: String) {
        let now = self.own_now();
        let name = wrong.meter.unwrap_or_default();
        let reports = &mut self.metering.streams.reports;
        let fresh = !reports.contains_key(&name);
        let report = reports.entry(name.clone()).or_insert(Report { since: now, mistakes: Vec::new() });
        let code = wrong.code.to_owned();
        report.mistakes.push(Mistake { code, identifier, message: wrong.message });
        if fresh {
            self.set_own_timer(now + COUNTED_AFTER, Timer::UsageReported(name));
        }
    }

    /// Tells what was wrong with the events for a meter, or with those that found none.
    pub(crate) fn report_usage(&mut self, name: &str) {
        let Some(report) = self.metering.streams.reports.remove(name) else {
            return;
        };
        let data = report.render(self.own_now());
        match self.metering.meters.get(name).map(Meter::render) {
            Some(meter) => self.emit_thin("v1.billing.meter.error_report_triggered", meter, Some(data)),
            None => self.emit_thin("v1.billing.meter.no_meter_found", Value::Null, Some(data)),
        }
    }
}
