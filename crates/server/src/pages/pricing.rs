//! The pricing page: plans side by side, an interval and a currency switch, and one form per plan.

use maud::{Markup, html};
use quittance_domain::catalog::Interval;
use quittance_domain::offer::{Lasts, Off};
use quittance_domain::pricing::Priced;
use quittance_domain::{Currency, Money};

use super::format::{format_money, price_per};
use super::layout::{Audience, Frame, Locale, Tone, join, link_out, message, page, status};
use super::text::{Text, say, t};

/// The pricing page.
///
/// Each plan's form posts `plan`, `interval`, `currency` and whatever [`Self::hidden`] holds to
/// [`Self::checkout_action`]. The price is not posted: it comes from the catalog.
#[derive(Clone, Debug)]
pub struct PricingView {
    /// The frame.
    pub frame: Frame,
    /// Month and year, as far as any plan has them; with fewer than two the switch is hidden.
    pub intervals: Vec<Choice<Interval>>,
    /// Currencies, as far as the catalog has them; with fewer than two the switch is hidden.
    pub currencies: Vec<Choice<Currency>>,
    /// Subscriptions and the free plan, in the catalog's order.
    pub plans: Vec<PlanCard>,
    /// What is bought once.
    pub purchases: Vec<PlanCard>,
    /// Our id of the customer who reads; `None` leaves the buttons to lead to the app, which knows.
    pub customer: Option<String>,
    /// Whether whoever runs this may be told how customers get buttons.
    pub for_operators: bool,
    /// In the demo the customer can be changed: the path of a GET form with the field `customer`.
    pub customer_form: Option<String>,
    /// In the demo: where a checkout on a page of the app is tried.
    pub embedded_url: Option<String>,
    /// Where the plans' forms post.
    pub checkout_action: String,
    /// More hidden fields of each form: who buys, and in which language.
    pub hidden: Vec<(String, String)>,
    /// What happened before.
    pub notice: Option<PricingNotice>,
    /// The field for a promotion code; `None` where nobody could use one.
    pub code: Option<CodeField>,
}

/// The field for a promotion code: a GET form of the page itself.
#[derive(Clone, Debug)]
pub struct CodeField {
    /// What was typed.
    pub typed: String,
    /// Whether it holds for a plan that is shown; `None` while nothing is typed.
    pub holds: Option<bool>,
    /// The other choices of the page, kept.
    pub carried: Vec<(String, String)>,
    /// The page without a code.
    pub without: String,
}

/// A price other than the list's, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// What the list asks.
    pub list: Money,
    /// What is paid, while the reduction lasts.
    pub total: Money,
    /// Why, in sentences of the page's language.
    pub why: String,
    /// The code that makes it, which the button sends along.
    pub code: Option<String>,
}

/// One choice of a switch that works by links.
#[derive(Clone, Debug)]
pub struct Choice<T> {
    /// What is chosen.
    pub value: T,
    /// The page with this choice.
    pub href: String,
    /// It is the choice of now.
    pub selected: bool,
}

/// A plan's card. Texts are in the page's language already.
#[derive(Clone, Debug)]
pub struct PlanCard {
    /// The plan's key, posted as `plan`.
    pub key: String,
    /// Name.
    pub name: String,
    /// One sentence.
    pub description: Option<String>,
    /// What the customer may do with the plan.
    pub offer: PlanOffer,
    /// A price other than the list's.
    pub reduced: Option<Reduced>,
    /// Free days before the first charge; 0 for none.
    pub trial_days: u32,
    /// The plan whose features are included, by name: "Everything in Free, and".
    pub includes: Option<String>,
    /// Features, without those of [`Self::includes`].
    pub features: Vec<FeatureLine>,
    /// The plan that most people want: its button is the page's main action. At most one.
    pub featured: bool,
}

/// What the customer may do with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanOffer {
    /// It costs nothing and needs no checkout.
    Free,
    /// It can be bought at this price.
    Buy(PriceTag),
    /// It is the customer's plan now.
    Current(Option<PriceTag>),
    /// The customer has another plan of the group: changing is done on the billing page.
    Change(PriceTag),
    /// It has no price in this currency and interval.
    Unavailable,
}

/// A price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceTag {
    /// Amount per interval.
    pub amount: Money,
    /// Interval.
    pub interval: Interval,
}

