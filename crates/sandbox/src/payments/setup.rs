//! Saving a card without a payment.

use serde_json::Value;

use super::attempt::{Attempt, Presence, error_value, foresee};
use crate::model::accounts::TypeFilter;
use crate::model::card::{Challenge, Decline};
use crate::model::customer::PaymentMethod;
use crate::model::payment::{IntentStatus, SetupIntent};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::Metadata;

/// A card that is about to be saved.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewSetup {
    pub(crate) customer: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) usage: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) types: TypeFilter,
    pub(crate) no_redirects: bool,
}

impl World {
    /// Makes an intent to save a card.
    pub(crate) fn add_setup(&mut self, new: NewSetup) -> String {
        let id = self.chance.id("seti_");
        let intent = SetupIntent {
            client_secret: format!("{id}_secret_{}", self.chance.text(24)),
            page_url: format!("{}/3ds/{id}", self.public_url),
            id: id.clone(),
            created: self.now,
            status: IntentStatus::RequiresPaymentMethod,
            customer: new.customer,
            payment_method: None,
            description: new.description,
            metadata: new.metadata,
            usage: new.usage.unwrap_or_else(|| "off_session".to_owned()),
            last_error: Value::Null,
            cancellation_reason: None,
            return_url: new.return_url,
            session: new.session,
            types: new.types,
            no_redirects: new.no_redirects,
        };
        let object = intent.render();
        self.setup_intents.put(intent);
        self.emit("setup_intent.created", object);
        id
    }

    /// Tries to save the card.
    pub(crate) fn attempt_setup(
        &mut self,
        intent_id: &str,
        method_id: &str,
        authenticated: bool,
    ) -> ApiResult<Attempt> {
        let mut intent = need(&self.setup_intents, intent_id, "setup_intent")?;
        let mut method = need(&self.payment_methods, method_id, "payment_method")?;
        let card = method.instrument.card();
        if method.instrument.account().is_some_and(|account| !account.rail.is_debit()) {
            return Err(
                ApiError::rule("This payment method pays once and cannot be saved.").param("payment_method")
            );
        }
        let asks = card.is_some_and(|card| card.challenge != Challenge::Never);
        let refuses = card.is_some_and(|card| card.refuses_attachment);
        // A card that asks for authentication and then declines payments can still be saved.
        let attempt = match foresee(&method, Presence::OnSession, authenticated) {
            Attempt::Declined(decline) if !asks && refuses => Attempt::Declined(decline),
            Attempt::RequiresAction => Attempt::RequiresAction,
            Attempt::Declined(_) | Attempt::Held | Attempt::Underway | Attempt::Succeeded => {
                Attempt::Succeeded
            }
        };
        intent.payment_method = Some(method_id.to_owned());
        match attempt {
            Attempt::RequiresAction => {
                intent.status = IntentStatus::RequiresAction;
                let object = intent.render();
                self.setup_intents.put(intent);
                self.emit("setup_intent.requires_action", object);
            }
            Attempt::Declined(decline) => self.refuse_setup(intent, &decline, &method),
            Attempt::Held | Attempt::Underway | Attempt::Succeeded => {
                if let Some(customer) = &intent.customer {
                    self.attach_method(method_id, customer)?;
                    method = need(&self.payment_methods, method_id, "payment_method")?;
                }
                method.set_up = intent.usage == "off_session";
                self.payment_methods.put(method);
                intent.status = IntentStatus::Succeeded;
                let (object, session) = (intent.render(), intent.session.clone());
                self.setup_intents.put(intent);
                self.emit("setup_intent.succeeded", object);
                if let Some(session) = session {
                    self.session_set_up(&session, intent_id)?;
                }
            }
        }
        Ok(attempt)
    }

    fn refuse_setup(&mut self, mut intent: SetupIntent, decline: &Decline, method: &PaymentMethod) {
        intent.status = IntentStatus::RequiresPaymentMethod;
        intent.payment_method = None;
        intent.last_error = error_value(decline, None, method);
        let object = intent.render();
        self.setup_intents.put(intent);
        self.emit("setup_intent.setup_failed", object);
    }

    /// The 3-D Secure step of saving a card.
    pub(crate) fn authenticate_setup(&mut self, intent_id: &str, success: bool) -> ApiResult<Attempt> {
        let intent = need(&self.setup_intents, intent_id, "setup_intent")?;
        let (IntentStatus::RequiresAction, Some(method)) = (intent.status, intent.payment_method.clone())
        else {
            return Err(ApiError::state(
                "setup_intent_unexpected_state",
                "This card does not wait for an authentication.",
            ));
        };
        if success {
            return self.attempt_setup(intent_id, &method, true);
        }
        let failure = Decline {
            code: "setup_intent_authentication_failure",
            decline_code: None,
            message: "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
        };
        let method = need(&self.payment_methods, &method, "payment_method")?;
        self.refuse_setup(intent, &failure, &method);
        Ok(Attempt::Declined(failure))
    }
}
