//! `quittance refund`: money back, after a look at what would happen.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;
use quittance_domain::Currency;
use quittance_domain::ids::ApiKeyId;
use quittance_domain::refund::{Moved, RefundReason};
use quittance_engine::api_keys::{Caller, KeyScope};
use quittance_engine::refunds::{NewRefund, RefundOf, RefundPlan, Refunded};
use serde_json::{Value, json};

use super::beside::{self, Need};
use super::{Common, out};
use crate::failure::Failure;
use crate::http::RefundView;
use crate::serve::Opening;

/// What to give back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  quittance refund pi_1SaBcDeF                        all that is left, after asking
  quittance refund in_1SaBcDeF --amount 500 --currency jpy --yes
  quittance refund pi_1SaBcDeF --dry-run              what would go back, and moves nothing
  quittance refund in_1SaBcDeF --amount 500 --out-of-band   it went back by bank transfer

Amounts are in minor units: 500 is 500 JPY, and 5.00 USD.")]
pub(super) struct Options {
    /// A payment (pi_…) or an invoice (in_…)
    pub(super) of: String,
    /// How much, in minor units [default: all that is left]
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
    amount: Option<i64>,
    /// The currency that you believe it to be in; in another one nothing moves
    #[arg(long, value_parser = currency)]
    currency: Option<Currency>,
    /// requested_by_customer, duplicate or fraudulent
    #[arg(long, value_parser = reason, default_value = "requested_by_customer")]
    reason: RefundReason,
    /// Refund without a credit note, although an invoice was paid
    #[arg(long)]
    no_credit_note: bool,
    /// The money went back outside of the provider: only note it
    #[arg(long)]
    out_of_band: bool,
    /// Tell what would happen, and move nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// The same key is one refund, however often it is asked for
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl Options {
    /// What was asked for, in the words of the API.
    pub(super) fn told(&self) -> Value {
        json!({
            "amount": self.amount, "currency": self.currency.as_ref().map(Currency::code), "reason": self.reason.as_str(),
            "credit_note": !self.no_credit_note, "out_of_band": self.out_of_band,
        })
    }
}

fn currency(code: &str) -> Result<Currency, String> {
    Currency::parse(code).map_err(|error| error.to_string())
}

fn reason(word: &str) -> Result<RefundReason, String> {
    RefundReason::parse(word)
        .ok_or_else(|| format!("one of {}", RefundReason::ALL.map(RefundReason::as_str).join(", ")))
}

pub(super) async fn run(options: &Options, common: &Common) -> Result<(), Failure> {
    let of = match options.of.split_once('_') {
        Some(("pi", _)) => RefundOf::Payment(options.of.clone()),
        Some(("in", _)) => RefundOf::Invoice(options.of.clone()),
        Some(_) | None => {
            return Err(Failure::usage(
                "usage",
                format!("`{}` is neither a payment (pi_…) nor an invoice (in_…)", options.of),
                "The provider's id of either: GET /v1/payments lists payments.",
            ));
        }
    };
    let new = NewRefund {
        of,
        amount: options.amount,
        currency: options.currency,
        reason: options.reason,
        credit_note: !options.no_credit_note,
        out_of_band: options.out_of_band,
    };
    let engine = beside::engine(common, Opening::Beside, Need::Provider).await?;
    if options.dry_run || !options.yes {
        let plan = engine.plan_refund(&new).await?;
        if options.dry_run {
            tell_plan(&plan, common.json);
            return Ok(());
        }
        ask(&plan, options)?;
    }
    let by = Caller { key: ApiKeyId::derived(&["command line"]), scopes: KeyScope::ALL.to_vec() };
    let seed = options
        .idempotency_key
        .as_ref()
        .map(|key| quittance_domain::digest::short_hex(&["command line", "refund", key]));
    let made = engine.refund(&new, &by, seed.as_deref()).await?;
    tell(made, common.json);
    Ok(())
}

fn in_words(plan: &RefundPlan) -> String {
    let whose = plan.customer.as_ref().map_or_else(|| "nobody we know".to_owned(), ToString::to_string);
    let how = plan.invoice.as_ref().map_or_else(String::new, |id| format!(", by a credit note on {id}"));
    let left = quittance_domain::Money::new(plan.left, plan.amount.currency);
    format!("{} of {} ({} by {whose}){how}; {left} would be left", plan.amount, plan.payment, plan.paid)
}

fn tell_plan(plan: &RefundPlan, json: bool) {
    if json {
        out::say_json(&json!({
            "dry_run": true, "payment": plan.payment, "invoice": plan.invoice, "customer": plan.customer,
            "amount": { "amount": plan.amount.minor, "currency": plan.amount.currency }, "left": plan.left, "money_moved": "no",
        }));
    } else {
        out::say(&format!("Would give back {}.\nNo money moved.", in_words(plan)));
    }
}

fn ask(plan: &RefundPlan, options: &Options) -> Result<(), Failure> {
    let no = |what: &str, mend: &str| Err(Failure::usage("not_confirmed", what, mend));
    if !std::io::stdin().is_terminal() {
        return no("nobody is there to be asked; no money moved", "Say that you mean it: --yes");
    }
    let what = if options.out_of_band { "Note as given back" } else { "Give back" };
    let _ = write!(std::io::stderr().lock(), "{what} {}? [y/N] ", in_words(plan));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        (Ok(_) | Err(_), _) => no("not confirmed; no money moved", "Answer y, or say --yes"),
    }
}

fn tell(made: Refunded, json: bool) {
    if json {
        out::say_json(&json!(RefundView::from(made)));
        return;
    }
    let by = match (&made.refund, &made.credit_note) {
        (Some(refund), Some(note)) => format!("{refund}, credit note {note}"),
        (Some(refund), None) => refund.clone(),
        (None, Some(note)) => format!("credit note {note}, outside of the provider"),
        (None, None) => "outside of the provider".to_owned(),
    };
    out::say(&format!("{} of {}: {} ({by}).", made.amount, made.payment, made.status));
    out::say(match made.moved {
        Moved::Yes => "Money moved. Should it come back from the bank, the alert refund_failed says so.",
        Moved::No => "No money moved.",
        Moved::Unknown => "It is on its way; whether it arrives, GET /v1/payments and the alerts will tell.",
    });
}
