//! Payment intents.

use serde_json::Value;

use super::{Call, methods};
use crate::model::accounts::TypeFilter;
use crate::model::currency;
use crate::model::payment::{CaptureMethod, Confirmation, IntentStatus, PaymentIntent, Statement};
use crate::model::share::Share;
use crate::payments::attempt::{Attempt, NewIntent, Presence};
use crate::state::world::{World, need};
use crate::wire::error::{ApiError, ApiResult};
use crate::wire::list::list;
use crate::wire::params::{Field, Metadata, Params};

pub(super) fn dispatch(
    world: &mut World,
    method: &str,
    path: &str,
    call: &Call<'_>,
) -> Option<ApiResult<Value>> {
    Some(match (method, path) {
        ("POST", "payment_intents") => create(world, call),
        ("GET", "payment_intents") => all(world, call),
        ("GET", "payment_intents/{id}") => payment(world, call.id()),
        ("POST", "payment_intents/{id}") => update(world, call),
        ("POST", "payment_intents/{id}/confirm") => confirm(world, call, call.id()),
        ("POST", "payment_intents/{id}/capture") => capture(world, call),
        ("POST", "payment_intents/{id}/cancel") => cancel(world, call),
        _ => return None,
    })
}

fn payment(world: &World, id: &str) -> ApiResult<Value> {
    need(&world.payment_intents, id, "intent").map(|intent| intent.render())
}

/// Since 2026-09-30 the list of types is gone from requests; older and unversioned clients may still send it.
pub(super) fn refuse_types(call: &Call<'_>) -> ApiResult<()> {
    let modern =
        call.version.is_some_and(|version| version.get(..10).is_some_and(|date| date >= "2026-09-30"));
    if modern && call.params.has("payment_method_types") {
        let message = "The parameter payment_method_types is no longer supported. Use automatic payment methods, or allowed_payment_method_types.";
        return Err(ApiError::invalid(
            "payment_method_types_no_longer_supported",
            "payment_method_types",
            message,
        ));
    }
    Ok(())
}

/// Reads which types of payment methods are taken; older and unversioned clients say `payment_method_types`.
pub(super) fn read_types(params: &Params<'_>, types: &mut TypeFilter) -> ApiResult<()> {
    let named = match params.texts("allowed_payment_method_types")? {
        Some(named) => Some(named),
        None => params.texts("payment_method_types")?,
    };
    if let Some(named) = named {
        types.allowed = Some(named).filter(|named| !named.is_empty());
    }
    if let Some(excluded) = params.texts("excluded_payment_method_types")? {
        types.excluded = excluded;
    }
    Ok(())
}

/// Reads whether methods that lead the buyer elsewhere are left out. All methods are automatic: that may be said, and not unsaid.
pub(super) fn read_no_redirects(params: &Params<'_>) -> ApiResult<bool> {
    let automatic = params.sub("automatic_payment_methods");
    if automatic.flag("enabled")? == Field::Set(false) {
        let message = "The sandbox offers payment methods by themselves only; name those that are allowed.";
        let param = automatic.full("enabled");
        return Err(ApiError::invalid("parameter_not_in_sandbox", &param, message));
    }
    Ok(automatic.one_of("allow_redirects", &["always", "never"])? == Field::Set("never"))
}

/// Refuses a payment method of a type that is not taken.
pub(super) fn check_type(world: &World, types: &TypeFilter, method: &str) -> ApiResult<()> {
    let word = world.payment_methods.get(method).map(|method| method.instrument.word());
    match word.filter(|word| !types.takes(word)) {
        Some(word) => {
            let message = format!(
                "The PaymentMethod provided ({word}) is not allowed for this intent. No money moved."
            );
            Err(ApiError::invalid("payment_intent_incompatible_payment_method", "payment_method", message))
        }
        None => Ok(()),
    }
}

/// What the buyer has agreed to. No mandate is kept of it: nothing of what is played looks at one.
pub(super) fn check_mandate(params: &Params<'_>) -> ApiResult<()> {
    let accepted = params.sub("mandate_data").sub("customer_acceptance");
    if params.has("mandate_data") && params.free("mandate_data").is_some_and(|data| !data.is_null()) {
        accepted.required("type")?;
    }
    match accepted.one_of("type", &["offline", "online"])? {
        Field::Set("online") => {
            let online = accepted.sub("online");
            online.required("ip_address")?;
            online.required("user_agent").map(drop)
        }
        Field::Set(_) | Field::Absent | Field::Unset => Ok(()),
    }
}

/// The longest text on a statement, in characters.
const LONGEST_STATEMENT: usize = 22;