/// A feature of a plan.
#[derive(Clone, Debug)]
pub struct FeatureLine {
    /// Name.
    pub name: String,
    /// How much of it.
    pub included: Included,
}

/// How much of a feature a plan includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Included {
    /// All of it.
    Yes,
    /// So many.
    Limit(i64),
}

/// What the pricing page says at its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PricingNotice {
    /// The buyer came back from the checkout without paying.
    CheckoutCancelled,
    /// The checkout could not be made; nothing was charged.
    CheckoutFailed,
    /// The customer has a plan of this group already.
    AlreadySubscribed,
}

/// Plans, prices and what they include.
#[must_use]
pub fn pricing_page(view: &PricingView) -> Markup {
    let locale = view.frame.locale;
    let title = t(locale, Text::PricingTitle);
    let body = html! {
        @if let Some(notice) = &view.notice { (notice_message(locale, notice)) }
        h1 { (title) }
        p class="lead" { (t(locale, Text::PricingLead)) }
        div class="switches" {
            (switch(t(locale, Text::IntervalLabel), &view.intervals, |interval| interval_word(locale, *interval)))
            (switch(t(locale, Text::CurrencyLabel), &view.currencies, |currency| currency.to_string()))
        }
        (code_field(view))
        div class="plans" { @for plan in &view.plans { (plan_card(view, plan, false)) } }
        @if !view.purchases.is_empty() {
            h2 { (t(locale, Text::PurchasesHeading)) }
            div class="plans" { @for plan in &view.purchases { (plan_card(view, plan, true)) } }
        }
        (who(view))
    };
    page(&view.frame, Audience::Customer, title, "pricing", None, &body)
}

fn notice_message(locale: Locale, notice: &PricingNotice) -> Markup {
    let (tone, text) = match notice {
        PricingNotice::CheckoutCancelled => (Tone::Quiet, Text::NoticeCheckoutCancelled),
        PricingNotice::CheckoutFailed => (Tone::Bad, Text::NoticeCheckoutFailed),
        PricingNotice::AlreadySubscribed => (Tone::Warn, Text::NoticeAlreadySubscribed),
    };
    message(tone, None, &html! { p { (t(locale, text)) } })
}

fn interval_word(locale: Locale, interval: Interval) -> String {
    let text = match interval {
        Interval::Day => Text::IntervalDay,
        Interval::Week => Text::IntervalWeek,
        Interval::Month => Text::IntervalMonth,
        Interval::Year => Text::IntervalYear,
        Interval::Once => Text::IntervalOnce,
    };
    t(locale, text).to_owned()
}

/// A switch of links: works without the script, and the choice of now is marked for screen readers too.
fn switch<T>(label: &str, choices: &[Choice<T>], words: impl Fn(&T) -> String) -> Markup {
    html! {
        @if choices.len() > 1 {
            nav class="switch" aria-label=(label) {
                @for choice in choices {
                    a href=(choice.href) aria-current=[choice.selected.then_some("true")] { (words(&choice.value)) }
                }
            }
        }
    }
}

/// A card; below a heading of its own its name is one level deeper, so that the outline has no gap.
fn plan_card(view: &PricingView, plan: &PlanCard, below_heading: bool) -> Markup {
    let locale = view.frame.locale;
    let id = format!("plan-{}", plan.key);
    html! {
        article class={ "plan" @if plan.featured { " featured" } } aria-labelledby=(id) {
            // Six parts in every card, empty or not: side by side they share their rows.
            @if below_heading { h3 id=(id) { (plan.name) } } @else { h2 id=(id) { (plan.name) } }
            (price(view, plan))
            p class="trial" { @if let Some(sentence) = trial(locale, plan) { (sentence) } }
            p { @if let Some(description) = &plan.description { (description) } }
            div class="plan-action" { (action(view, plan)) }
            div {
                @if let Some(included) = &plan.includes {
                    p class="muted includes" { (say(locale, Text::EverythingIn, &[("plan", included)])) }
                }
                ul class="features" { @for feature in &plan.features { (feature_line(locale, feature)) } }
            }
        }
    }
}

