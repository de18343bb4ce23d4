//! Payments that failed: the cases, what became of them by month and cause, and the way to pay.

use quittance_domain::access::OnLatePayment;
use quittance_domain::dunning::{Case, Cause, Outcome, PaymentIssue};
use quittance_domain::subscription::Subscription;
use quittance_domain::{Currency, CustomerId, Timestamp};
use quittance_store::aggregates::{self, Hint, Priority as Urgency};
use quittance_store::dunning::{self, CaseRow, Sum};
use quittance_store::mirror;
use quittance_stripe::calls;

use crate::engine::Engine;
use crate::invoice_page::is_owed;
use crate::problem::{Problem, ProblemCode};

/// Months of a report at most.
pub const MOST_MONTHS: i32 = 60;

/// Which cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhichCases {
    /// Those before this number; `i64::MAX` for the newest.
    pub cursor: i64,
    /// Of this outcome.
    pub outcome: Option<Outcome>,
    /// Of this customer.
    pub customer: Option<String>,
}

/// What came to be at risk in one month, in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthOfCases {
    /// `2026-01`.
    pub month: String,
    /// The sums.
    pub sums: Vec<Sum>,
}

/// A count and an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many.
    pub count: i64,
    /// Minor units.
    pub amount: i64,
}

/// One line of a report: a currency and a cause, or all causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The currency.
    pub currency: Currency,
    /// The cause.
    pub cause: Cause,
    /// By outcome, in the order of [`Outcome::ALL`].
    pub outcomes: [Tally; 5],
}

impl Line {
    /// Everything that was at risk.
    #[must_use]
    pub fn at_risk(&self) -> Tally {
        self.outcomes.iter().fold(Tally::default(), |sum, tally| sum.plus(*tally))
    }

    /// Of one outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> Tally {
        let place = Outcome::ALL.iter().position(|one| *one == outcome);
        place.and_then(|place| self.outcomes.get(place)).copied().unwrap_or_default()
    }
}

impl Tally {
    const fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            amount: self.amount.saturating_add(other.amount),
        }
    }
}

impl MonthOfCases {
    /// The sums by currency and cause.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for sum in &self.sums {
            let place =
                lines.iter().position(|line| line.currency == sum.currency && line.cause == sum.cause);
            let place = place.unwrap_or_else(|| {
                lines.push(Line {
                    currency: sum.currency,
                    cause: sum.cause,
                    outcomes: [Tally::default(); 5],
                });
                lines.len() - 1
            });
            let slot = Outcome::ALL.iter().position(|one| *one == sum.outcome);
            if let Some(tally) =
                lines.get_mut(place).and_then(|line| slot.and_then(|slot| line.outcomes.get_mut(slot)))
            {
                *tally = tally.plus(Tally { count: sum.count, amount: sum.amount });
            }
        }
        lines
    }
}

/// Where somebody who wants to pay is led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayToPay {
    /// The provider's page of the invoice.
    Page(String),
    /// There is nothing to pay any more, or what would be paid would give nothing.
    Paid,
    /// The invoice can be paid, but has no page: the payment method must be changed.
    PaymentMethod,
}

