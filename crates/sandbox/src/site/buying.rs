//! The buyer's pages: checkout, the bank's step, and what became of it.

use super::frame::{Fields, frame, frame_of, html, interval, locale, money, problem, redirect};
use crate::checkout::buy::Buyer;
use crate::checkout::links::Visit;
use crate::control::{CheckoutOutcome, SandboxError};
use crate::model::checkout::{CheckoutSession, Mode, PaymentStatus, SessionStatus};
use crate::pages::{
    self, CardFields, CardForm, CheckoutLine, CheckoutMode, CheckoutView, FormProblem, OutcomeView,
    SessionOutcome, StepField, SubmitWord, ThreeDSecureView,
};
use crate::payments::methods::TypedCard;
use crate::sandbox::Sandbox;
use crate::state::world::World;
use crate::wire::request::{HttpRequest, HttpResponse};

/// What the buyer typed last and why it came back.
#[derive(Default)]
struct Typed {
    email: String,
    form: CardForm,
    /// The step, and what was typed for it, that came back.
    refused: Option<(String, String)>,
}

/// `/c/pay/{cs}`: shows the session, or takes the form.
pub(super) fn checkout(sandbox: &Sandbox, request: &HttpRequest, id: &str) -> HttpResponse {
    let Some(session) = sandbox.read(|world| world.sessions.get(id).cloned()) else {
        return sandbox.read(|world| problem(world, request, 404, "There is no such checkout session."));
    };
    match (request.method.as_str(), session.status) {
        ("GET", SessionStatus::Open) => {
            let asked = Fields::asked(request);
            let cause = match asked.text("declined") {
                "" => {
                    (asked.text("problem") == "authentication").then_some(FormProblem::AuthenticationFailed)
                }
                code => Some(FormProblem::Declined(code.to_owned())),
            };
            let typed =
                Typed { form: CardForm { problem: cause, ..CardForm::default() }, ..Typed::default() };
            show(sandbox, request, &session, typed, 200)
        }
        ("POST", SessionStatus::Open) => pay(sandbox, request, &session),
        ("GET" | "POST", SessionStatus::Complete | SessionStatus::Expired) => {
            outcome(sandbox, request, &session)
        }
        _ => sandbox.read(|world| problem(world, request, 405, "This page takes GET and POST.")),
    }
}

fn show(
    sandbox: &Sandbox,
    request: &HttpRequest,
    session: &CheckoutSession,
    typed: Typed,
    status: u16,
) -> HttpResponse {
    let leads_to: Vec<&str> = [&session.success_url, &session.return_url, &session.cancel_url]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let view = sandbox.read(|world| view(world, request, session, typed));
    html(status, pages::checkout_page(&view), &leads_to)
}

fn view(world: &World, request: &HttpRequest, session: &CheckoutSession, typed: Typed) -> CheckoutView {
    let currency = session.currency.clone().unwrap_or_default();
    let data = &session.subscription_data;
    let now = world.now_of(session.customer.as_deref());
    let trial_end = data.trial_end.or(data.trial_days.map(|days| now + days * 86_400));
    let refused =
        |step: &str| typed.refused.as_ref().filter(|(of, _)| of == step).map(|(_, text)| text.clone());
    CheckoutView {
        frame: frame_of(
            world,
            request,
            locale(request, session.locale.as_deref()),
            session.customer.as_deref(),
        ),
        session_id: session.id.clone(),
        merchant: world.merchant.clone(),
        mode: match session.mode {
            Mode::Payment => CheckoutMode::Payment,
            Mode::Subscription => CheckoutMode::Subscription,
            Mode::Setup => CheckoutMode::Setup,
        },
        lines: session
            .lines
            .iter()
            .map(|line| CheckoutLine {
                name: line.description.clone(),
                // A metered line has none, and says nothing of it.
                quantity: u64::try_from(line.quantity.max(1)).unwrap_or(1),
                amount: money(line.amount, &currency),
                interval: world.prices.get(&line.price).and_then(interval),
                adjustable: line.adjustable.map(|(least, most)| (line.id.clone(), least, most)),
            })
            .collect(),
        subtotal: (session.amount_subtotal() != session.amount_total())
            .then(|| money(session.amount_subtotal(), &currency)),
        discount: (session.amount_discount() != 0).then(|| money(session.amount_discount(), &currency)),
        tax: (session.amount_tax() != 0).then(|| money(session.amount_tax(), &currency)),
        total: (session.mode != Mode::Setup).then(|| money(session.amount_total(), &currency)),
        trial_days: trial_end.map(|end| u32::try_from((end - now + 86_399) / 86_400).unwrap_or(0)),
        after_trial: trial_end.map(|_| money(session.after_trial(), &currency)),
        trial_end,
        email: session.customer_email.clone().or(session
            .customer
            .as_ref()
            .and_then(|id| world.customers.get(id))
            .and_then(|customer| customer.email.clone())),
        email_typed: typed.email,
        form: typed.form,
        code: (session.allow_promotion_codes == Some(true)).then(|| StepField {
            applied: session
                .discounts
                .iter()
                .filter_map(|discount| discount.promotion_code.as_ref())
                .find_map(|code| world.promotion_codes.get(code).map(|code| code.code.clone())),
            refused: refused("code"),
        }),
        country: session
            .automatic_tax
            .is_on()
            .then(|| StepField { applied: session.country.clone(), refused: refused("country") }),
        other_ways: super::pending::other_ways(session),
        needs_card: !session.needs_no_method() && session.method_types().contains(&"card"),
        button: submit_word(session),
        details: super::details::view(session, currency_of(session)),
        consent: super::details::consent(session),
        optional: super::details::optional(world, session, currency_of(session)),
        action: if request.path.starts_with("/embed/") {
            format!("{}?{}", request.path, request.query)
        } else {
            format!("/c/pay/{}", session.id)
        },
        cancel_url: session.cancel_url.clone(),
    }
}

