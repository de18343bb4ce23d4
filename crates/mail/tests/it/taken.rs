//! What the engine's lives tell by mail, with the real courier: each letter is written in its reader's language, and kept.

use std::sync::{Arc, Mutex};

use quittance_engine::Engine;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_mail::{MailCourier, MailLinks, Post, Templates, Writer, samples};
use quittance_store::deliveries::DeliveryRow;
use quittance_store::mails;
use serde_json::Value;

/// Keeps what leaves, in words.
#[derive(Default)]
pub struct Taken(Mutex<Vec<String>>);

impl Taken {
    /// What has left since the last time.
    pub fn take(&self) -> Vec<String> {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap());
        all.sort();
        all
    }
}

/// The courier, and somebody who reads every letter.
struct Read {
    courier: MailCourier,
    taken: Arc<Taken>,
    language: &'static str,
}

/// Whether a text has Japanese letters.
fn is_japanese(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}'))
}

impl Courier for Read {
    fn deliver<'a>(&'a self, engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(async move {
            let outcome = self.courier.deliver(engine, parcel).await;
            let payload: Value = serde_json::from_str(&parcel.payload).unwrap();
            let notice = engine.notice(payload["notice"].as_i64().unwrap()).await.unwrap();
            let kind = notice.kind.as_str();
            let word = match &outcome {
                Outcome::Delivered { .. } => {
                    let seq = parcel.seq;
                    let read = move |tx: &mut dyn quittance_store::Tx| mails::of_delivery(tx, seq);
                    let mail = engine.db().read("test.mail", read).await.unwrap().unwrap().mail;
                    let (subject, text) = (mail.subject.unwrap(), mail.text.unwrap());
                    assert_eq!((mail.language.as_str(), mail.kind.as_str()), (self.language, kind));
                    let japanese = self.language == "ja";
                    assert_eq!(is_japanese(&subject), japanese, "{kind}: {subject}");
                    // The addresses and names of whoever sells are theirs.
                    assert_eq!(is_japanese(&text), japanese, "{kind}: {text}");
                    for hole in ["{{", "{%", "None", "undefined", "null", "  "] {
                        assert!(
                            !subject.contains(hole) && !text.contains(hole),
                            "{kind} has {hole:?}: {text}"
                        );
                    }
                    kind.to_owned()
                }
                Outcome::Suppressed { reason } => {
                    assert!(reason.starts_with("no longer so"), "{kind}: {reason}");
                    format!("({kind} is over)")
                }
                Outcome::Retry { error, .. } | Outcome::Failed { error } => panic!("{kind}: {error}"),
            };
            self.taken.0.lock().unwrap().push(word);
            outcome
        })
    }
}

/// The courier of mails, which keeps what they are about; the language is that of whom they are for.
pub fn courier(taken: Arc<Taken>, language: &'static str) -> Arc<dyn Courier> {
    let writer = Writer::new(Templates::built_in().unwrap(), samples::settings());
    let scope =
        quittance_domain::Scope::own(quittance_domain::Provider::Stripe, quittance_domain::Mode::Test);
    let links = MailLinks::new("a root key of thirty-two letters".to_owned().into(), &scope);
    Arc::new(Read { courier: MailCourier::new(writer, Some(links), Post::Capture), taken, language })
}
