//! What lives tell by mail, up to the wording: whether it is still true, with all that its text needs. The tests of the
//! mails live the same lives with the real courier, in each language.

use std::sync::{Arc, Mutex};

use quittance_engine::Engine;
use quittance_engine::deliveries::{Carried, Courier, Outcome};
use quittance_engine::notices::Ready;
use quittance_store::deliveries::DeliveryRow;
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

    fn keep(&self, word: String) {
        self.0.lock().unwrap().push(word);
    }
}

/// Takes the place of the mail's courier.
struct Stand(Arc<Taken>);

impl Courier for Stand {
    fn deliver<'a>(&'a self, engine: &'a Engine, parcel: &'a DeliveryRow) -> Carried<'a> {
        Box::pin(async move {
            let payload: Value = serde_json::from_str(&parcel.payload).unwrap();
            let notice = engine.notice(payload["notice"].as_i64().unwrap()).await.unwrap();
            match engine.prepare_notice(&notice).await.unwrap() {
                Ready::Send(_) => {
                    self.0.keep(notice.kind.as_str().to_owned());
                    Outcome::Delivered { detail: "taken".to_owned() }
                }
                Ready::Over(reason) => {
                    self.0.keep(format!("({} is over)", notice.kind.as_str()));
                    Outcome::Suppressed { reason }
                }
            }
        })
    }
}

/// A courier of mails that keeps what they are about; the language is that of whom they are for.
pub fn courier(taken: Arc<Taken>, _language: &'static str) -> Arc<dyn Courier> {
    Arc::new(Stand(taken))
}
