//! The courier of the channel `mail`: is it still true, write it, send it, keep the proof.
//!
//! It may be asked to send the same notice again, when a process died between sending and recording. The message then has
//! the same id, so that mailboxes take it for the same; and what is on record as sent is not sent again.

use lettre::Message;
use quittance_domain::notices::truth::Truth;
use quittance_domain::{CustomerId, digest};
use quittance_engine::customers::CustomerView;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_engine::{Engine, Problem, ProblemCode};
use quittance_store::deliveries::DeliveryRow;
use quittance_store::mails::{self, NewMail};
use quittance_store::notices::NoticeRow;
use quittance_store::outbox::{self, NewAlert};
use serde::Deserialize;

use crate::compose;
use crate::facts::Facts;
use crate::format::Language;
use crate::letter::{Letter, Writer};
use crate::links::{MailLinks, Target};
use crate::message::{self, Cover};
use crate::operators;
use crate::post::{Post, Trouble};
use crate::said;
use crate::settings::Keep;
use crate::told::{self, Ready, Told};

/// What a delivery of this channel carries.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Payload {
    /// A notice to a customer, by its number.
    Notice { notice: i64 },
    /// Alerts to operators, by their numbers.
    Alerts { alerts: Vec<i64>, to: String },
}

/// Carries notices by mail.
#[derive(Debug)]
pub struct MailCourier {
    writer: Writer,
    links: Option<MailLinks>,
    post: Post,
}

impl MailCourier {
    /// A courier; without `links`, mails have none that open something for a reader who is not signed in.
    #[must_use]
    pub const fn new(writer: Writer, links: Option<MailLinks>, post: Post) -> Self {
        Self { writer, links, post }
    }

    async fn carry(&self, engine: &Engine, parcel: &DeliveryRow) -> Result<Outcome, Problem> {
        match serde_json::from_str::<Payload>(&parcel.payload) {
            Ok(Payload::Notice { notice }) => self.tell(engine, parcel, notice).await,
            Ok(Payload::Alerts { alerts, to }) => self.alert(engine, parcel, &alerts, &to).await,
            Err(_) => Ok(Outcome::Failed { error: "this is nothing that can be mailed".to_owned() }),
        }
    }

    /// Tells operators of alerts, as they are now.
    async fn alert(
        &self,
        engine: &Engine,
        parcel: &DeliveryRow,
        alerts: &[i64],
        to: &str,
    ) -> Result<Outcome, Problem> {
        let settings = self.writer.settings();
        let mut rows = Vec::with_capacity(alerts.len());
        for seq in alerts {
            rows.push(engine.alert(*seq).await?);
        }
        let Some(content) = operators::content(&rows, settings) else {
            return Ok(suppressed("all of them are over"));
        };
        let id = message::message_id(settings, &engine.scope().to_string(), &parcel.key);
        let cover = Cover { to, name: None, message_id: &id, unsubscribe: None };
        let message = match message::build(content, settings, cover, engine.now()) {
            Ok(message) => message,
            Err(error) => return Ok(Outcome::Failed { error: error.to_string() }),
        };
        self.post(message).await
    }

    /// Sends a message, if there is a mail server.
    async fn post(&self, message: Message) -> Result<Outcome, Problem> {
        Ok(match &self.post {
            Post::Capture => {
                Outcome::Delivered { detail: "captured: no mail server is configured".to_owned() }
            }
            Post::Smtp(smtp) => match smtp.send(message).await {
                Ok(detail) => Outcome::Delivered { detail },
                Err(Trouble::Never(error)) => Outcome::Failed { error },
                Err(Trouble::Later(error)) => Outcome::Retry { error, retry_after_ms: None },
            },
        })
    }