fn currency_of(session: &CheckoutSession) -> &str {
    session.currency.as_deref().unwrap_or_default()
}

/// What the button says in payment mode.
fn submit_word(session: &CheckoutSession) -> SubmitWord {
    match session.submit_type.as_deref() {
        Some("book") => SubmitWord::Book,
        Some("donate") => SubmitWord::Donate,
        Some(_) | None => SubmitWord::Pay,
    }
}

fn pay(sandbox: &Sandbox, request: &HttpRequest, session: &CheckoutSession) -> HttpResponse {
    let posted = Fields::posted(request);
    let back = |cause: FormProblem, status: u16| {
        let form = CardForm { name: posted.text("name").to_owned(), problem: Some(cause) };
        let typed = Typed { email: posted.text("email").to_owned(), form, ..Typed::default() };
        show(sandbox, request, session, typed, status)
    };
    let step = match posted.text("step") {
        "code" => Some((
            posted.text("promotion_code"),
            sandbox.type_code(&session.id, posted.text("promotion_code")),
        )),
        "quantity" => {
            // What is no number is more than any line can have.
            let quantity = posted.text("quantity").parse::<i64>().unwrap_or(i64::MAX);
            Some((posted.text("quantity"), sandbox.adjust_line(&session.id, posted.text("line"), quantity)))
        }
        "optional" => {
            let number = |name: &str| posted.text(name).parse::<i64>().ok();
            let place = number("place").and_then(|place| usize::try_from(place).ok());
            let chosen = sandbox.choose_optional(&session.id, place, number("quantity"));
            Some((posted.text("quantity"), chosen))
        }
        "country" => {
            Some((posted.text("country"), sandbox.type_country(&session.id, posted.text("country"))))
        }
        _ => None,
    };
    match step {
        Some((_, Ok(()))) => return redirect(&request.path),
        Some((typed, Err(_))) => {
            let typed = Typed {
                refused: Some((posted.text("step").to_owned(), typed.to_owned())),
                ..Typed::default()
            };
            return show(sandbox, request, session, typed, 422);
        }
        None => {}
    }
    let known = sandbox.read(|world| view(world, request, session, Typed::default()).email);
    let email = known.clone().unwrap_or_else(|| posted.text("email").to_owned());
    if !looks_like_email(&email) {
        return back(FormProblem::Email, 422);
    }
    let other = posted.text("method");
    let name = Some(posted.text("name").to_owned()).filter(|name| !name.is_empty());
    let buyer = Buyer {
        email: Some(email),
        name,
        answers: super::details::answers(session, &posted),
        ..Buyer::default()
    };
    let result = if session.needs_no_method() {
        sandbox.buy(&session.id, &buyer)
    } else if super::pending::other_ways(session).iter().any(|(method, _)| method == other) {
        sandbox.buy(&session.id, &Buyer { payment_method: other.to_owned(), ..buyer })
    } else {
        let fields = match read_card(sandbox.now(), &posted) {
            Ok(fields) => fields,
            Err(cause) => return back(cause, 422),
        };
        sandbox
            .card(&typed_card(&fields))
            .and_then(|payment_method| sandbox.buy(&session.id, &Buyer { payment_method, ..buyer }))
    };
    match result {
        Ok(CheckoutOutcome::Complete { redirect_url })
            if ["pm_konbini", "pm_customerBalance"].contains(&other) =>
        {
            let intent = sandbox.read(|world| {
                world.sessions.get(&session.id).and_then(|session| session.payment_intent.clone())
            });
            let voucher = intent.map(|intent| format!("/pending/{intent}"));
            redirect(&voucher.or(redirect_url).unwrap_or_else(|| request.path.clone()))
        }
        Ok(CheckoutOutcome::Complete { redirect_url: Some(url) }) => redirect(&url),
        Ok(CheckoutOutcome::Complete { redirect_url: None }) => redirect(&request.path),
        Ok(CheckoutOutcome::RequiresAction { intent, .. }) => redirect(&format!("/3ds/{intent}")),
        Err(error) if error.status == 402 => back(FormProblem::Declined(decline_word(&error)), 402),
        Err(error) if error.code == "checkout_details_missing" => back(FormProblem::Details, 422),
        Err(error) => sandbox.read(|world| problem(world, request, error.status, &error.message)),
    }
}

