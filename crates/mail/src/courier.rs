//! The courier of the channel `mail`: is it still true, write it, send it, keep the proof.
//!
//! It may be asked to send the same notice again, when a process died between sending and recording. The message then has
//! the same id, so that mailboxes take it for the same; and what is on record as sent is not sent again.

use quittance_domain::digest;
use quittance_engine::customers::CustomerView;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_engine::{Engine, Problem, ProblemCode};
use quittance_store::deliveries::DeliveryRow;
use quittance_store::mails::{self, NewMail};
use serde::Deserialize;

use crate::compose;
use crate::format::Language;
use crate::kind::Kind;
use crate::letter::{Letter, Writer};
use crate::links::{MailLinks, Target};
use crate::message::{self, Cover};
use crate::post::{Post, Trouble};
use crate::settings::Keep;
use crate::told::{self, Ready, Told};

/// What a delivery of this channel carries.
#[derive(Debug, Deserialize)]
struct Payload {
    /// The notice's number.
    notice: i64,
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
        let Ok(payload) = serde_json::from_str::<Payload>(&parcel.payload) else {
            return Ok(Outcome::Failed { error: "this is no notice that can be mailed".to_owned() });
        };
        let notice = engine.notice(payload.notice).await?;
        let kind = Kind::from(notice.kind);
        if self.writer.settings().off.contains(&kind) {
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
        let write = |link: &dyn Fn(&Target) -> Option<String>| {
            let facts = compose::facts(told, view, engine.catalog(), language, link);
            self.writer.write(told.kind, language, &facts)
        };
        let (letter, kept) = match (write(&signed), write(&blank)) {
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
        let detail = match &self.post {
            Post::Capture => "captured: no mail server is configured".to_owned(),
            Post::Smtp(smtp) => match smtp.send(message).await {
                Ok(said) => said,
                Err(Trouble::Never(error)) => return Ok(Outcome::Failed { error }),
                Err(Trouble::Later(error)) => return Ok(Outcome::Retry { error, retry_after_ms: None }),
            },
        };
        let captured = matches!(self.post, Post::Capture).then_some(&letter);
        let mail = self.record(parcel, told, view, address, id, &kept, captured);
        let at = engine.now();
        engine.db().write("mails.put", move |tx| mails::put(tx, &mail, at)).await?;
        Ok(Outcome::Delivered { detail })
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
