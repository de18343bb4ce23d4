//! The life of a checkout session outside a purchase: made, expired.

use crate::model::checkout::{CheckoutSession, Mode, SessionStatus};
use crate::model::checkout_form::RecoveryLink;
use crate::state::timers::Timer;
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};

/// How long an expired session can be recovered, in seconds: thirty days.
const RECOVERY_SECONDS: i64 = 30 * DAY;
const DAY: i64 = 86_400;

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
        if let Some(recovery) = &mut session.form.recovery {
            let token = format!("test_{}", self.chance.text(40));
            let url = format!("{}/r/{token}", self.public_url);
            recovery.link = Some(RecoveryLink { token, url, until: self.now + RECOVERY_SECONDS });
        }
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

    /// The buyer follows the link of an expired session: a copy of it, open again. Answers the copy's id.
    pub(crate) fn recover_session(&mut self, token: &str) -> ApiResult<String> {
        let now = self.now;
        let expired = self.sessions.iter().find(|session| {
            let link = session.form.recovery.as_ref().and_then(|recovery| recovery.link.as_ref());
            link.is_some_and(|link| link.token == token && link.until > now)
        });
        let expired = expired.cloned().ok_or_else(|| ApiError::missing("recovery link", token, "token"))?;
        let copies = |session: &&CheckoutSession| {
            session.form.recovered_from.as_ref() == Some(&expired.id)
                && session.status != SessionStatus::Expired
        };
        if let Some(copy) = self.sessions.iter().find(copies) {
            return Ok(copy.id.clone());
        }
        let id = self.chance.id("cs_test_");
        let mut copy = CheckoutSession {
            page_url: format!("{}/c/pay/{id}", self.public_url),
            id: id.clone(),
            created: now,
            expires_at: now + DAY,
            status: SessionStatus::Open,
            payment_intent: None,
            ..expired.clone()
        };
        copy.form.recovered_from = Some(expired.id);
        if let Some(recovery) = &mut copy.form.recovery {
            recovery.link = None;
            copy.allow_promotion_codes = Some(recovery.allow_promotion_codes);
        }
        self.open_session(copy);
        Ok(id)
    }

    /// What the buyer pays now: nothing while a trial runs.
    pub(crate) fn amount_now(session: &CheckoutSession) -> i64 {
        match session.mode {
            Mode::Payment | Mode::Subscription => session.amount_total(),
            Mode::Setup => 0,
        }
    }
}