/// The word under which a refusal is explained.
pub(super) fn decline_word(error: &SandboxError) -> String {
    error.decline_code.clone().unwrap_or_else(|| error.code.clone())
}

/// Reads the card fields of a form.
pub(super) fn read_card(now: i64, posted: &Fields) -> Result<CardFields, FormProblem> {
    let today = jiff::Timestamp::from_second(now).map_or((2000, 1), |now| {
        let date = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        (u32::try_from(date.year()).unwrap_or(2000), u32::try_from(date.month()).unwrap_or(1))
    });
    pages::parse_card_fields(
        posted.text("number"),
        posted.text("expiry"),
        posted.text("cvc"),
        posted.text("name"),
        today,
    )
    .map_err(FormProblem::Card)
}

/// The card for the state machine.
pub(super) fn typed_card(fields: &CardFields) -> TypedCard {
    TypedCard {
        number: fields.number.clone(),
        exp_month: i64::from(fields.exp_month),
        exp_year: i64::from(fields.exp_year),
        cvc: fields.cvc.clone(),
    }
}

fn looks_like_email(text: &str) -> bool {
    text.len() <= 254
        && text.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace)
        })
}

/// `/r/{token}`: opens a copy of an expired session.
pub(super) fn recover(sandbox: &Sandbox, request: &HttpRequest, token: &str) -> HttpResponse {
    match sandbox.change(|world| world.recover_session(token)) {
        Ok(id) => redirect(&format!("/c/pay/{id}")),
        Err(error) => sandbox.read(|world| problem(world, request, error.status(), error.message())),
    }
}

/// `/b/{token}`: a payment link, which opens a session of its own for every visit.
pub(super) fn follow(sandbox: &Sandbox, request: &HttpRequest, token: &str) -> HttpResponse {
    let asked = Fields::asked(request);
    let given = |name: &str| Some(asked.text(name).to_owned()).filter(|text| !text.is_empty());
    let visit = Visit { client_reference_id: given("client_reference_id"), email: given("prefilled_email") };
    match sandbox.change(|world| world.follow_link(token, visit)) {
        Ok(id) => redirect(&format!("/c/pay/{id}")),
        Err(error) => sandbox.read(|world| problem(world, request, error.status(), error.message())),
    }
}

fn outcome(sandbox: &Sandbox, request: &HttpRequest, session: &CheckoutSession) -> HttpResponse {
    let paid = (session.payment_status == PaymentStatus::Paid)
        .then(|| money(session.amount_total(), session.currency.as_deref().unwrap_or_default()));
    let (outcome, continue_url) = match session.status {
        SessionStatus::Complete if session.payment_status == PaymentStatus::Unpaid => {
            (SessionOutcome::Processing, session.redirect_url())
        }
        SessionStatus::Complete => (SessionOutcome::AlreadyComplete { paid }, session.redirect_url()),
        SessionStatus::Expired | SessionStatus::Open => (SessionOutcome::Expired, session.cancel_url.clone()),
    };
    let (frame, merchant) = sandbox.read(|world| {
        (frame(world, request, locale(request, session.locale.as_deref())), world.merchant.clone())
    });
    let view = OutcomeView { frame, merchant, outcome, session_id: session.id.clone(), continue_url };
    html(200, pages::outcome_page(&view), &[])
}