    /// Tells a customer of a notice, if it is still so.
    async fn tell(&self, engine: &Engine, parcel: &DeliveryRow, notice: i64) -> Result<Outcome, Problem> {
        let notice = engine.notice(notice).await?;
        let kind = notice.kind;
        if self.writer.settings().off.contains(&kind) {
            let mend = "Take it out of mail.off, or tell them another way.";
            alert_untold(engine, &notice, parcel, "mail.off switches it off", mend).await?;
            return Ok(suppressed("mails of this kind are switched off (mail.off)"));
        }
        let key = format!("{}/{}/{}", kind, notice.object, notice.occurrence);
        let id = message::message_id(self.writer.settings(), &engine.scope().to_string(), &key);
        let (name, customer) = (id.clone(), parcel.customer.clone().unwrap_or_default());
        let (sent, unwanted) = engine
            .db()
            .read("mails.before", move |tx| Ok((mails::sent(tx, &name)?, mails::unwanted(tx, &customer)?)))
            .await?;
        if sent.is_some() {
            return Ok(Outcome::Delivered { detail: "sent before, as the record says".to_owned() });
        }
        let view = match &parcel.customer {
            Some(customer) => engine.customer(customer).await?,
            None => return Ok(suppressed("nobody is linked")),
        };
        let Some(address) = view.customer.email.clone() else {
            let mend = "Tell them another way, or give their address: PUT /v1/customers/{id}.";
            alert_untold(engine, &notice, parcel, "the customer has no e-mail address", mend).await?;
            return Ok(suppressed("the customer has no e-mail address"));
        };
        if kind.optional() && unwanted.iter().any(|word| word == kind.as_str()) {
            return Ok(suppressed("the customer declined mails of this kind"));
        }
        match told::prepare(engine, &notice).await? {
            Ready::Over(why) => Ok(suppressed(&format!("no longer so: {why}"))),
            Ready::Tell(told) => self.send(engine, parcel, &told, &view, &address, id).await,
        }
    }

    async fn send(
        &self,
        engine: &Engine,
        parcel: &DeliveryRow,
        told: &Told,
        view: &CustomerView,
        address: &str,
        id: String,
    ) -> Result<Outcome, Problem> {
        let settings = self.writer.settings();
        let language = view.customer.locale.as_deref().and_then(Language::of).unwrap_or(settings.language);
        let (now, customer) = (engine.now(), &view.customer.id);
        let signed = |target: &Target| {
            let token = self.links.as_ref()?.sign(customer, target, now)?;
            Some(format!("{}{}", settings.public_url, target.path(&token)))
        };
        // What is kept opens nothing.
        let blank = |target: &Target| {
            self.links.as_ref()?;
            Some(format!("{}{}", settings.public_url, target.path("(link)")))
        };
        let facts = |link: &dyn Fn(&Target) -> Option<String>| {
            compose::facts(told, view, engine.catalog(), language, link)
        };
        let known = facts(&signed);
        let write = |facts: &Facts| self.writer.write(told.kind, language, facts);
        let (letter, kept) = match (write(&known), write(&facts(&blank))) {
            (Ok(letter), Ok(kept)) => (letter, kept),
            (Err(error), _) | (_, Err(error)) => {
                return Ok(Outcome::Failed { error: format!("the template cannot be used: {error}") });
            }
        };
        let unsubscribe = if told.kind.optional() { signed(&Target::Preferences(told.kind)) } else { None };
        let cover = Cover {
            to: address,
            name: view.customer.name.as_deref(),
            message_id: &id,
            unsubscribe: unsubscribe.as_deref(),
        };
        let message = match message::build(&letter, settings, cover, now) {
            Ok(message) => message,
            Err(error) => return Ok(Outcome::Failed { error: error.to_string() }),
        };
        let outcome = self.post(message).await?;
        match &outcome {
            Outcome::Delivered { .. } => {}
            Outcome::Suppressed { .. } | Outcome::Retry { .. } | Outcome::Failed { .. } => {
                return Ok(outcome);
            }
        }
        let captured = matches!(self.post, Post::Capture).then_some(&letter);
        let mail = self.record(parcel, told, view, address, id, &kept, captured);
        let items = told.must_say.iter().map(String::as_str);
        let missing = said::missing(items, &letter, &known.variables(settings, language));
        let (lacks, complete) = (lacks(&letter, &missing), missing.is_empty());
        let asked = !told.must_say.is_empty();
        let (at, reached) = (engine.now(), view.customer.id.clone());
        engine
            .db()
            .write("mails.put", move |tx| {
                mails::put(tx, &mail, at)?;
                outbox::resolve(tx, UNTOLD, reached.as_str(), at)?;
                match (complete, asked) {
                    (false, _) => outbox::raise(tx, &lacks, at).map(drop),
                    (true, true) => outbox::resolve(tx, INCOMPLETE, &lacks.object, at).map(drop),
                    (true, false) => Ok(()),
                }
            })
            .await?;
        Ok(outcome)
    }