/// Reads what the buyer is to find on the statement. Where a card may pay, it is a suffix only.
pub(super) fn read_statement(params: &Params<'_>, statement: &mut Statement, by_card: bool) -> ApiResult<()> {
    let read = |name: &str| {
        let given = params.text(name)?;
        let Field::Set(text) = &given else { return Ok(given) };
        let letters = text.chars().any(|char| char.is_ascii_alphabetic());
        if text.chars().count() > LONGEST_STATEMENT
            || !letters
            || text.contains(['<', '>', '\\', '\'', '"', '*'])
        {
            let message = format!(
                "A statement descriptor has a letter, up to {LONGEST_STATEMENT} characters, and none of < > \\ ' \" *"
            );
            return Err(ApiError::rule(message).param(&params.full(name)));
        }
        Ok(given)
    };
    let descriptor = read("statement_descriptor")?;
    if by_card && matches!(descriptor, Field::Set(_)) {
        let message = "The statement_descriptor parameter is not supported for the payment_method_type `card`. Pass in `statement_descriptor_suffix`, or leave it out.";
        return Err(ApiError::rule(message).param(&params.full("statement_descriptor")));
    }
    descriptor.apply(&mut statement.descriptor);
    read("statement_descriptor_suffix")?.apply(&mut statement.suffix);
    Ok(())
}

/// When the money is taken: for the intent as a whole, or for cards alone, which is the same here.
pub(super) fn read_capture(params: &Params<'_>) -> ApiResult<Field<CaptureMethod>> {
    let card = params.sub("payment_method_options").sub("card");
    if card.one_of("capture_method", &["manual"])? == Field::Set("manual") {
        return Ok(Field::Set(CaptureMethod::Manual));
    }
    Ok(match params.one_of("capture_method", &["automatic", "automatic_async", "manual"])? {
        Field::Set("manual") => Field::Set(CaptureMethod::Manual),
        Field::Set("automatic_async") => Field::Set(CaptureMethod::AutomaticAsync),
        Field::Set(_) => Field::Set(CaptureMethod::Automatic),
        Field::Absent => Field::Absent,
        Field::Unset => Field::Unset,
    })
}

/// For how long a store takes the money; the options of a bank transfer are looked at too. The official command line
/// calls a Japanese one `jp_bank_account`.
fn read_voucher_days(params: &Params<'_>) -> ApiResult<Option<i64>> {
    let transfer = params.sub("payment_method_options").sub("customer_balance");
    transfer.one_of("funding_type", &["bank_transfer"])?;
    let kind = transfer.sub("bank_transfer").text("type")?.value();
    if kind.is_some_and(|kind| !["jp_bank_transfer", "jp_bank_account"].contains(&kind.as_str())) {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "payment_method_options[customer_balance][bank_transfer][type]",
            "The sandbox plays jp_bank_transfer only.",
        ));
    }
    let konbini = params.sub("payment_method_options").sub("konbini");
    if konbini.has("expires_at") || konbini.has("confirmation_number") {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "payment_method_options[konbini]",
            "The sandbox plays expires_after_days only, and makes up the confirmation number.",
        ));
    }
    Ok(konbini.int_within("expires_after_days", 0..=60)?.value())
}

fn create(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    refuse_types(call)?;
    params.required("amount")?;
    let amount = params.int("amount")?.value().unwrap_or_default();
    let currency = params.required("currency")?.to_ascii_lowercase();
    check_amount(amount, &currency)?;
    let customer = params.text("customer")?.value();
    if let Some(customer) = &customer {
        world.live_customer(customer, "customer")?;
    }
    let mut metadata = Metadata::new();
    params.metadata_into(&mut metadata)?;
    let mut types = TypeFilter::default();
    read_types(params, &mut types)?;
    let confirmation = match params.one_of("confirmation_method", &["automatic", "manual"])? {
        Field::Set("manual") => Confirmation::Manual,
        Field::Set(_) | Field::Absent | Field::Unset => Confirmation::Automatic,
    };
    check_mandate(params)?;
    let mut share = Share::default();
    world.read_share(params, &mut share, Some(amount))?;
    let method = methods::named_or_made(world, params)?;
    let mut statement = Statement::default();
    read_statement(params, &mut statement, types.takes("card"))?;
    let id = world.add_intent(NewIntent {
        amount,
        capture_method: read_capture(params)?.value().unwrap_or_default(),
        currency,
        customer,
        description: params.text("description")?.value(),
        receipt_email: params.text("receipt_email")?.value(),
        statement,
        confirmation,
        no_redirects: read_no_redirects(params)?,
        metadata,
        shipping: params.addressed("shipping").unwrap_or_default(),
        setup_future_usage: params.text("setup_future_usage")?.value(),
        return_url: params.text("return_url")?.value(),
        voucher_days: read_voucher_days(params)?,
        types,
        invoice: None,
        session: None,
        share,
    });
    if let Some(method) = method {
        world.payment_intents.edit(&id, |intent| {
            intent.payment_method = Some(method);
            intent.status = IntentStatus::RequiresConfirmation;
        });
    }
    if params.flag("confirm")? == Field::Set(true) { confirm(world, call, &id) } else { payment(world, &id) }
}

