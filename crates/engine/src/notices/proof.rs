//! Proof of what a customer was told: the notice, the rules that it was for, each try to deliver it, and which text left.

use quittance_domain::delivery::{Channel, DeliveryState};
use quittance_domain::notices::NoticeKind;
use quittance_store::Tx;
use quittance_store::deliveries::{self, AttemptRow, DeliveryRow};
use quittance_store::mails::{self, MailRow};
use quittance_store::notices::{self, NoticeRow};

use super::MOST_ROWS;
use crate::engine::Engine;
use crate::problem::Problem;

/// Tries that are shown of one delivery.
const MOST_TRIES: i64 = 100;

/// A notice with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What was to be told, when it was decided, and by which rules.
    pub notice: NoticeRow,
    /// Its mail, where mail was configured when it was written down.
    pub delivery: Option<DeliveryRow>,
    /// Each try, newest first.
    pub tries: Vec<AttemptRow>,
    /// What left, once it did: the digest of its text, its language and wording, and to whom.
    pub mail: Option<MailRow>,
}

impl Proof {
    /// Whether a try of it was taken, and not only made.
    #[must_use]
    pub fn was_delivered(&self) -> bool {
        self.tries.iter().any(|tried| tried.outcome == DeliveryState::Delivered.as_str())
    }
}

impl Engine {
    /// A notice with its proof.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn notice_proof(&self, seq: i64) -> Result<Proof, Problem> {
        let found = self
            .db()
            .read("notices.proof", move |tx| notices::get(tx, seq)?.map(|row| proof(tx, row)).transpose())
            .await?;
        found.ok_or_else(|| Problem::not_found("notice"))
    }

    /// Notices with their proof before `cursor` (exclusive; `i64::MAX` for the newest), newest first: of one customer, of one
    /// kind, where these are given.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn notice_proofs(
        &self,
        customer: Option<&str>,
        kind: Option<NoticeKind>,
        cursor: i64,
        limit: i64,
    ) -> Result<Vec<Proof>, Problem> {
        let (customer, limit) = (customer.map(str::to_owned), limit.clamp(1, MOST_ROWS));
        let found = self
            .db()
            .read("notices.proofs", move |tx| {
                let rows = match &customer {
                    Some(customer) => notices::of_customer(tx, customer, cursor, kind, limit)?,
                    None => notices::list(tx, cursor, kind, limit)?,
                };
                rows.into_iter().map(|row| proof(tx, row)).collect()
            })
            .await?;
        Ok(found)
    }
}

/// The natural key of a notice's delivery.
pub(crate) fn delivery_key(notice: i64) -> String {
    format!("notice/{notice}")
}

fn proof(tx: &mut dyn Tx, notice: NoticeRow) -> quittance_store::Result<Proof> {
    let delivery = deliveries::by_key(tx, Channel::Mail, &delivery_key(notice.seq))?;
    let (tries, mail) = match &delivery {
        Some(row) => (deliveries::attempts(tx, row.seq, MOST_TRIES)?, mails::of_delivery(tx, row.seq)?),
        None => (Vec::new(), None),
    };
    Ok(Proof { notice, delivery, tries, mail })
}
