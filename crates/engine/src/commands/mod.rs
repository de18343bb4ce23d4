//! Commands: changes that we ask a provider to make (engine.md section 4).
//!
//! Written down before they are sent; sent with a key derived from what is wanted; an unknown outcome is
//! resolved by sending again or by looking, never by assuming. Whoever wants the same thing at the same
//! time shares one command, and commands on one object go one after the other. What is decided here is decided
//! by `quittance_domain::command`.

mod collect;
mod deletion;
mod dispute;
mod execute;
pub(crate) mod plan;
mod record;
mod refund;
pub mod request;
mod suspension;

use quittance_domain::command::{
    AfterTrouble, Sending, Verdict, Wish, after_trouble, joins, later_key, sending,
};
use quittance_domain::ids::LeaseToken;
use quittance_domain::{CommandId, CustomerId, Timestamp};
use quittance_store::Tx;
use quittance_store::commands::{self, CommandRow, CommandState, NewCommand, Outcome};
use quittance_store::outbox::{self, NewAlert};
use quittance_stripe::error::{ErrorKind, StripeError};
use serde_json::Value;

use crate::engine::Engine;
use crate::problem::{Money, Problem, ProblemCode};
use crate::telemetry;
use crate::world::Point;
use execute::Setback;
use request::{Request, Which, asked_id};

/// How long a caller waits for a command, in milliseconds.
pub(crate) const PATIENCE_MS: i64 = 20_000;
/// First and longest pause between looks at a command that somebody else works on, in milliseconds: it grows by half
/// each time, so that a caller learns of the end soon and a slow provider costs few looks.
const LOOK_MS: (u64, u64) = (25, 400);
/// Pause before a caller's own second try, in milliseconds.
const RETRY_PAUSE_MS: u64 = 250;

fn judge(error: &StripeError) -> Verdict {
    match error.kind() {
        ErrorKind::NotFound { .. } | ErrorKind::InvalidRequest { .. } | ErrorKind::Card { .. } => {
            Verdict::Refused
        }
        ErrorKind::Authentication
        | ErrorKind::Permission
        | ErrorKind::WrongMode
        | ErrorKind::IdempotencyMismatch
        | ErrorKind::ReadOnly
        | ErrorKind::Shape(_) => Verdict::Stuck,
        ErrorKind::RateLimited
        | ErrorKind::LockTimeout
        | ErrorKind::Conflict
        | ErrorKind::Provider
        | ErrorKind::OutcomeUnknown
        | ErrorKind::NotSent
        | ErrorKind::Throttled
        | ErrorKind::CircuitOpen
        | ErrorKind::Malformed => Verdict::Again,
    }
}

impl Engine {
    /// Writes a command down in its own transaction.
    #[crate::boxed]
    pub(crate) async fn want(
        &self,
        request: &Request,
        aggregate: Option<&str>,
        customer: Option<&CustomerId>,
    ) -> Result<CommandId, Problem> {
        self.want_asked(request, aggregate, customer, None).await
    }

    /// As [`Engine::want`]; with the seed of a caller's idempotency key, the command is bound to that key instead.
    #[crate::boxed]
    pub(crate) async fn want_asked(
        &self,
        request: &Request,
        aggregate: Option<&str>,
        customer: Option<&CustomerId>,
        asked: Option<&str>,
    ) -> Result<CommandId, Problem> {
        self.refuse_in_shadow()?;
        let (request, instance, now) = (request.clone(), self.instance().to_owned(), self.now());
        let (asked, engine) = (asked.map(str::to_owned), self.clone());
        let (aggregate, customer) = (aggregate.map(str::to_owned), customer.cloned());
        let id = self
            .db()
            .write("commands.want", move |tx| {
                if let Some(customer) = &customer {
                    quittance_store::customers::lock(tx, customer)?;
                }
                let which = match &asked {
                    Some(seed) => Which::Asked(seed),
                    None => match place(tx, &request)? {
                        Place::Joins(id) => return Ok(id),
                        Place::Turn(turn) => Which::Turn(turn),
                    },
                };
                let command: NewCommand =
                    request.command(&instance, aggregate.as_deref(), customer.as_ref(), which)?;
                engine.write_down(tx, &command, now)?;
                Ok(command.id())
            })
            .await
            .map_err(|error| under_way(error.into()))?;
        self.world().point(Point::CommandWanted).await;
        Ok(id)
    }