    #[allow(clippy::too_many_arguments, reason = "each is one part of what is on record")]
    fn record(
        &self,
        parcel: &DeliveryRow,
        told: &Told,
        view: &CustomerView,
        address: &str,
        message_id: String,
        kept: &Letter,
        captured: Option<&Letter>,
    ) -> NewMail {
        let keeps = self.writer.settings().keep == Keep::Text || captured.is_some();
        let shown = captured.unwrap_or(kept);
        NewMail {
            message_id,
            delivery: Some(parcel.seq),
            customer: Some(view.customer.id.clone()),
            kind: told.kind.as_str().to_owned(),
            language: kept.language.tag().to_owned(),
            template: kept.version.clone(),
            rules: told.rules.clone(),
            address: match captured {
                Some(_) => address.to_owned(),
                None => address_digest(view.customer.id.as_str(), address),
            },
            subject: keeps.then(|| shown.subject.clone()),
            text: keeps.then(|| shown.text.clone()),
            html: captured.map(|letter| letter.html.clone()),
            sha256: kept.sha256(),
            captured: captured.is_some(),
        }
    }
}

/// What is kept of an address: whether a mail went to a known address can be checked, the address cannot be read.
#[must_use]
pub fn address_digest(customer: &str, address: &str) -> String {
    digest::sha256_hex(format!("quittance address\n{customer}\n{}", address.trim().to_lowercase()).as_bytes())
}

/// The alert's kind; its object is the template.
const INCOMPLETE: &str = "notice_incomplete";

/// A text that leaves out what a rule asks for.
fn lacks(letter: &Letter, missing: &[&str]) -> NewAlert {
    let template = format!("{}.{}", letter.kind, letter.language.tag());
    NewAlert {
        kind: INCOMPLETE.to_owned(),
        object: template.clone(),
        customer: None,
        aggregate: None,
        detail: format!(
            "the mail {template} does not say what a notice rule asks for: {}",
            missing.join(", ")
        ),
        mend: format!(
            "write it into {template}.md (quittance mail preview shows it); the rules are in docs/notices.md; links need QUITTANCE_SECRET"
        ),
    }
}

/// The alert's kind; its object is the customer, so that somebody without an address is one alert.
const UNTOLD: &str = "notice_untold";

/// Operators hear of what rules ask for and nobody is told, where it is still so.
async fn alert_untold(
    engine: &Engine,
    notice: &NoticeRow,
    parcel: &DeliveryRow,
    why: &str,
    mend: &str,
) -> Result<(), Problem> {
    if notice.rules.is_empty() || engine.still_true(notice).await? != Truth::Holds {
        return Ok(());
    }
    let rules: Vec<&str> = notice.rules.iter().map(|rule| rule.id.as_str()).collect();
    let alert = NewAlert {
        kind: UNTOLD.to_owned(),
        object: parcel.customer.clone().unwrap_or_default(),
        customer: parcel.customer.as_deref().and_then(|id| CustomerId::parse(id).ok()),
        aggregate: notice.aggregate.clone(),
        detail: format!("{}: `{}` asks for it, and {why}", notice.kind.as_str(), rules.join("`, `")),
        mend: mend.to_owned(),
    };
    let at = engine.now();
    engine.db().write("mails.untold", move |tx| outbox::raise(tx, &alert, at)).await?;
    Ok(())
}

fn suppressed(reason: &str) -> Outcome {
    Outcome::Suppressed { reason: reason.to_owned() }
}

impl Courier for MailCourier {
    fn deliver<'a>(&'a self, engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(async move {
            match self.carry(engine, parcel).await {
                Ok(outcome) => outcome,
                Err(problem) if problem.code == ProblemCode::NotFound => {
                    Outcome::Failed { error: problem.detail }
                }
                Err(problem) => Outcome::Retry { error: problem.detail, retry_after_ms: None },
            }
        })
    }
}
