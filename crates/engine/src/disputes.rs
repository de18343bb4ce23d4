//! Disputes: which there are and until when, the pack of evidence for one, and what an operator does about it.

use std::fmt::Write as _;

use quittance_domain::dispute::newest_that_fit;
use quittance_domain::{CustomerId, Timestamp};
use quittance_store::disputes::{self, DisputeRow};
use quittance_store::history::{self, HistoryRow, NewLine};
use quittance_store::{customers, mirror};
use serde_json::{Value, json};

use crate::api_keys::Caller;
use crate::commands::request::{Request, Which};
use crate::commands::{Place, place};
use crate::engine::Engine;
use crate::notices::Proof;
use crate::problem::{Problem, ProblemCode};
use crate::world::Point;

/// Lines of the timeline and notices in a pack at most.
const MOST_LINES: i64 = 1_000;
/// Most characters of one field of evidence; Stripe takes 20,000, and 150,000 in all.
const MOST_CHARS: usize = 15_000;
/// Most characters of an operator's own words.
const MOST_NOTE: usize = 10_000;

/// What there is to show the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The dispute.
    pub dispute: DisputeRow,
    /// What it is about, in words.
    pub summary: String,
    /// What happened to the customer, oldest first.
    pub timeline: Vec<HistoryRow>,
    /// What of it is access given and taken.
    pub access: Vec<HistoryRow>,
    /// What the customer was told, with the proof of each delivery: receipts too.
    pub notices: Vec<Proof>,
}