    /// The command that was written down when a caller asked for this under its idempotency key before.
    #[crate::boxed]
    pub(crate) async fn asked_before(
        &self,
        kind: &str,
        asked: Option<&str>,
    ) -> Result<Option<CommandId>, Problem> {
        let Some(seed) = asked else { return Ok(None) };
        let id = asked_id(self.instance(), kind, seed);
        let row = self.db().read("commands.asked", move |tx| commands::get(tx, &id)).await?;
        Ok(row.map(|row| row.id))
    }

    /// Carries a command out, or waits for whoever does, and returns the provider's answer.
    ///
    /// # Errors
    /// The provider's refusal, or `outcome_pending` when it takes longer than a caller waits: it is then
    /// finished in the background.
    #[crate::boxed]
    pub(crate) async fn perform(&self, id: &CommandId) -> Result<Value, Problem> {
        self.try_until_over(id).await.map_err(under_way)
    }

    async fn try_until_over(&self, id: &CommandId) -> Result<Value, Problem> {
        let deadline = self.now().plus_ms(PATIENCE_MS);
        let (mut own_tries, mut look_ms) = (0_u8, LOOK_MS.0);
        loop {
            match self.try_once(id).await? {
                Try::Over(row) if row.id == *id => return ending(&row),
                // An older command on the same object: ours is next.
                Try::Over(_) => {}
                Try::Stopped(problem) => return Err(problem),
                Try::Elsewhere => {
                    self.world().sleep(look_ms).await;
                    look_ms = (look_ms + look_ms / 2).min(LOOK_MS.1);
                }
                Try::Failed(error) => {
                    own_tries += 1;
                    if own_tries >= 3 {
                        return Err(error.into());
                    }
                    let wait = error.retry_after_ms().unwrap_or(RETRY_PAUSE_MS).min(2_000);
                    self.world().sleep(wait.max(1)).await;
                }
            }
            if self.now() >= deadline {
                return Err(outcome_pending().retry_after(2));
            }
        }
    }