/// Refuses an amount that cannot be charged in a currency.
fn check_amount(amount: i64, code: &str) -> ApiResult<()> {
    let (least, step) = (currency::minimum(code), currency::step(code));
    if amount < least {
        return Err(ApiError::invalid(
            "amount_too_small",
            "amount",
            format!("Amount must be at least {least} in the smallest unit of {code}."),
        ));
    }
    if amount % step != 0 {
        return Err(ApiError::invalid(
            "parameter_invalid_integer",
            "amount",
            format!("Amount must be a multiple of {step} in the smallest unit of {code}."),
        ));
    }
    if amount > 99_999_999 {
        return Err(ApiError::invalid(
            "amount_too_large",
            "amount",
            "Amount must be no more than 99999999 in the smallest unit of the currency.",
        ));
    }
    Ok(())
}

fn update(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    refuse_types(call)?;
    let mut intent = need(&world.payment_intents, call.id(), "intent")?;
    let editable = matches!(
        intent.status,
        IntentStatus::RequiresPaymentMethod
            | IntentStatus::RequiresConfirmation
            | IntentStatus::RequiresAction
    );
    if let Field::Set(amount) = params.int("amount")? {
        check_amount(amount, &intent.currency)?;
        if !editable || intent.invoice.is_some() || intent.session.is_some() {
            return Err(unexpected(&intent, "changed"));
        }
        intent.amount = amount;
    }
    read_types(params, &mut intent.types)?;
    intent.voucher_days = read_voucher_days(params)?.or(intent.voucher_days);
    if let Some(method) = methods::named_or_made(world, params)? {
        if !editable {
            return Err(unexpected(&intent, "changed"));
        }
        intent.payment_method = Some(method);
        intent.status = IntentStatus::RequiresConfirmation;
    }
    if let Field::Set(capture_method) = read_capture(params)? {
        if !editable {
            return Err(unexpected(&intent, "changed"));
        }
        intent.capture_method = capture_method;
    }
    if params
        .names()
        .any(|name| ["application_fee_amount", "transfer_data", "transfer_group"].contains(&name))
    {
        if !editable {
            return Err(unexpected(&intent, "changed"));
        }
        world.read_share(params, &mut intent.share, Some(intent.amount))?;
    }
    params.text("description")?.apply(&mut intent.description);
    params.text("receipt_email")?.apply(&mut intent.receipt_email);
    let by_card = intent.types.takes("card");
    read_statement(params, &mut intent.statement, by_card)?;
    params.metadata_into(&mut intent.metadata)?;
    let object = intent.render();
    world.payment_intents.put(intent);
    Ok(object)
}

fn unexpected(intent: &PaymentIntent, what: &str) -> ApiError {
    let message = format!(
        "This PaymentIntent could not be {what} because it has a status of {}. No money moved.",
        intent.status.as_str()
    );
    ApiError::state("payment_intent_unexpected_state", message).with("payment_intent", intent.render())
}

