//! The life of a checkout session outside a purchase: made, expired.

use crate::model::checkout::{CheckoutSession, Mode, SessionStatus};
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

impl World {
    /// Opens a session. Its time runs out on the account's own clock: a test clock does not wait for buyers.
    pub(crate) fn open_session(&mut self, session: CheckoutSession) {
        self.set_own_timer(session.expires_at, Timer::SessionExpires(session.id.clone()));
        self.sessions.put(session);
    }

    /// Closes an open session unpaid.
    pub(crate) fn expire_session(&mut self, id: &str) -> ApiResult<()> {
        let mut session = need(&self.sessions, id, "session")?;
        if session.status != SessionStatus::Open {
            let message = format!(
                "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `{}`.",
                session.status.as_str()
            );
            return Err(ApiError::refused(message).param("session"));
        }
        if let Some(intent) = session.pending_intent.take() {
            self.cancel_intent(&intent, "automatic");
        }
        session.status = SessionStatus::Expired;
        let object = session.render();
        self.sessions.put(session);
        self.emit("checkout.session.expired", object);
        Ok(())
    }

    /// The time of a session is up.
    pub(crate) fn session_time_is_up(&mut self, id: &str) {
        if self.sessions.get(id).is_some_and(|session| session.status == SessionStatus::Open) {
            // It is open, so expiring it cannot be refused.
            let _ = self.expire_session(id);
        }
    }

    /// What the buyer pays now: nothing while a trial runs.
    pub(crate) fn amount_now(session: &CheckoutSession) -> i64 {
        match session.mode {
            Mode::Payment | Mode::Subscription => session.amount_total(),
            Mode::Setup => 0,
        }
    }
}