    /// Carries out commands that are due: those of the outbox, and those whose caller went away.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn perform_due(&self, limit: i64) -> Result<usize, Problem> {
        if self.in_shadow() {
            return Ok(0);
        }
        let now = self.now();
        let due = self.db().read("commands.due", move |tx| commands::due(tx, now, limit)).await?;
        for id in &due {
            self.try_once(id).await?;
        }
        Ok(due.len())
    }

    /// Tries a command, or the one on the same object that it waits for.
    #[crate::boxed]
    async fn try_once(&self, id: &CommandId) -> Result<Try, Problem> {
        let (token, now) = (LeaseToken::from_random(self.world().random()), self.now());
        let (command, lease) = (id.clone(), token.clone());
        let until = now.plus_ms(self.settings().retry.lease_ms);
        let claimed = self
            .db()
            .write("commands.claim", move |tx| {
                let head = commands::head(tx, &command)?.unwrap_or_else(|| command.clone());
                match commands::claim(tx, &head, &lease, now, until)? {
                    Some(row) => Ok((Some(row), None)),
                    None => Ok((None, commands::get(tx, &head)?)),
                }
            })
            .await?;
        let row = match claimed {
            (Some(row), _) => row,
            (None, Some(row)) if row.state == CommandState::Pending => return Ok(Try::Elsewhere),
            (None, Some(row)) => return Ok(Try::Over(Box::new(row))),
            (None, None) => return Err(Problem::not_found("command")),
        };
        self.world().point(Point::CommandClaimed).await;
        let request = Request::read(&row)?;
        let maybe_sent = may_have_been_sent(&row, now);
        let to_be_found = maybe_sent && request.must_be_found();
        if let (Some(level), Some(customer), false) = (request.stopped_at(), &row.customer, to_be_found)
            && let Some(problem) = self.shut_out_at(customer, level).await?
        {
            return self.refuse(&row, &token, &problem, maybe_sent, None).await;
        }
        let later = match sending(row.first_sent_at, self.now()) {
            Sending::SameKey => None,
            Sending::LookUp { turn } => Some(later_key(&row.idempotency_key, turn)),
            Sending::Wait { until } => return self.wait_for_key(&row, &token, until).await,
        };
        let result = self.execute(&row, &request, later).await;
        self.world().point(Point::CommandAnswered).await;
        match result {
            Ok(answer) => {
                let held = self.record_success(&row, &request, &token, answer).await?;
                self.world().point(Point::CommandRecorded).await;
                telemetry::command(&row.kind, "succeeded");
                if held { self.over(&row.id).await } else { Ok(Try::Elsewhere) }
            }
            // Nothing was sent. The lease runs out, and the command is tried again.
            Err(Setback::Ours(problem)) => Err(problem),
            Err(Setback::Refused(problem)) => {
                let alert = request.mends().then(|| refused_alert(&row, &problem.detail));
                self.refuse(&row, &token, &problem, maybe_sent, alert).await
            }
            Err(Setback::Theirs(error)) => self.record_trouble(&row, &token, error).await,
        }
    }

    /// Ends a command that must not be sent: what it is about has changed since it was written down. One that an earlier try may have
    /// sent may have had its effect: that is unknown until the look that follows.
    async fn refuse(
        &self,
        row: &CommandRow,
        token: &LeaseToken,
        problem: &Problem,
        maybe_sent: bool,
        alert: Option<NewAlert>,
    ) -> Result<Try, Problem> {
        let problem = if maybe_sent { maybe_done(problem) } else { problem.clone() };
        let body = kept(&problem);
        let outcome = Outcome::Failed(body.to_string(), problem.detail.clone());
        let (id, aggregate, lease, now) = (row.id.clone(), row.aggregate.clone(), token.clone(), self.now());
        self.db()
            .write("commands.refuse", move |tx| {
                if let Some(alert) = &alert {
                    outbox::raise(tx, alert, now)?;
                }
                let held = commands::finish(tx, &id, &lease, &outcome, now)?;
                if let Some(key) = aggregate.as_deref().filter(|_| held) {
                    record::look_again(tx, key, false, now)?;
                }
                Ok(held)
            })
            .await?;
        telemetry::command(&row.kind, "failed");
        self.over(&row.id).await
    }

    async fn over(&self, id: &CommandId) -> Result<Try, Problem> {
        let command = id.clone();
        let row = self.db().read("commands.get", move |tx| commands::get(tx, &command)).await?;
        row.map(|row| Try::Over(Box::new(row))).ok_or_else(|| Problem::not_found("command"))
    }

    /// Gives a command back whose key is about to turn: what was sent with the old one must have arrived before
    /// anybody looks for it.
    async fn wait_for_key(
        &self,
        row: &CommandRow,
        token: &LeaseToken,
        until: Timestamp,
    ) -> Result<Try, Problem> {
        let (id, lease) = (row.id.clone(), token.clone());
        let reason = row.last_error.clone().unwrap_or_else(|| "its key is about to be forgotten".into());
        self.db()
            .write("commands.wait_for_key", move |tx| commands::retry(tx, &id, &lease, until, &reason))
            .await?;
        let wait = u32::try_from(until.since(self.now()) / 1_000).unwrap_or(1).max(1);
        Ok(Try::Stopped(outcome_pending().retry_after(wait)))
    }

    async fn record_trouble(
        &self,
        row: &CommandRow,
        token: &LeaseToken,
        error: StripeError,
    ) -> Result<Try, Problem> {
        let (now, text) = (self.now(), error.to_string());
        let attempts = u32::try_from(row.attempts).unwrap_or(u32::MAX);
        let request: Option<Request> = serde_json::from_str(&row.request).ok();
        let mends = request.as_ref().is_some_and(Request::mends);
        let next = after_trouble(
            judge(&error),
            if mends { Wish::Mending } else { Wish::Asked },
            &self.settings().retry,
            attempts,
            error.retry_after_ms().and_then(|ms| i64::try_from(ms).ok()),
            self.world().chance(),
            now,
        );
        tracing::warn!(
            command = row.id.as_str(),
            kind = row.kind,
            customer = row.customer,
            error = text,
            "command failed"
        );
        let refusal = Problem::from(error.clone());
        let body = kept(&refusal);
        let (command, lease) = (row.clone(), token.clone());
        let ordinary = request.as_ref().is_some_and(Request::may_be_refused);
        self.db()
            .write("commands.record_trouble", move |tx| match next {
                AfterTrouble::Fail => {
                    let outcome = Outcome::Failed(body.to_string(), text.clone());
                    // Nobody waits for the answer of what we mend by ourselves.
                    if mends {
                        outbox::raise(tx, &refused_alert(&command, &text), now)?;
                    }
                    let held = commands::finish(tx, &command.id, &lease, &outcome, now)?;
                    if held && mends {
                        outbox::resolve(tx, FAILING, command.id.as_str(), now)?;
                    }
                    if let Some(key) = command.aggregate.as_deref().filter(|_| ordinary && held) {
                        record::look_again(tx, key, false, now)?;
                    }
                    Ok(held)
                }
                AfterTrouble::RetryAt(next) => commands::retry(tx, &command.id, &lease, next, &text),
                AfterTrouble::TellAndRetryAt(next) => {
                    let held = commands::retry(tx, &command.id, &lease, next, &text)?;
                    if held {
                        outbox::raise(tx, &failing_alert(&command, &text), now)?;
                    }
                    Ok(held)
                }
                AfterTrouble::Park => {
                    outbox::raise(tx, &parked_alert(&command, &text), now)?;
                    commands::park(tx, &command.id, &lease, now, &text)
                }
            })
            .await?;
        match next {
            AfterTrouble::Fail => {
                telemetry::command(&row.kind, "failed");
                self.over(&row.id).await
            }
            AfterTrouble::RetryAt(_) | AfterTrouble::TellAndRetryAt(_) => {
                telemetry::command(&row.kind, "retried");
                Ok(Try::Failed(error))
            }
            AfterTrouble::Park => {
                telemetry::command(&row.kind, "parked");
                Ok(Try::Stopped(error.into()))
            }
        }
    }
}