impl Engine {
    /// Disputes before `cursor` (exclusive; `i64::MAX` for the newest), newest first; only open ones where asked for.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn disputes(
        &self,
        only_open: bool,
        cursor: i64,
        limit: i64,
    ) -> Result<Vec<DisputeRow>, Problem> {
        let scope = self.scope().to_string();
        Ok(self
            .db()
            .read("disputes.list", move |tx| disputes::list(tx, &scope, only_open, cursor, limit))
            .await?)
    }

    /// One dispute by the provider's id.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn dispute(&self, id: &str) -> Result<DisputeRow, Problem> {
        let (scope, id) = (self.scope().to_string(), id.to_owned());
        let row = self.db().read("disputes.get", move |tx| disputes::get(tx, &scope, &id)).await?;
        row.ok_or_else(|| Problem::not_found("dispute"))
    }

    /// What there is to show the bank about a dispute.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn dispute_evidence(&self, id: &str) -> Result<Evidence, Problem> {
        let dispute = self.dispute(id).await?;
        let (mut timeline, mut notices) = (Vec::new(), Vec::new());
        if let Some(customer) = &dispute.customer {
            timeline = self.timeline(customer, i64::MAX, MOST_LINES).await?;
            timeline.reverse();
            notices = self.notice_proofs(Some(customer), None, i64::MAX, MOST_LINES).await?;
            notices.reverse();
        }
        let summary = self.summary(&dispute, &timeline, &notices).await?;
        let access = timeline.iter().filter(|line| line.kind.contains("access")).cloned().collect();
        Ok(Evidence { dispute, summary, timeline, access, notices })
    }

    async fn summary(
        &self,
        dispute: &DisputeRow,
        timeline: &[HistoryRow],
        notices: &[Proof],
    ) -> Result<String, Problem> {
        let (scope, id) = (self.scope().to_string(), dispute.payment.clone());
        let payment = self.db().read("payments.get", move |tx| mirror::payment(tx, &scope, &id)).await?;
        let mut text = String::new();
        let facts = &dispute.facts;
        let _ = writeln!(
            text,
            "Dispute {} of payment {}: {}, {}.",
            facts.id, dispute.payment, facts.amount, facts.reason
        );
        if let Some(row) = payment {
            let _ = writeln!(
                text,
                "The payment of {} was made on {}; {} of it was given back.",
                row.facts.amount, row.facts.created_at, row.facts.refunded
            );
        }
        for line in timeline.iter().filter(|line| line.kind == "checkout.complete") {
            let _ = writeln!(text, "The customer completed the checkout {} on {}.", line.object, line.at);
        }
        let told = notices.iter().filter(|proof| proof.was_delivered()).count();
        let _ = writeln!(
            text,
            "{} lines of the customer's account and {told} delivered messages are kept as proof.",
            timeline.len()
        );
        Ok(text)
    }

    /// The evidence in the provider's fields.
    ///
    /// # Errors
    /// `not_found`, and when the database cannot be used: the bank takes evidence once, so that half of it is not sent.
    #[crate::boxed]
    pub(crate) async fn evidence_fields(
        &self,
        id: &str,
        note: Option<&str>,
    ) -> Result<Vec<(&'static str, String)>, Problem> {
        let mut fields = Vec::new();
        let evidence = self.dispute_evidence(id).await?;
        let mut add = |name: &'static str, text: String| {
            if !text.trim().is_empty() {
                fields.push((name, text.chars().take(MOST_CHARS).collect()));
            }
        };
        let told = evidence.notices.iter().filter(|proof| proof.was_delivered());
        let told: Vec<String> = told
            .map(|proof| {
                let notice = &proof.notice;
                format!("{} told: {} {}", notice.created_at, notice.kind, notice.object)
            })
            .collect();
        let room = MOST_CHARS.saturating_sub(evidence.summary.chars().count());
        let summary = || format!("{}{}", evidence.summary, newest_that_fit(&told, room));
        add("uncategorized_text", note.map_or_else(summary, str::to_owned));
        let log: Vec<String> = evidence
            .access
            .iter()
            .map(|line| format!("{} {} {} {}", line.at, line.kind, line.object, line.data))
            .collect();
        // What was used shortly before the dispute says more than what was used at first.
        add("access_activity_log", newest_that_fit(&log, MOST_CHARS));
        if let Some(id) = evidence.dispute.customer.clone() {
            let found = self.db().read("customers.get", move |tx| customers::get(tx, &id)).await?;
            if let Some(row) = found {
                add("customer_name", row.name.unwrap_or_default());
                add("customer_email_address", row.email.unwrap_or_default());
            }
            if let Some(held) = evidence.dispute.customer.as_deref() {
                add("product_description", self.what_is_held(held).await?);
            }
        }
        add("service_date", date_of(evidence.dispute.facts.created_at));
        Ok(fields)
    }

    async fn what_is_held(&self, customer: &str) -> Result<String, Problem> {
        let view = self.customer(customer).await?;
        let plans = view.subscriptions.iter().filter_map(|row| row.subscription.plan());
        let names = plans.filter_map(|held| self.catalog().plan(held.plan.as_str()));
        Ok(names.map(|plan| plan.name.en.clone()).collect::<Vec<_>>().join(", "))
    }

    /// Answers a dispute with the evidence that there is; `note` says what the operator wants to say, in place of the summary.
    /// It can be done once.
    ///
    /// # Errors
    /// `not_found`, `wrong_state` when it is not ours to answer, and what the provider says.
    #[crate::boxed]
    pub async fn contest_dispute(
        &self,
        id: &str,
        note: Option<String>,
        by: &Caller,
    ) -> Result<DisputeRow, Problem> {
        if note.as_ref().is_some_and(|note| note.chars().count() > MOST_NOTE) {
            return Err(Problem::invalid(format!("`note` may have up to {MOST_NOTE} characters.")));
        }
        let row = self.dispute(id).await?;
        if !row.facts.is_ours_to_answer(self.now()) {
            return Err(not_ours(&row));
        }
        let stage = row.facts.status.stage();
        self.answer(row, Request::ContestDispute { dispute: id.to_owned(), stage, note }, by).await
    }

    /// Gives a dispute up instead of answering it: the cardholder keeps the money. It cannot be taken back.
    ///
    /// # Errors
    /// `not_found`, `wrong_state` when it was answered already or is over, and what the provider says.
    #[crate::boxed]
    pub async fn accept_dispute_of(&self, id: &str, by: &Caller) -> Result<DisputeRow, Problem> {
        let row = self.dispute(id).await?;
        if !row.facts.is_ours_to_answer(self.now()) {
            return Err(not_ours(&row));
        }
        let stage = row.facts.status.stage();
        self.answer(row, Request::AcceptDispute { dispute: id.to_owned(), stage }, by).await
    }

    async fn answer(&self, row: DisputeRow, request: Request, by: &Caller) -> Result<DisputeRow, Problem> {
        self.refuse_in_shadow()?;
        let (aggregate, by, engine) = (row.aggregate.clone(), by.key.to_string(), self.clone());
        let customer = row.customer.as_deref().and_then(|id| CustomerId::parse(id).ok());
        let (instance, now, kind) = (self.instance().to_owned(), self.now(), request.kind());
        let object = row.facts.id.clone();
        let command = self
            .db()
            .write("disputes.answer", move |tx| {
                let turn = match place(tx, &request)? {
                    Place::Joins(id) => return Ok(id),
                    Place::Turn(turn) => turn,
                };
                let command =
                    request.command(&instance, Some(&aggregate), customer.as_ref(), Which::Turn(turn))?;
                if engine.write_down(tx, &command, now)? {
                    let line = NewLine {
                        customer: customer.clone(),
                        aggregate: Some(aggregate.clone()),
                        at: now,
                        kind: format!("{kind}.asked"),
                        object: object.clone(),
                        data: json!({ "command": command.id().as_str() }).to_string(),
                        cause: json!({ "api_key": by }).to_string(),
                    };
                    history::insert(tx, &line)?;
                }
                Ok(command.id())
            })
            .await?;
        self.world().point(Point::CommandWanted).await;
        self.perform(&command).await?;
        self.wait_clean(&row.aggregate, self.settings().redirect_wait_ms).await?;
        self.dispute(&row.facts.id).await
    }
}

