//! The web pages: pricing, the checkout's return, the customer's own billing page, the operators' overview, errors and
//! the API reference.
//!
//! Every page is a pure function from a view (plain data, beside the function) to HTML. This module knows no state, no
//! routes, no clock and no store: the caller fills a view, passes the paths that forms post to and reads the posted
//! fields, which are listed at each view. What customers read is in one table per language; operators' pages are
//! English only.
//!
//! The style sheet and the script have their own URLs ([`STYLE_PATH`], [`SCRIPT_PATH`]); [`csp`] composes the content
//! security policy under which all pages work. Every page works without the script.

mod admin;
mod assets;
mod billing;
mod billing_change;
mod checkout_return;
mod docs;
mod docs_schema;
mod embedded;
mod format;
mod layout;
mod mail;
mod pricing;
mod problem;
mod text;

#[cfg(test)]
mod tests;

pub use admin::{
    AdminView, AlertRow, AnomalyRow, CheckoutRow, ChurnRow, EndpointRow, EventRow, GivenUpRow, InboxCounts,
    ParkedRow, admin_page,
};
pub use assets::{SCRIPT, SCRIPT_PATH, STYLE, STYLE_PATH, csp, csp_with};
pub use billing::{
    BillingEntitlement, BillingIssue, BillingNotice, BillingSubscription, BillingView, NextStep, Purchase,
    billing_page,
};
pub use billing_change::{Actions, AheadLine, ConfirmView, PlanChoice, confirm_page};
pub use checkout_return::{ActiveView, ReturnState, ReturnView, return_page};
pub use docs::{DocsView, docs_page};
pub use embedded::{EmbeddedChoiceView, EmbeddedView, embedded_choice_page, embedded_page};
pub use format::{format_date, format_money, format_timestamp};
pub use layout::{DemoBand, Frame, Locale};
pub use mail::{
    CapturedRow, MailKindRow, MailLinkAsk, MailLinkState, MailView, MailsView, PreferencesView, language_of,
    mail_ask_page, mail_link_page, mail_page, mails_page, preferences_page,
};
pub use pricing::{
    Choice, CodeField, FeatureLine, Included, PlanCard, PlanOffer, PriceTag, PricingNotice, PricingView,
    Reduced, pricing_page, reason,
};
pub use problem::{MoneyMoved, Problem, ProblemView, problem_page};