impl Engine {
    /// Cases, newest first.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn dunning_cases(&self, which: WhichCases, limit: i64) -> Result<Vec<CaseRow>, Problem> {
        let scope = self.scope().to_string();
        let rows = self
            .db()
            .read("dunning.list", move |tx| {
                dunning::list(tx, &scope, which.cursor, which.outcome, which.customer.as_deref(), limit)
            })
            .await?;
        Ok(rows)
    }

    /// The last `months` months, this one included, newest first; months in which nothing failed are there too.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn dunning_report(&self, months: i32) -> Result<Vec<MonthOfCases>, Problem> {
        let bounds = months_before(self.now(), months.clamp(1, MOST_MONTHS));
        let scope = self.scope().to_string();
        let found = self
            .db()
            .read("dunning.report", move |tx| {
                bounds
                    .iter()
                    .map(|(month, from, until)| {
                        Ok(MonthOfCases {
                            month: month.clone(),
                            sums: dunning::summary(tx, &scope, *from, *until)?,
                        })
                    })
                    .collect()
            })
            .await?;
        Ok(found)
    }

    /// Where a customer pays an invoice of theirs; without one named, that of the subscription that fails.
    ///
    /// # Errors
    /// `not_found` for an invoice that is not theirs, and what the provider says.
    #[crate::boxed]
    pub async fn way_to_pay(
        &self,
        customer: &CustomerId,
        invoice: Option<&str>,
    ) -> Result<WayToPay, Problem> {
        let id = customer.clone();
        let rows = self
            .db()
            .read("dunning.invoices", move |tx| mirror::subscriptions_of_customer(tx, id.as_str()))
            .await?;
        let ended = |row: &&mirror::SubscriptionRow| self.pays_for_nothing(&row.subscription);
        let latest = |row: &mirror::SubscriptionRow| {
            let found = row.subscription.facts.latest_invoice.as_ref()?;
            let owed = PaymentIssue::of(&row.subscription).is_some();
            Some((found.id.clone(), found.status == "open", owed, row.aggregate.clone()))
        };
        let mut known: Vec<(String, bool, bool, String)> =
            rows.iter().filter(|row| !ended(row)).filter_map(latest).collect();
        known.sort_by_key(|(_, open, owed, _)| (!open, !owed));
        let (found, owed, aggregate) = match invoice {
            Some(wanted) => match known.into_iter().find(|(id, ..)| id == wanted) {
                Some((id, _, owed, aggregate)) => (id, owed, aggregate),
                // A link in an old letter: the invoice may be an older one of theirs.
                None => match self.subscription_of_invoice(customer, &rows, wanted).await? {
                    row if self.pays_for_nothing(&row.subscription) => return Ok(WayToPay::Paid),
                    row => (wanted.to_owned(), false, row.aggregate),
                },
            },
            None => match known.into_iter().next() {
                Some((id, _, owed, aggregate)) => (id, owed, aggregate),
                None => return Ok(WayToPay::Paid),
            },
        };
        let now = self.ask(calls::invoices::retrieve(&found)).await?;
        match now.hosted_url {
            Some(url) if is_owed(&now.status) => Ok(WayToPay::Page(url.0)),
            None if is_owed(&now.status) => Ok(WayToPay::PaymentMethod),
            // A draft has no page; that of an unpaid subscription is owed all the same.
            Some(_) | None if owed && now.status == "draft" => Ok(WayToPay::PaymentMethod),
            Some(_) | None => {
                self.look_soon(&aggregate).await?;
                Ok(WayToPay::Paid)
            }
        }
    }

    /// Whether somebody who pays an invoice of theirs now would pay for nothing: its subscription has ended.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[crate::boxed]
    pub async fn invoice_is_over(&self, customer: &CustomerId, invoice: &str) -> Result<bool, Problem> {
        let id = customer.clone();
        let read = move |tx: &mut dyn quittance_store::Tx| mirror::subscriptions_of_customer(tx, id.as_str());
        let rows = self.db().read("dunning.invoices", read).await?;
        match self.subscription_of_invoice(customer, &rows, invoice).await {
            Ok(row) => Ok(self.pays_for_nothing(&row.subscription)),
            Err(problem) if problem.code == ProblemCode::NotFound => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// Whether what is paid for a subscription from now on gives nothing. A last period that was used to its end is owed.
    fn pays_for_nothing(&self, subscription: &Subscription) -> bool {
        let facts = &subscription.facts;
        let used = facts.ended_at.zip(facts.period_end()).is_some_and(|(ended, end)| end <= ended);
        facts.status.is_final() && !used && self.settings().access.money.late_payment == OnLatePayment::Ignore
    }

    async fn subscription_of_invoice(
        &self,
        customer: &CustomerId,
        rows: &[mirror::SubscriptionRow],
        invoice: &str,
    ) -> Result<mirror::SubscriptionRow, Problem> {
        let newest = |row: &&mirror::SubscriptionRow| {
            row.subscription.facts.latest_invoice.as_ref().is_some_and(|latest| latest.id == invoice)
        };
        if let Some(row) = rows.iter().find(newest) {
            return Ok(row.clone());
        }
        let which = WhichCases { cursor: i64::MAX, outcome: None, customer: Some(customer.to_string()) };
        let mine = self.dunning_cases(which, 100).await?;
        let found: Option<&Case> = mine.iter().map(|row| &row.case).find(|case| case.invoice == invoice);
        let found = found.ok_or_else(|| {
            Problem::new(
                ProblemCode::NotFound,
                "There is no such invoice of this customer.",
                "GET /v1/customers/{id} shows what is owed, as `payment_issue` of each subscription.",
            )
        })?;
        self.subscription(&found.subscription).await
    }

    /// What was paid elsewhere must show here at once.
    async fn look_soon(&self, aggregate: &str) -> Result<(), Problem> {
        let (key, now) = (aggregate.to_owned(), self.now());
        self.db()
            .write("dunning.look", move |tx| {
                let hint =
                    Hint { key: &key, priority: Urgency::Waiting, due: now, unpark: false, thorough: false };
                aggregates::mark(tx, &hint, now).map(drop)
            })
            .await?;
        self.wake();
        Ok(())
    }
}

/// Name, beginning and end of each month, newest first.
pub(crate) fn months_before(now: Timestamp, months: i32) -> Vec<(String, Timestamp, Timestamp)> {
    let today = jiff::Timestamp::from_millisecond(now.ms()).unwrap_or_default();
    let first = today.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
    let at = |date: jiff::civil::Date| {
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC);
        zoned.map_or(now, |zoned| Timestamp::from_ms(zoned.timestamp().as_millisecond()))
    };
    (0..months)
        .filter_map(|back| {
            let from = first.checked_sub(jiff::Span::new().months(back)).ok()?;
            let until = from.checked_add(jiff::Span::new().months(1)).ok()?;
            Some((from.strftime("%Y-%m").to_string(), at(from), at(until)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_whole_and_meet() {
        let now = Timestamp::from_seconds(1_772_323_200);
        assert_eq!(now.to_string(), "2026-03-01T00:00:00Z");
        let months = months_before(now, 3);
        let shown: Vec<String> =
            months.iter().map(|(name, from, until)| format!("{name} {from} {until}")).collect();
        assert_eq!(
            shown,
            [
                "2026-03 2026-03-01T00:00:00Z 2026-04-01T00:00:00Z",
                "2026-02 2026-02-01T00:00:00Z 2026-03-01T00:00:00Z",
                "2026-01 2026-01-01T00:00:00Z 2026-02-01T00:00:00Z",
            ]
        );
    }
}
