//! Announcing a change of price or terms: written down once, then every customer whom it meets is looked at, and told at the
//! moment that the rules leave.

use quittance_domain::notices::{Announcement, NoticeKind};
use quittance_domain::{PlanKey, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority};
use quittance_store::history::{self, NewLine};
use quittance_store::notices::AnnouncementRow;
use quittance_store::{mirror, notices};
use quittance_stripe::calls;
use quittance_stripe::calls::prices::ListPrices;
use serde_json::json;

use crate::engine::Engine;
use crate::problem::{Problem, ProblemCode};

/// Subscriptions that are marked in one transaction.
const PAGE: i64 = 500;
/// Longest id, price or address, in bytes.
const MAX_TEXT: usize = 500;

/// What an operator announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnnouncement {
    /// Its id, chosen by the operator: announcing it again changes nothing.
    pub id: String,
    /// [`NoticeKind::PriceChanging`] or [`NoticeKind::TermsChanging`].
    pub kind: NoticeKind,
    /// Only subscriptions with this plan; all of them when `None`.
    pub plan: Option<String>,
    /// When the change takes effect.
    pub effective_at: Timestamp,
    /// The lookup key of the price that will be charged, or the provider's id of it. It must be there when it is announced.
    pub new_price: Option<String>,
    /// Where the new terms can be read.
    pub url: Option<String>,
}

impl Engine {
    /// Announces a change to everybody whom it meets; the announcement as it stands, and how many subscriptions were marked
    /// to be looked at. The same announcement again changes nothing and marks them again.
    ///
    /// # Errors
    /// `invalid_request` for a kind that is not announced, a plan that does not exist or a day that is past;
    /// `unknown_price` for a new price that is not at the provider; `wrong_state` when the id stands for another announcement.
    #[crate::boxed]
    pub async fn announce(&self, new: &NewAnnouncement, by: &str) -> Result<(AnnouncementRow, u64), Problem> {
        let announcement = self.checked(new)?;
        self.check_price(new).await?;
        let (scope, now, by) = (self.scope().to_string(), self.now(), by.to_owned());
        let wanted = announcement.clone();
        let stored = self
            .db()
            .write("notices.announce", move |tx| {
                if notices::announce(tx, &scope, &wanted, &by)? {
                    let line = NewLine {
                        customer: None,
                        aggregate: None,
                        at: now,
                        kind: "notice.announced".to_owned(),
                        object: wanted.id.clone(),
                        data: json!({ "kind": wanted.kind, "plan": wanted.plan, "effective_at": wanted.effective_at.to_string() })
                            .to_string(),
                        cause: json!({ "by": by }).to_string(),
                    };
                    history::insert(tx, &line)?;
                }
                notices::announcement(tx, &wanted.id)
            })
            .await?;
        let same = |known: &Announcement| {
            Announcement { created_at: announcement.created_at, ..known.clone() } == announcement
        };
        match stored {
            Some(row) if row.withdrawn_at.is_none() && same(&row.announcement) => {
                let marked = self.mark_met(&row.announcement).await?;
                Ok((row, marked))
            }
            Some(_) | None => Err(Problem::new(
                ProblemCode::WrongState,
                format!("`{}` stands for another announcement, or was withdrawn.", new.id),
                "Announce it under another id.",
            )),
        }
    }

    /// Takes an announcement back: who was not told yet will not be. One that was taken back already stays so.
    ///
    /// # Errors
    /// `not_found`.
    #[crate::boxed]
    pub async fn withdraw_announcement(&self, id: &str) -> Result<(), Problem> {
        let (id, now) = (id.to_owned(), self.now());
        let found = self
            .db()
            .write("notices.withdraw", move |tx| {
                notices::withdraw(tx, &id, now)?;
                Ok(notices::announcement(tx, &id)?.is_some())
            })
            .await?;
        if found { Ok(()) } else { Err(Problem::not_found("announcement")) }
    }