/// The field for a promotion code, with what came of it: said at once by screen readers.
fn code_field(view: &PricingView) -> Markup {
    let locale = view.frame.locale;
    let Some(field) = &view.code else { return html! {} };
    let said = match field.holds {
        None => None,
        Some(true) => Some(Text::CodeApplied),
        Some(false) => Some(Text::CodeRefused),
    };
    html! {
        form class="code" method="get" action="/pricing" role="search" aria-label=(t(locale, Text::CodeLabel)) {
            @for (name, value) in &field.carried { input type="hidden" name=(name) value=(value); }
            label for="code" { (t(locale, Text::CodeLabel)) }
            div class="who-row" {
                input id="code" name="code" type="text" value=(field.typed) maxlength="100" autocomplete="off"
                    autocapitalize="characters" spellcheck="false"
                    aria-invalid=[(field.holds == Some(false)).then_some("true")]
                    aria-describedby=[said.map(|_| "code-said")];
                button class="second-action" { (t(locale, Text::CodeApply)) }
            }
            @if let Some(said) = said {
                p id="code-said" class=(if field.holds == Some(true) { "hint good-text" } else { "hint bad-text" }) role="status" {
                    (say(locale, said, &[("code", &field.typed)])) " "
                    a href=(field.without) { (t(locale, Text::CodeRemove)) }
                }
            }
        }
    }
}

fn price(view: &PricingView, plan: &PlanCard) -> Markup {
    let locale = view.frame.locale;
    let tag = match plan.offer {
        PlanOffer::Buy(tag) | PlanOffer::Change(tag) | PlanOffer::Current(Some(tag)) => tag,
        PlanOffer::Free | PlanOffer::Current(None) => {
            let currency = view.currencies.iter().find(|choice| choice.selected).map(|choice| choice.value);
            let nothing = currency.map(|currency| format_money(locale, Money::new(0, currency)));
            let words = nothing.unwrap_or_else(|| t(locale, Text::FreePrice).to_owned());
            return html! { p class="plan-price" { span class="amount" { (words) } } };
        }
        PlanOffer::Unavailable => {
            return html! { p class="plan-price muted" { (t(locale, Text::PriceUnavailable)) } };
        }
    };
    let per = match tag.interval {
        Interval::Day => Text::JustPerDay,
        Interval::Week => Text::JustPerWeek,
        Interval::Month => Text::JustPerMonth,
        Interval::Year => Text::JustPerYear,
        Interval::Once => Text::JustOnce,
    };
    match &plan.reduced {
        None => html! {
            p class="plan-price" {
                span class="amount" { (format_money(locale, tag.amount)) } " " span class="muted" { (t(locale, per)) }
            }
        },
        Some(reduced) => html! {
            div class="plan-price" {
                p {
                    span class="heard" { (t(locale, Text::UsualPrice)) " " }
                    s class="muted" { (format_money(locale, reduced.list)) } " "
                    span class="heard" { (t(locale, Text::PriceForYou)) " " }
                    span class="amount" { (format_money(locale, reduced.total)) } " "
                    span class="muted" { (t(locale, per)) }
                }
                p class="hint" { (reduced.why) }
            }
        },
    }
}

/// The trial's offer, to somebody who could still take it.
fn trial(locale: Locale, plan: &PlanCard) -> Option<String> {
    let PlanOffer::Buy(tag) = plan.offer else { return None };
    let amount = plan.reduced.as_ref().map_or(tag.amount, |reduced| reduced.total);
    let price = price_per(locale, amount, tag.interval);
    let text = match plan.trial_days {
        0 => return None,
        1 => Text::TrialDayThen,
        _ => Text::TrialThen,
    };
    Some(say(locale, text, &[("count", &plan.trial_days.to_string()), ("price", &price)]))
}

fn action(view: &PricingView, plan: &PlanCard) -> Markup {
    let locale = view.frame.locale;
    let class = if plan.featured { "main-action" } else { "second-action" };
    match (plan.offer, &view.customer) {
        (PlanOffer::Buy(tag), Some(_)) => buy_form(view, plan, tag, class),
        (PlanOffer::Buy(_), None) => {
            link_out(view.frame.app_url.as_ref(), class, t(locale, Text::SignInToBuy))
        }
        (PlanOffer::Change(_), _) => html! {
            @if let Some(href) = &view.frame.billing_url {
                a class="second-action" href=(href) { (say(locale, Text::ChangeTo, &[("plan", &plan.name)])) }
            }
        },
        (PlanOffer::Current(_), _) => html! { p { (status(Tone::Good, t(locale, Text::YourPlan))) } },
        (PlanOffer::Free, _) => html! { p class="muted" { (t(locale, Text::FreeForAll)) } },
        (PlanOffer::Unavailable, _) => html! {},
    }
}