/// Where a wish stands among the commands on its object.
pub(crate) enum Place {
    /// It is the newest one, and unfinished.
    Joins(CommandId),
    /// It is a new one, with this number.
    Turn(i64),
}

pub(crate) fn place(tx: &mut dyn Tx, request: &Request) -> quittance_store::Result<Place> {
    let asked = commands::asked(tx, &request.object())?;
    let newest = asked.newest.filter(|newest| {
        let same = serde_json::from_str(&newest.request).is_ok_and(|written: Request| written == *request);
        joins(newest.state, same)
    });
    Ok(newest.map_or(Place::Turn(asked.count), |row| Place::Joins(row.id)))
}

/// What a failure of our own says to whoever has asked for a command: it may be written down, and is then carried out
/// whether or not anybody waits.
pub(crate) fn under_way(problem: Problem) -> Problem {
    if !matches!(problem.code, ProblemCode::DatabaseUnavailable | ProblemCode::Overloaded) {
        return problem;
    }
    let mend = "If the request was written down it is finished in the background. Send it again with the same \
                Idempotency-Key: it is done once, never twice.";
    Problem { mend: mend.to_owned(), ..problem.money(Money::Unknown) }
}

fn outcome_pending() -> Problem {
    Problem::new(
        ProblemCode::OutcomePending,
        "The provider takes longer than usual; the request is finished in the background.",
        "Send the same request again with the same Idempotency-Key; it is finished once, never twice.",
    )
    .money(Money::Unknown)
}

