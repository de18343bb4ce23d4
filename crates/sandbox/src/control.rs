//! What tests and pages do to the sandbox that no API call can: buy, authenticate, break the network, look behind.

use crate::checkout::buy::{Buyer, Purchase};
use crate::connect::onboarding::Told;
use crate::faults::Fault;
use crate::ledger::Ledger;
use crate::model::checkout_form::Answers;
use crate::payments::attempt::Attempt;
use crate::payments::methods::TypedCard;
use crate::sandbox::Sandbox;
use crate::state::chance::Chance;
use crate::webhooks::policy::DeliveryPolicy;
use crate::wire::error::ApiError;

/// Why a control call was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SandboxError {
    /// The HTTP status that the same refusal has over HTTP.
    pub status: u16,
    /// A stable code, such as `card_declined`; empty when there is none.
    pub code: String,
    /// The issuer's code, such as `insufficient_funds`, for a refused card.
    pub decline_code: Option<String>,
    /// A sentence for people; it says whether money moved where that could be in doubt.
    pub message: String,
}

impl SandboxError {
    pub(crate) fn invalid(message: String) -> Self {
        Self { status: 400, code: String::new(), decline_code: None, message }
    }
}

impl From<ApiError> for SandboxError {
    fn from(error: ApiError) -> Self {
        Self {
            status: error.status(),
            code: error.code().unwrap_or_default().to_owned(),
            decline_code: error.extra("decline_code").and_then(serde_json::Value::as_str).map(str::to_owned),
            message: error.message().to_owned(),
        }
    }
}

/// How a purchase stands after a buyer's step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutOutcome {
    /// The session is complete; the buyer goes to this URL, where there is one.
    Complete {
        /// The session's success URL with its id filled in.
        redirect_url: Option<String>,
    },
    /// The buyer must authenticate: see [`Sandbox::authenticate`].
    RequiresAction {
        /// `pi_…` or `seti_…`.
        intent: String,
        /// The page of the bank.
        url: String,
    },
}

impl Sandbox {
    /// The buyer pays an open session with a test token (`pm_card_visa`) or a payment method's id; with nothing where
    /// the session needs no method. What else the session asks is answered with something that will do.
    ///
    /// # Errors
    /// When the card is refused (the session stays open) or the session is not open.
    pub fn complete_checkout(
        &self,
        session_id: &str,
        payment_method: &str,
    ) -> Result<CheckoutOutcome, SandboxError> {
        self.buy(
            session_id,
            &Buyer {
                payment_method: payment_method.to_owned(),
                answers: Answers { made_up: true, ..Answers::default() },
                ..Buyer::default()
            },
        )
    }

    /// The buyer makes so many of a line whose quantity they can change.
    ///
    /// # Errors
    /// When the session does not sell so many of it.
    pub fn adjust_line(&self, session_id: &str, line: &str, quantity: i64) -> Result<(), SandboxError> {
        self.change(|world| world.adjust_line(session_id, line, quantity)).map_err(SandboxError::from)
    }

    /// The buyer adds so many of an optional item, by its place, or takes it out again with none.
    ///
    /// # Errors
    /// When the session does not offer it, or not so many.
    pub fn choose_optional(
        &self,
        session_id: &str,
        place: Option<usize>,
        quantity: Option<i64>,
    ) -> Result<(), SandboxError> {
        // What is no number is no item, and more than any can have.
        let (place, quantity) = (place.unwrap_or(usize::MAX), quantity.unwrap_or(i64::MAX));
        self.change(|world| world.choose_optional(session_id, place, quantity)).map_err(SandboxError::from)
    }

    /// The buyer types a promotion code into an open session that takes them; an empty one takes the discount back.
    ///
    /// # Errors
    /// When the code cannot be used here.
    pub fn type_code(&self, session_id: &str, code: &str) -> Result<(), SandboxError> {
        self.change(|world| world.type_code(session_id, code)).map_err(SandboxError::from)
    }

    /// The buyer of an open session that must know it says in which country they are: two letters, such as `DE`.
    ///
    /// # Errors
    /// When the session does not ask, or the text is no country.
    pub fn type_country(&self, session_id: &str, country: &str) -> Result<(), SandboxError> {
        self.change(|world| world.type_country(session_id, country)).map_err(SandboxError::from)
    }