fn buy_form(view: &PricingView, plan: &PlanCard, tag: PriceTag, class: &str) -> Markup {
    let locale = view.frame.locale;
    let words = match (tag.interval, plan.trial_days) {
        (Interval::Once, _) => Text::BuyPlan,
        (_, 0) => Text::ChoosePlan,
        (_, _) => Text::TryPlan,
    };
    html! {
        form method="post" action=(view.checkout_action) data-once=(t(locale, Text::Working)) {
            input type="hidden" name="plan" value=(plan.key);
            input type="hidden" name="interval" value=(tag.interval.as_str());
            input type="hidden" name="currency" value=(tag.amount.currency.code());
            @for (name, value) in &view.hidden { input type="hidden" name=(name) value=(value); }
            @if let Some(code) = plan.reduced.as_ref().and_then(|reduced| reduced.code.as_ref()) {
                input type="hidden" name="code" value=(code);
            }
            button class=(class) { (say(locale, words, &[("plan", &plan.name)])) }
        }
    }
}

fn feature_line(locale: Locale, feature: &FeatureLine) -> Markup {
    html! {
        li {
            span class="mark good" aria-hidden="true" { "✓" }
            span {
                (feature.name)
                @if let Included::Limit(limit) = feature.included {
                    span class="muted" { (say(locale, Text::UpTo, &[("count", &limit.to_string())])) }
                }
            }
        }
    }
}

/// Who is buying; in the demo that can be changed. To nobody in particular: how to become somebody.
fn who(view: &PricingView) -> Markup {
    let locale = view.frame.locale;
    html! {
        @if view.customer.is_none() {
            p class="muted" { (say(locale, Text::BuyInApp, &[("site", &view.frame.site)])) }
            @if view.for_operators {
                p class="fine" lang="en" {
                    "For developers, and in test mode only: your app sends signed-in customers to the address that "
                    code { "POST /v1/customers/{id}/page-link" } " gives, and they find buttons here; "
                    code { "app_url" } " in quittance.toml leads everybody else to your app."
                }
            }
        }
        @if let (Some(customer), Some(action)) = (&view.customer, &view.customer_form) {
            form class="who" method="get" action=(action) {
                label for="customer" { (t(locale, Text::DemoCustomer)) }
                div class="who-row" {
                    input id="customer" name="customer" type="text" value=(customer) required maxlength="128"
                        autocomplete="off" spellcheck="false";
                    button class="second-action" { (t(locale, Text::DemoCustomerChange)) }
                }
                p class="hint" { (t(locale, Text::DemoCustomerHint)) }
                @if let Some(href) = &view.embedded_url { p { a href=(href) { (t(locale, Text::EmbeddedLink)) } } }
            }
        }
    }
}

/// Why a price is not the list's, and for how long: the promotion's name, what it takes off, and what comes after.
#[must_use]
pub fn reason(locale: Locale, name: Option<&str>, priced: &Priced) -> String {
    let off = priced.reduction.as_ref().map(|reduction| match &reduction.off {
        Off::Percent(percent) => say(locale, Text::PercentOff, &[("percent", &percent.to_string())]),
        Off::Amount(_) => say(locale, Text::AmountOff, &[("amount", &format_money(locale, priced.discount))]),
    });
    let first = match (name, off) {
        (Some(name), Some(off)) => say(locale, Text::ReducedBy, &[("name", name), ("off", &off)]),
        (Some(_) | None, _) => t(locale, Text::OwnPrice).to_owned(),
    };
    let later = price_per(locale, priced.later, priced.interval);
    let lasts = match (priced.interval, priced.reduction.as_ref().map(|reduction| reduction.lasts)) {
        (Interval::Once, _) | (_, Some(Lasts::Forever) | None) => String::new(),
        (_, Some(Lasts::Once)) => say(locale, Text::LastsOnce, &[("price", &later)]),
        (_, Some(Lasts::Months(1))) => say(locale, Text::LastsMonth, &[("price", &later)]),
        (_, Some(Lasts::Months(count))) => {
            say(locale, Text::LastsMonths, &[("count", &count.to_string()), ("price", &later)])
        }
    };
    join(locale, &[&first, &lasts])
}
