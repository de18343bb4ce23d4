//! `/embed/{id}`: what the stand-in of the provider's browser library frames on a page of the app: a checkout session, or a
//! bare payment. Whoever has its secret may see and pay it. What is typed is posted here, as on the sandbox's own pages.

use serde_json::Value;

use super::buying::{checkout, read_card, typed_card};
use super::frame::{Fields, frame_of, html, locale, money, problem};
use crate::model::payment::{IntentStatus, PaymentIntent};
use crate::pages::{
    self, CardForm, CheckoutLine, CheckoutMode, CheckoutView, DetailsView, FormProblem, OtherWay, SubmitWord,
};
use crate::sandbox::Sandbox;
use crate::state::world::World;
use crate::wire::request::{HttpRequest, HttpResponse};

/// The key under which the form of a bare payment is sent to the API, as the library does with its own.
const KEY: &str = "sk_test_embedded";
const STORE: &str = "pm_konbini";

/// What is framed.
enum Framed {
    Session { return_url: Option<String> },
    Payment(Box<PaymentIntent>),
}

fn find(world: &World, id: &str, secret: &str) -> Option<Framed> {
    if let Some(session) = world.sessions.get(id) {
        let known = session.client_secret().is_some_and(|known| known == secret);
        return known.then(|| Framed::Session { return_url: session.return_url.clone() });
    }
    let intent = world.payment_intents.get(id).filter(|intent| intent.client_secret == secret)?;
    Some(Framed::Payment(Box::new(intent.clone())))
}

/// Shows it, or takes its form.
pub(super) fn embedded(sandbox: &Sandbox, request: &HttpRequest, id: &str) -> HttpResponse {
    let asked = Fields::asked(request);
    let Some(found) = sandbox.read(|world| find(world, id, asked.text("secret"))) else {
        return sandbox.read(|world| problem(world, request, 404, "There is nothing to pay here."));
    };
    let (answer, parent) = match found {
        Framed::Session { return_url } => (checkout(sandbox, request, id), return_url),
        Framed::Payment(intent) => {
            let parent = Some(asked.text("return_url").to_owned());
            (payment(sandbox, request, &intent), parent)
        }
    };
    framed(sandbox, request, answer, parent.as_deref())
}

/// An answer as it may stand in the frame: other pages take the whole window, and only the seller's page may frame it.
fn framed(
    sandbox: &Sandbox,
    request: &HttpRequest,
    answer: HttpResponse,
    parent: Option<&str>,
) -> HttpResponse {
    let header =
        |name: &str| answer.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let mut answer = match header("location") {
        None => answer,
        // A step of the same page.
        Some(to) if to == request.path => super::frame::redirect(&format!("{to}?{}", request.query)),
        Some(to) => {
            let to = if to.starts_with('/') {
                format!("{}{to}", sandbox.read(|world| world.public_url.clone()))
            } else {
                to
            };
            let frame = sandbox.read(|world| super::frame::frame(world, request, locale(request, None)));
            html(200, pages::leave_page(&frame, &to), &[])
        }
    };
    let ancestors = parent.and_then(pages::origin_of).map_or("'none'".to_owned(), str::to_owned);
    for (name, value) in &mut answer.headers {
        if name == "content-security-policy" {
            *value = value.replace("frame-ancestors 'none'", &format!("frame-ancestors {ancestors}"));
        }
    }
    answer
}