    pub(crate) fn buy(&self, session_id: &str, buyer: &Buyer) -> Result<CheckoutOutcome, SandboxError> {
        self.change(|world| match world.on_line_of(session_id, |world| world.buy(session_id, buyer))? {
            Purchase::Complete => Ok(CheckoutOutcome::Complete {
                redirect_url: world
                    .sessions
                    .get(session_id)
                    .and_then(crate::model::checkout::CheckoutSession::redirect_url),
            }),
            Purchase::RequiresAction(intent) => Ok(CheckoutOutcome::RequiresAction {
                url: format!("{}/3ds/{intent}", world.public_url),
                intent,
            }),
        })
        .map_err(|error: ApiError| error.into())
    }

    /// Makes a payment method from what a buyer typed.
    ///
    /// # Errors
    /// When the number, the date or the code is wrong.
    pub fn card(&self, typed: &TypedCard) -> Result<String, SandboxError> {
        self.change(|world| world.card_from_typed(typed)).map_err(SandboxError::from)
    }

    /// The 3-D Secure step of a payment (`pi_…`) or of saving a card (`seti_…`). Answers whether the payment succeeded.
    ///
    /// # Errors
    /// When the intent does not wait for it.
    pub fn authenticate(&self, intent: &str, success: bool) -> Result<bool, SandboxError> {
        self.change(|world| {
            world.on_line_of(intent, |world| {
                if intent.starts_with("seti_") {
                    world.authenticate_setup(intent, success)
                } else {
                    world.authenticate_payment(intent, success)
                }
            })
        })
        .map(|attempt| matches!(attempt, Attempt::Succeeded | Attempt::Held))
        .map_err(SandboxError::from)
    }

    /// Moves a test clock ahead to a unix second, at once and without the limits of the API.
    ///
    /// # Errors
    /// When there is no such clock, it is on its way already, or the instant has passed or is too far away.
    pub fn move_test_clock(&self, id: &str, to: i64) -> Result<(), SandboxError> {
        self.change(|world| world.move_clock(id, to)).map_err(SandboxError::from)
    }

    /// The owner of a connected account fills the onboarding page, with test data for what is not known.
    ///
    /// # Errors
    /// When the platform cannot speak for such an account.
    pub fn onboard_account(&self, account: &str) -> Result<(), SandboxError> {
        self.change(|world| {
            let known = world.live_account(account)?;
            world.onboard(account, &Told::known(&known).or_test_data());
            Ok(())
        })
        .map_err(|error: ApiError| error.into())
    }

    /// The delivery policy in force.
    #[must_use]
    pub fn delivery_policy(&self) -> DeliveryPolicy {
        self.read(|world| world.policy.clone())
    }

    /// Sets how the network treats webhooks from now on.
    ///
    /// # Errors
    /// When a probability is not between 0 and 1 or a delay too long; the old policy then stays.
    pub fn set_delivery_policy(&self, policy: DeliveryPolicy) -> Result<(), SandboxError> {
        if let Some(fault) = policy.fault() {
            return Err(SandboxError::invalid(format!("{fault}. The policy is unchanged.")));
        }
        self.change(|world| {
            if let Some(seed) = policy.seed {
                world.policy_chance = Chance::from(seed);
            }
            world.policy = policy;
        });
        Ok(())
    }

    /// Delivers an event again, now, whatever the policy. Answers the number of deliveries.
    ///
    /// # Errors
    /// When there is no such event.
    pub fn deliver_event(
        &self,
        event_id: &str,
        times: u32,
        concurrently: bool,
    ) -> Result<usize, SandboxError> {
        let queued = self.change(|world| world.deliver_again(event_id, times.min(1000), concurrently));
        queued.ok_or_else(|| ApiError::missing("event", event_id, "id").into())
    }

    /// The faults in force.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.read(|world| world.faults.clone())
    }

    /// Replaces the faults in force.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.change(|world| {
            world.faults = faults;
            world.rates.clear();
        });
    }

    /// What really happened to the money: the truth for oracles.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.read(Ledger::of)
    }
}
