//! A payment link is followed: a session of its own for every visit.

use crate::model::checkout::CheckoutSession;
use crate::model::payment_link::PaymentLink;
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};

const DAY: i64 = 86_400;

/// What the address of a link can say beside its name.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    pub(crate) client_reference_id: Option<String>,
    pub(crate) email: Option<String>,
}

impl World {
    /// Opens a session for somebody who follows a link. Answers the session's id.
    pub(crate) fn follow_link(&mut self, token: &str, visit: Visit) -> ApiResult<String> {
        let link = self.payment_links.iter().find(|link| link.token == token).cloned();
        let link = link.ok_or_else(|| ApiError::missing("payment_link", token, "payment_link"))?;
        if !link.active {
            let message =
                link.inactive_message.unwrap_or_else(|| "This link is not active any more.".to_owned());
            return Err(ApiError::refused(message));
        }
        let id = self.chance.id("cs_test_");
        let now = self.own_now();
        let mut session = CheckoutSession {
            page_url: format!("{}/c/pay/{id}", self.public_url),
            id: id.clone(),
            created: now,
            expires_at: now + DAY,
            client_reference_id: visit.client_reference_id,
            customer_email: visit.email,
            payment_link: Some(link.id),
            ..link.session
        };
        for line in &mut session.lines {
            line.id = self.chance.id("li_");
        }
        // Taxes and the settings behind them may have changed since.
        self.price_session(&mut session);
        self.open_session(session);
        Ok(id)
    }

    /// A session of a link is complete; the last that may be closes the link.
    pub(crate) fn count_completed(&mut self, link: &str) {
        let Some(mut link) = self.payment_links.get(link).cloned() else { return };
        let Some(limit) = &mut link.limit else { return };
        limit.completed += 1;
        let full = limit.completed >= limit.most;
        let before = self.payment_links.get(&link.id).map(PaymentLink::render).unwrap_or_default();
        link.active &= !full;
        let after = link.render();
        self.payment_links.put(link);
        if full {
            self.emit_change("payment_link.updated", &before, after);
        }
    }
}