/// `/3ds/{intent}`: the bank's step.
pub(super) fn three_d_secure(sandbox: &Sandbox, request: &HttpRequest, id: &str) -> HttpResponse {
    if request.method == "POST" {
        let success = match Fields::posted(request).text("outcome") {
            "success" => true,
            "failure" => false,
            _ => {
                return sandbox
                    .read(|world| problem(world, request, 400, "The form has no outcome. No money moved."));
            }
        };
        return match sandbox.authenticate(id, success) {
            Ok(succeeded) => sandbox.read(|world| redirect(&after_bank(world, id, success, succeeded))),
            Err(error) => sandbox.read(|world| problem(world, request, error.status, &error.message)),
        };
    }
    sandbox.read(|world| match bank_view(world, request, id) {
        Some(view) => {
            let leads_to = world.payment_intents.get(id).and_then(|intent| intent.return_url.clone());
            let leads_to =
                leads_to.or(world.setup_intents.get(id).and_then(|intent| intent.return_url.clone()));
            html(200, pages::three_d_secure_page(&view), &leads_to.as_deref().into_iter().collect::<Vec<_>>())
        }
        None => problem(world, request, 404, "Nothing waits for an authentication here. No money moved."),
    })
}

/// Whether a payment waits for its owner to prove who they are.
pub(super) fn bank_waits(world: &World, intent: &str) -> bool {
    use crate::model::payment::IntentStatus::RequiresAction;
    let found = world.payment_intents.get(intent);
    found.is_some_and(|intent| intent.status == RequiresAction && intent.voucher.is_none())
}

fn bank_view(world: &World, request: &HttpRequest, id: &str) -> Option<ThreeDSecureView> {
    use crate::model::payment::IntentStatus::RequiresAction;
    let payment = world
        .payment_intents
        .get(id)
        .filter(|intent| intent.status == RequiresAction && intent.voucher.is_none());
    let setup = world.setup_intents.get(id).filter(|intent| intent.status == RequiresAction);
    let method = payment
        .and_then(|intent| intent.payment_method.as_ref())
        .or(setup.and_then(|intent| intent.payment_method.as_ref()))?;
    let session = payment
        .and_then(|intent| intent.session.as_ref())
        .or(setup.and_then(|intent| intent.session.as_ref()));
    let wanted = session.and_then(|id| world.sessions.get(id)).and_then(|session| session.locale.as_deref());
    Some(ThreeDSecureView {
        frame: frame(world, request, locale(request, wanted)),
        merchant: world.merchant.clone(),
        amount: payment.map(|intent| money(intent.amount, &intent.currency)),
        last4: world
            .payment_methods
            .get(method)
            .map(|method| method.instrument.last4().to_owned())
            .unwrap_or_default(),
        intent_id: id.to_owned(),
        action: format!("/3ds/{id}"),
    })
}

/// Where the browser goes after the bank's step.
fn after_bank(world: &World, id: &str, authenticated: bool, succeeded: bool) -> String {
    let payment = world.payment_intents.get(id);
    let setup = world.setup_intents.get(id);
    let session = payment
        .and_then(|intent| intent.session.as_ref())
        .or(setup.and_then(|intent| intent.session.as_ref()));
    match (session.and_then(|id| world.sessions.get(id)), succeeded) {
        (Some(session), true) => session.redirect_url().unwrap_or_else(|| format!("/c/pay/{}", session.id)),
        (Some(session), false) if authenticated => {
            let error = payment.map(|intent| &intent.last_error);
            let word =
                |name: &str| error.and_then(|error| error.get(name)).and_then(serde_json::Value::as_str);
            let code = word("decline_code").or(word("code")).unwrap_or("generic_decline");
            format!("/c/pay/{}?declined={code}", session.id)
        }
        (Some(session), false) => format!("/c/pay/{}?problem=authentication", session.id),
        (None, _) => {
            let return_url = payment
                .and_then(|intent| intent.return_url.clone())
                .or(setup.and_then(|intent| intent.return_url.clone()));
            let invoice =
                payment.and_then(|intent| intent.invoice.as_ref()).map(|invoice| format!("/i/{invoice}"));
            return_url.or(invoice).unwrap_or_else(|| "/".to_owned())
        }
    }
}