fn view(world: &World, request: &HttpRequest, intent: &PaymentIntent, form: CardForm) -> CheckoutView {
    let email = intent.customer.as_ref().and_then(|id| world.customers.get(id)).and_then(|c| c.email.clone());
    CheckoutView {
        frame: frame_of(world, request, locale(request, None), intent.customer.as_deref()),
        session_id: intent.id.clone(),
        merchant: world.merchant.clone(),
        mode: CheckoutMode::Payment,
        lines: vec![CheckoutLine {
            name: intent.description.clone().unwrap_or_else(|| world.merchant.clone()),
            quantity: 1,
            amount: money(intent.amount, &intent.currency),
            interval: None,
            adjustable: None,
        }],
        subtotal: None,
        discount: None,
        tax: None,
        total: Some(money(intent.amount, &intent.currency)),
        trial_days: None,
        after_trial: None,
        trial_end: None,
        email: Some(email.unwrap_or_default()),
        email_typed: String::new(),
        form,
        code: None,
        country: None,
        other_ways: if intent.currency == "jpy" {
            vec![(STORE.to_owned(), OtherWay::Store)]
        } else {
            Vec::new()
        },
        needs_card: true,
        button: SubmitWord::Pay,
        details: DetailsView::default(),
        consent: pages::ConsentView::default(),
        optional: Vec::new(),
        action: format!("{}?{}", request.path, request.query),
        cancel_url: None,
    }
}

/// The form of a bare payment.
fn payment(sandbox: &Sandbox, request: &HttpRequest, intent: &PaymentIntent) -> HttpResponse {
    let show = |cause: Option<FormProblem>, status: u16| {
        let form = CardForm { problem: cause, ..CardForm::default() };
        html(status, sandbox.read(|world| pages::checkout_page(&view(world, request, intent, form))), &[])
    };
    let open = match intent.status {
        IntentStatus::RequiresPaymentMethod | IntentStatus::RequiresConfirmation => true,
        IntentStatus::RequiresAction => intent.voucher.is_none(),
        IntentStatus::RequiresCapture
        | IntentStatus::Processing
        | IntentStatus::Succeeded
        | IntentStatus::Canceled => false,
    };
    if !open {
        return done(request, &intent.id, intent.status);
    }
    if request.method != "POST" {
        return show(None, 200);
    }
    let posted = Fields::posted(request);
    let method = if posted.text("method") == STORE {
        STORE.to_owned()
    } else {
        let fields = match read_card(sandbox.now(), &posted) {
            Ok(fields) => fields,
            Err(cause) => return show(Some(cause), 422),
        };
        match sandbox.card(&typed_card(&fields)) {
            Ok(method) => method,
            Err(error) => return show(Some(FormProblem::Declined(super::buying::decline_word(&error))), 402),
        }
    };
    let path = format!("/v1/payment_intents/{}/confirm", intent.id);
    let answer = sandbox.handle(HttpRequest::new("POST", &path, KEY, &format!("payment_method={method}")));
    let value = answer.value();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if answer.status >= 300 {
        let error = value.get("error").cloned().unwrap_or_default();
        let word = text(&error, "decline_code").or_else(|| text(&error, "code")).unwrap_or_default();
        return show(Some(FormProblem::Declined(word)), 402);
    }
    let back = return_to(request, &intent.id);
    sandbox.change(|world| {
        world.payment_intents.edit(&intent.id, |intent| intent.return_url.clone_from(&back));
    });
    let now = sandbox.read(|world| world.payment_intents.get(&intent.id).cloned());
    match now {
        Some(now) if now.voucher.is_some() => super::frame::redirect(&format!("/pending/{}", now.id)),
        Some(now) if now.status == IntentStatus::RequiresAction => {
            super::frame::redirect(&format!("/3ds/{}", now.id))
        }
        Some(now) => done(request, &now.id, now.status),
        None => show(None, 200),
    }
}

/// Where the buyer goes afterwards: what the page said, with the payment's id, and without its secret.
fn return_to(request: &HttpRequest, payment: &str) -> Option<String> {
    let asked = Fields::asked(request);
    let url = Some(asked.text("return_url")).filter(|url| pages::origin_of(url).is_some())?;
    let mark = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{mark}payment_intent={payment}"))
}

fn done(request: &HttpRequest, payment: &str, status: IntentStatus) -> HttpResponse {
    let word = if status == IntentStatus::Succeeded { "succeeded" } else { "pending" };
    let to = return_to(request, payment).map(|url| format!("{url}&redirect_status={word}"));
    super::frame::redirect(&to.unwrap_or_else(|| "/".to_owned()))
}
