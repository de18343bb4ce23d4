//! Top-ups: asked for, canceled while they are pending, and paid by the bank after the days of a debit.
//!
//! Knows no bank that refuses and no minimum. The money is available as soon as it has come.

use crate::model::topup::{Topup, TopupStatus};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// Asks the bank for the money of a top-up.
    pub(crate) fn add_topup(&mut self, topup: Topup) {
        self.timers.set(topup.arrives, Timer::TopupArrives(topup.id.clone()));
        let object = topup.render();
        self.topups.put(topup);
        self.emit("topup.created", object);
    }

    /// The bank has paid.
    pub(crate) fn topup_arrives(&mut self, id: &str) {
        let pending = |topup: &&Topup| topup.status == TopupStatus::Pending;
        let Some(mut topup) = self.topups.get(id).filter(pending).cloned() else {
            return;
        };
        let description = topup.description.clone();
        let entry = self.book("topup", id, topup.amount, 0, &topup.currency, description).id;
        self.available_at_once(&entry);
        topup.status = TopupStatus::Succeeded;
        topup.balance_transaction = Some(entry);
        let object = topup.render();
        self.topups.put(topup);
        self.emit("topup.succeeded", object);
    }

    /// Takes back a top-up that the bank has not paid yet.
    pub(crate) fn cancel_topup(&mut self, id: &str) -> ApiResult<()> {
        let mut topup = need(&self.topups, id, "topup")?;
        if topup.status != TopupStatus::Pending {
            return Err(ApiError::rule(format!(
                "Top-ups can only be canceled while they are pending; this one is {}. No money moved.",
                topup.status.as_str()
            )));
        }
        topup.status = TopupStatus::Canceled;
        let object = topup.render();
        self.topups.put(topup);
        self.emit("topup.canceled", object);
        Ok(())
    }
}