fn date_of(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

fn not_ours(row: &DisputeRow) -> Problem {
    let (id, status) = (&row.facts.id, row.facts.status.as_str());
    Problem::new(
        ProblemCode::WrongState,
        format!("The dispute {id} is {status}: there is nothing to answer any more, or not now."),
        "GET /v1/disputes/{id} shows its state and its deadline.",
    )
}

impl Evidence {
    /// The pack as files: name and content. Lines of JSON, so that nothing is lost, and a summary for people.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let lines = |rows: &[HistoryRow]| -> String {
            rows.iter()
                .map(|row| {
                    let value = json!({
                        "at": row.at.to_string(), "kind": row.kind, "object": row.object,
                        "data": parsed(&row.data), "cause": parsed(&row.cause),
                    });
                    format!("{value}\n")
                })
                .collect()
        };
        let notices = |only: Option<&str>| -> String {
            let rows = self
                .notices
                .iter()
                .filter(|proof| only.is_none_or(|kind| proof.notice.kind.as_str() == kind));
            rows.map(|proof| {
                let tries: Vec<Value> = proof
                    .tries
                    .iter()
                    .map(|one| json!({ "at": one.ended_at.to_string(), "outcome": one.outcome, "detail": one.detail }))
                    .collect();
                let notice = &proof.notice;
                let value = json!({
                    "notice": notice.seq, "kind": notice.kind, "object": notice.object,
                    "decided_at": notice.created_at.to_string(), "data": parsed(&notice.data), "tries": tries,
                });
                format!("{value}\n")
            })
            .collect()
        };
        vec![
            ("summary.txt", self.summary.clone()),
            ("timeline.jsonl", lines(&self.timeline)),
            ("access.jsonl", lines(&self.access)),
            ("notices.jsonl", notices(None)),
            ("receipts.jsonl", notices(Some("receipt"))),
        ]
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