    /// All announcements, the last to take effect first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn announcements(&self) -> Result<Vec<AnnouncementRow>, Problem> {
        let scope = self.scope().to_string();
        let read =
            move |tx: &mut dyn quittance_store::Tx| notices::announcements(tx, &scope, notices::MOST_AHEAD);
        Ok(self.db().read("notices.announcements", read).await?)
    }

    fn checked(&self, new: &NewAnnouncement) -> Result<Announcement, Problem> {
        if !matches!(new.kind, NoticeKind::PriceChanging | NoticeKind::TermsChanging) {
            return Err(Problem::invalid("`kind` must be `price_changing` or `terms_changing`."));
        }
        let short =
            |text: &str| !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        let id_fits =
            short(&new.id) && new.id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !id_fits || ![&new.new_price, &new.url].into_iter().flatten().all(|text| short(text)) {
            return Err(Problem::invalid(
                "`id` must consist of letters, digits, `-`, `_` and `.`; texts may have up to 500 bytes.",
            ));
        }
        let url_fits = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if !new.url.iter().all(url_fits) {
            return Err(Problem::invalid("`url` must be an address that begins with https://."));
        }
        if new.effective_at <= self.now() {
            return Err(Problem::invalid(
                "`effective_at` must be in the future: customers are told beforehand.",
            ));
        }
        let plan = match &new.plan {
            Some(key) => {
                let known = self.catalog().plan(key).map(|plan| plan.key.clone());
                Some(known.ok_or_else(|| Problem::invalid(format!("There is no plan `{key}`.")))?)
            }
            None => None,
        };
        Ok(Announcement {
            id: new.id.clone(),
            kind: new.kind,
            plan,
            effective_at: new.effective_at,
            created_at: self.now(),
            new_price: new.new_price.clone(),
            url: new.url.clone(),
        })
    }

    /// A price that nobody can be charged would silence every message about it, so it is looked for before anybody is met.
    async fn check_price(&self, new: &NewAnnouncement) -> Result<(), Problem> {
        match (new.kind, &new.new_price) {
            (NoticeKind::PriceChanging, None) => Err(Problem::invalid(
                "`new_price` is needed: customers are told what the provider will charge at it.",
            )),
            (_, Some(named)) => self.announced_price(named).await.map(drop),
            (_, None) => Ok(()),
        }
    }

    /// The provider's id of the price that an announcement names: of one of the catalog, of one that only the provider has under
    /// this lookup key, or by its own id.
    #[crate::boxed]
    pub(super) async fn announced_price(&self, named: &str) -> Result<String, Problem> {
        let mut prices = self.catalog().plans().iter().flat_map(|plan| &plan.prices);
        if let Some(found) = prices.find(|price| price.lookup_key == named) {
            return self.price_id(found).await;
        }
        let keys = [named];
        let wanted = ListPrices { lookup_keys: &keys, active: Some(true), ..ListPrices::default() };
        let page = self.ask(calls::prices::list(&wanted)).await?;
        let found = match page.items.into_iter().next() {
            Some(found) => Some(found),
            None => match self.ask(calls::prices::retrieve(named)).await {
                Ok(found) => Some(found),
                Err(error) if crate::sync::names_missing(&error) => None,
                Err(error) => return Err(error.into()),
            },
        };
        match found {
            Some(found) if found.active && found.price_type == "recurring" => Ok(found.id),
            Some(_) | None => Err(Problem::new(
                ProblemCode::UnknownPrice,
                format!("The provider has no active recurring price `{named}`, by lookup key or by id."),
                "Push the catalog that has it first (quittance catalog push), or correct the name.",
            )),
        }
    }

    /// Marks the aggregates of the subscriptions that may be met. Stopped half way it is done again by announcing again.
    async fn mark_met(&self, announcement: &Announcement) -> Result<u64, Problem> {
        let (mut after, mut marked) = (String::new(), 0_u64);
        loop {
            let (scope, from, now) = (self.scope().to_string(), after.clone(), self.now());
            let plan = announcement.plan.as_ref().map(PlanKey::to_string);
            let page = self
                .db()
                .write("notices.mark_met", move |tx| {
                    let page = mirror::live_after(tx, &scope, plan.as_deref(), &from, PAGE)?;
                    let hints: Vec<Hint<'_>> = page
                        .iter()
                        .map(|(_, key)| Hint {
                            key,
                            priority: Priority::Sweep,
                            due: now,
                            unpark: false,
                            thorough: false,
                        })
                        .collect();
                    aggregates::mark_all(tx, &hints, now)?;
                    Ok(page)
                })
                .await?;
            marked += u64::try_from(page.len()).unwrap_or(0);
            match page.last() {
                Some((id, _)) if i64::try_from(page.len()).is_ok_and(|n| n == PAGE) => after.clone_from(id),
                Some(_) | None => break,
            }
        }
        self.wake();
        Ok(marked)
    }
}