/// How one try went.
enum Try {
    /// The command is over.
    Over(Box<CommandRow>),
    /// Somebody else works on it.
    Elsewhere,
    /// It failed and may be tried again.
    Failed(StripeError),
    /// Nobody need wait for it now: it is parked, or its key turns soon.
    Stopped(Problem),
}

fn ending(row: &CommandRow) -> Result<Value, Problem> {
    let body: Value =
        row.result.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    if row.state == CommandState::Succeeded {
        return Ok(body);
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let wanted = text("code");
    let code = ProblemCode::ALL.iter().copied().find(|code| code.as_str() == wanted);
    let problem = Problem::new(code.unwrap_or(ProblemCode::ProviderRefused), text("detail"), text("mend"));
    Err(match body.get("money_unknown").and_then(Value::as_bool) {
        Some(true) => problem.money(Money::Unknown),
        Some(false) | None => problem,
    })
}

/// What is kept of a problem that ended a command; [`ending`] reads it. A command that ended without its effect moved no money.
fn kept(problem: &Problem) -> Value {
    serde_json::json!({
        "code": problem.code.as_str(),
        "detail": problem.detail,
        "mend": problem.mend,
        "money_unknown": problem.money == Money::Unknown,
    })
}

/// Whether a command that was claimed at `now` may have been sent before; an operator who frees it begins counting its tries anew.
fn may_have_been_sent(row: &CommandRow, now: Timestamp) -> bool {
    row.attempts > 1 || row.first_sent_at.is_some_and(|first| first < now)
}

/// The problem of a command that is not sent again, and may have been sent before.
fn maybe_done(problem: &Problem) -> Problem {
    Problem::new(
        problem.code,
        format!("{} The request had been sent before, and its answer did not come.", problem.detail),
        "Look at the customer (GET /v1/customers/{id}) to see whether it had its effect, before anything is done again.",
    )
    .money(Money::Unknown)
}

/// The kind of alert of something that mends and has failed for longer than its budget, with the command.
pub(crate) const FAILING: &str = "command_failing";

/// Its kind, with the object that could not be mended.
pub(crate) const MENDING_REFUSED: &str = "mending_refused";

fn refused_alert(row: &CommandRow, error: &str) -> NewAlert {
    NewAlert {
        kind: MENDING_REFUSED.to_owned(),
        object: row.object.clone(),
        customer: row.customer.as_deref().and_then(|id| CustomerId::parse(id).ok()),
        aggregate: None,
        detail: format!("{} was refused: {error}; no money moved", row.kind),
        mend: "Look at it at the provider, and give back what is left: quittance refund PAYMENT. A refused one is asked for again when the customer is next synced, three times at most.".to_owned(),
    }
}

/// What mends something is wanted until it is done, so it is never parked for an outage.
fn failing_alert(row: &CommandRow, error: &str) -> NewAlert {
    NewAlert {
        kind: FAILING.to_owned(),
        object: row.id.to_string(),
        customer: row.customer.as_deref().and_then(|id| CustomerId::parse(id).ok()),
        aggregate: None,
        detail: format!(
            "{} is not carried out after {} tries, and is tried on: {error}",
            row.kind, row.attempts
        ),
        mend: "It goes on by itself as soon as the provider answers; quittance doctor tells whether it does."
            .to_owned(),
    }
}

fn parked_alert(row: &CommandRow, error: &str) -> NewAlert {
    NewAlert {
        kind: "command_parked".to_owned(),
        object: row.id.to_string(),
        customer: row.customer.as_deref().and_then(|id| CustomerId::parse(id).ok()),
        aggregate: None,
        detail: format!("{} could not be carried out: {error}", row.kind),
        mend: format!("quittance parked retry {}", row.id),
    }
}