fn confirm(world: &mut World, call: &Call<'_>, id: &str) -> ApiResult<Value> {
    let params = &call.params;
    let intent = need(&world.payment_intents, id, "intent")?;
    match intent.status {
        IntentStatus::RequiresPaymentMethod
        | IntentStatus::RequiresConfirmation
        | IntentStatus::RequiresAction => {}
        IntentStatus::RequiresCapture
        | IntentStatus::Processing
        | IntentStatus::Succeeded
        | IntentStatus::Canceled => {
            return Err(unexpected(&intent, "confirmed"));
        }
    }
    if let Field::Set(capture_method) = read_capture(params)? {
        world.payment_intents.edit(id, |intent| intent.capture_method = capture_method);
    }
    if let Field::Set(url) = params.text("return_url")? {
        world.payment_intents.edit(id, |intent| intent.return_url = Some(url));
    }
    check_mandate(params)?;
    let mut types = intent.types.clone();
    read_types(params, &mut types)?;
    world.payment_intents.edit(id, |intent| intent.types = types.clone());
    if let Some(days) = read_voucher_days(params)? {
        world.payment_intents.edit(id, |intent| intent.voucher_days = Some(days));
    }
    if let Field::Set(usage) = params.one_of("setup_future_usage", &["on_session", "off_session"])? {
        world.payment_intents.edit(id, |intent| intent.setup_future_usage = Some(usage.to_owned()));
    }
    let method = match methods::named_or_made(world, params)? {
        Some(method) => method,
        None => intent.payment_method.clone().ok_or_else(|| {
            ApiError::state("payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it's missing a payment method. No money moved.")
        })?,
    };
    check_type(world, &types, &method)?;
    let owner = world.payment_methods.get(&method).and_then(|method| method.customer.clone());
    if owner.is_some() && owner != intent.customer {
        return Err(ApiError::rule(
            "The provided PaymentMethod belongs to another customer. No money moved.",
        )
        .param("payment_method"));
    }
    if let (None, Some(customer), true) = (&owner, &intent.customer, intent.setup_future_usage.is_some()) {
        world.attach_method(&method, customer)?;
    }
    let off_session = params.text("off_session")?.value().is_some_and(|word| word != "false");
    let presence = if off_session { Presence::OffSession } else { Presence::OnSession };
    // What was proven was so for the method that it was proven for.
    let proven = intent.proven && intent.payment_method.as_ref() == Some(&method);
    world.payment_intents.edit(id, |intent| intent.proven = false);
    let mut attempt = world.attempt_payment(id, &method, presence, proven)?;
    if attempt == Attempt::RequiresAction && off_session {
        attempt = world.refuse_unauthenticated(id, &method)?;
    }
    match attempt {
        Attempt::Succeeded | Attempt::Held | Attempt::Underway | Attempt::RequiresAction => {
            payment(world, id)
        }
        Attempt::Declined(decline) => {
            if let Some(invoice) = &intent.invoice {
                world.note_manual_failure(invoice, attempt);
            }
            Err(world.refusal(id, &decline))
        }
    }
}

fn capture(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let params = &call.params;
    if params.flag("final_capture")? == Field::Set(false) {
        return Err(ApiError::invalid(
            "parameter_not_in_sandbox",
            "final_capture",
            "The sandbox plays one capture of a payment only.",
        ));
    }
    let amount = params.int_within("amount_to_capture", 1..=99_999_999)?.value();
    let intent = need(&world.payment_intents, call.id(), "intent")?;
    let mut share = None;
    if params.has("application_fee_amount") || params.has("transfer_data") {
        let total = amount.unwrap_or_else(|| intent.capturable());
        world.read_share(params, share.insert(intent.share.clone()), Some(total))?;
    }
    let mut metadata = intent.metadata;
    params.metadata_into(&mut metadata)?;
    let mut statement = intent.statement;
    read_statement(params, &mut statement, true)?;
    if let Some(charge) = &intent.latest_charge {
        world.charges.edit(charge, |charge| charge.statement = statement.clone());
    }
    world.capture(call.id(), amount, share)?;
    world.payment_intents.edit(call.id(), |intent| {
        intent.metadata = metadata;
        intent.statement = statement;
    });
    payment(world, call.id())
}

fn cancel(world: &mut World, call: &Call<'_>) -> ApiResult<Value> {
    let intent = need(&world.payment_intents, call.id(), "intent")?;
    if matches!(intent.status, IntentStatus::Processing | IntentStatus::Succeeded | IntentStatus::Canceled) {
        return Err(unexpected(&intent, "canceled"));
    }
    let owned = intent.session.is_some() || intent.invoice.is_some();
    if owned && intent.status != IntentStatus::RequiresCapture {
        let message = "This PaymentIntent belongs to a Checkout Session or an Invoice: expire the session or void the invoice instead. No money moved.";
        return Err(ApiError::state("payment_intent_unexpected_state", message));
    }
    let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
    let reason = call.params.one_of("cancellation_reason", &reasons)?.value();
    world.cancel_intent(call.id(), reason.unwrap_or("requested_by_customer"));
    world.payment_intents.edit(call.id(), |intent| intent.cancellation_reason = reason.map(str::to_owned));
    payment(world, call.id())
}

fn all(world: &World, call: &Call<'_>) -> ApiResult<Value> {
    let customer = call.params.text("customer")?.value();
    list(
        &world.payment_intents,
        &call.params,
        "/v1/payment_intents",
        customer.as_deref(),
        |_| true,
        PaymentIntent::render,
    )
}
