//! The demo of a checkout on a page of the app: what an app's own page would do, in a few lines, with the sandbox's stand-in of
//! the provider's browser library. Only `quittance dev` shows it.

use maud::{Markup, html};
use quittance_domain::Money;

use super::format::format_money;
use super::layout::{Audience, Frame, Tone, copyable, message, page};
use super::text::{Text, say, t};

/// The demo before a checkout is open: one form for each way to pay.
#[derive(Clone, Debug)]
pub struct EmbeddedChoiceView {
    /// The frame.
    pub frame: Frame,
    /// POST with `ui`, `lang` and `customer`.
    pub action: String,
    /// Who buys, and in which language.
    pub hidden: Vec<(String, String)>,
    /// What is bought, and what it costs, for each way to pay: `ui`, the plan's name, the price.
    pub ways: Vec<(&'static str, String, Option<Money>)>,
}

/// A checkout that is open on this page.
#[derive(Clone, Debug)]
pub struct EmbeddedView {
    /// The frame.
    pub frame: Frame,
    /// The way to pay.
    pub ui: &'static str,
    /// What is bought.
    pub plan: String,
    /// The stand-in of the provider's browser library.
    pub library_url: String,
    /// For the library.
    pub publishable_key: String,
    /// For the library; in no address and no log.
    pub client_secret: String,
    /// Where the buyer goes afterwards.
    pub return_url: String,
    /// Back to the choice.
    pub back: String,
}

/// Which way to try.
#[must_use]
pub fn embedded_choice_page(view: &EmbeddedChoiceView) -> Markup {
    let locale = view.frame.locale;
    let title = t(locale, Text::EmbeddedTitle);
    let body = html! {
        h1 { (title) }
        p class="lead" { (t(locale, Text::EmbeddedLead)) }
        @for (ui, plan, price) in &view.ways {
            form class="manage" method="post" action=(view.action) data-once=(t(locale, Text::Working)) {
                @for (name, value) in &view.hidden { input type="hidden" name=(name) value=(value); }
                input type="hidden" name="ui" value=(ui);
                button class=(if *ui == "embedded" { "main-action" } else { "second-action" }) {
                    (say(locale, Text::EmbeddedTry, &[("plan", plan)]))
                    @if let Some(price) = price { " · " (format_money(locale, *price)) }
                }
                p class="hint" { code { "ui: " (ui) } }
            }
        }
    };
    page(&view.frame, Audience::Customer, title, "narrow", None, &body)
}

/// The page of an app: the provider's form in its middle.
#[must_use]
pub fn embedded_page(view: &EmbeddedView) -> Markup {
    let locale = view.frame.locale;
    let title = say(locale, Text::EmbeddedBuy, &[("plan", &view.plan)]);
    let bare = view.ui == "payment_intent";
    let lines = if bare {
        "const stripe = Stripe(publishable_key);\nconst elements = stripe.elements({ clientSecret: client_secret });\nelements.create(\"payment\").mount(\"#payment\");"
    } else {
        "const stripe = Stripe(publishable_key);\nconst checkout = await stripe.initEmbeddedCheckout({ clientSecret: client_secret });\ncheckout.mount(\"#payment\");"
    };
    let head = html! { script src=(view.library_url) {} };
    let body = html! {
        p { a href=(view.back) { (t(locale, Text::EmbeddedBack)) } }
        h1 { (title) }
        p class="muted" { (t(locale, Text::EmbeddedSafe)) }
        div id="payment" class="payment" data-ui=(view.ui) data-key=(view.publishable_key)
            data-secret=(view.client_secret) data-return=(view.return_url) {
            noscript { (message(Tone::Warn, None, &html! { p { (t(locale, Text::EmbeddedNoScript)) } })) }
        }
        details {
            summary { (t(locale, Text::ForDevelopers)) }
            (copyable(locale, lines))
        }
    };
    page(&view.frame, Audience::Customer, &title, "narrow", Some(head), &body)
}
