//! Reads what a request says about shares in a payment, and refuses what cannot be.

use crate::model::account::Account;
use crate::model::share::{Portion, Share};
use crate::state::world::World;
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::params::{Field, Params};

const MOST: i64 = 99_999_999;

/// A percentage from 0 to 100 with at most two decimals, in hundredths.
fn percent(params: &Params<'_>, name: &str) -> ApiResult<Field<Portion>> {
    let text = match params.text(name)? {
        Field::Absent => return Ok(Field::Absent),
        Field::Unset => return Ok(Field::Unset),
        Field::Set(text) => text,
    };
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |text: &str| text.chars().all(|char| char.is_ascii_digit());
    let read = || {
        if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 2 {
            return None;
        }
        let hundredths: i64 = format!("{whole}{decimals:0<2}").parse().ok()?;
        (hundredths <= 10_000).then_some(Portion::Percent(hundredths))
    };
    read().map(Field::Set).ok_or_else(|| {
        let message =
            format!("Invalid decimal: {text}; must be between 0 and 100 with at most two decimal places");
        ApiError::rule(message).param(&params.full(name))
    })
}

fn amount(params: &Params<'_>, name: &str) -> ApiResult<Field<Portion>> {
    Ok(match params.int_within(name, 0..=MOST)? {
        Field::Absent => Field::Absent,
        Field::Unset => Field::Unset,
        Field::Set(amount) => Field::Set(Portion::Amount(amount)),
    })
}

fn read_transfer_data(params: &Params<'_>, share: &mut Share) -> ApiResult<()> {
    if !params.has("transfer_data") {
        return Ok(());
    }
    let data = params.sub("transfer_data");
    if data.names().next().is_none() {
        share.destination = None;
        share.passed_on = None;
        return Ok(());
    }
    data.text("destination")?.apply(&mut share.destination);
    amount(&data, "amount")?.apply(&mut share.passed_on);
    percent(&data, "amount_percent")?.apply(&mut share.passed_on);
    if share.destination.is_none() {
        data.required("destination")?;
    }
    Ok(())
}

impl World {
    /// What nobody else has a share in; it tells which application asked for it.
    pub(crate) fn nobodys_share(&self) -> Share {
        Share { application: self.connected().map(|_| self.application_id()), ..Share::default() }
    }

    /// Reads the shares that a call names into what is known of them, for an account that may take payments. The amount is that of the payment, where it is
    /// known already, in minor units.
    pub(crate) fn read_share(
        &self,
        params: &Params<'_>,
        share: &mut Share,
        total: Option<i64>,
    ) -> ApiResult<()> {
        self.check_may_charge()?;
        amount(params, "application_fee_amount")?.apply(&mut share.fee);
        percent(params, "application_fee_percent")?.apply(&mut share.fee);
        read_transfer_data(params, share)?;
        params.text("on_behalf_of")?.apply(&mut share.on_behalf_of);
        params.text("transfer_group")?.apply(&mut share.transfer_group);
        if self.connected().is_some() {
            share.application = Some(self.application_id());
        }
        self.check_share(params, share, total)
    }

    fn check_share(&self, params: &Params<'_>, share: &Share, total: Option<i64>) -> ApiResult<()> {
        let fee = if params.has("application_fee_percent") {
            params.full("application_fee_percent")
        } else {
            params.full("application_fee_amount")
        };
        if share.fee.is_some() && share.destination.is_none() && self.connected().is_none() {
            let message = format!(
                "Can only apply an {fee} to a direct payment (made with the Stripe-Account header) or to a payment with `transfer_data[destination]`."
            );
            return Err(ApiError::rule(message).param(&fee));
        }
        if share.fee.is_some() && share.passed_on.is_some() {
            let message = format!("You may not provide both `{fee}` and an amount in `transfer_data`.");
            return Err(ApiError::rule(message).param(&fee));
        }
        let over = |portion: Option<Portion>| match (portion, total) {
            (Some(Portion::Amount(part)), Some(total)) => part > total,
            (Some(Portion::Amount(_) | Portion::Percent(_)) | None, _) => false,
        };
        if over(share.fee) {
            return Err(ApiError::rule("The application fee cannot be larger than the amount.").param(&fee));
        }
        if over(share.passed_on) {
            let message = "The amount in `transfer_data` cannot be larger than the amount of the payment.";
            return Err(ApiError::rule(message).param(&params.full("transfer_data[amount]")));
        }
        if let Some(to) = &share.destination {
            self.check_destination(to, &params.full("transfer_data[destination]"))?;
        }
        if let Some(seller) = &share.on_behalf_of {
            let param = params.full("on_behalf_of");
            let account = self.account_to_pay(seller, &param)?;
            if !account.charges_enabled() {
                let message = "Your destination account needs to have the capability `card_payments` enabled to be used in `on_behalf_of`.";
                return Err(ApiError::rule(message).param(&param));
            }
        }
        Ok(())
    }

    /// An account that the platform may pass money on to.
    fn account_to_pay(&self, id: &str, param: &str) -> ApiResult<&Account> {
        if self.connected().is_some() {
            let message = "A connected account cannot pass payments on: leave out the Stripe-Account header.";
            return Err(ApiError::rule(message).param(param));
        }
        self.connect
            .accounts
            .get(id)
            .filter(|_| self.may_speak_for(id))
            .ok_or_else(|| ApiError::missing("destination", id, param))
    }

    /// Refuses an account that cannot take transfers.
    pub(crate) fn check_destination(&self, id: &str, param: &str) -> ApiResult<()> {
        let account = self.account_to_pay(id, param)?;
        if account.is_active("transfers") || account.is_active("legacy_payments") {
            return Ok(());
        }
        let message = "Your destination account needs to have at least one of the following capabilities enabled: transfers, legacy_payments. No money moved.";
        Err(ApiError::rule(message).param(param))
    }

    /// Refuses a payment of an account that may not take any.
    pub(crate) fn check_may_charge(&self) -> ApiResult<()> {
        let account = self.connected().and_then(|id| self.connect.accounts.get(id));
        if account.is_none_or(Account::charges_enabled) {
            return Ok(());
        }
        let message = "Your account cannot currently make charges: it needs the capability `card_payments`. No money moved.";
        Err(ApiError::state("account_invalid", message))
    }
}
