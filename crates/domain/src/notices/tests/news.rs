//! What counts as news: times in whole seconds, refunds that take their time, what the bank has answered and when that was known.

use super::*;
use crate::subscription::{AttemptFacts, AttemptState};

fn refunded(status: &str, created_at: Timestamp) -> Option<Vec<PaymentFacts>> {
    let refund = RefundFacts { id: "re_1".into(), status: status.into(), amount: yen(500), created_at };
    Some(vec![PaymentFacts {
        id: "pi_1".into(),
        amount: yen(1_980),
        refunded: yen(500),
        money: MoneyState::Kept,
        created_at: T0,
        refunds: vec![refund],
        disputes: Vec::new(),
        warning: None,
    }])
}

#[test]
fn a_refund_that_takes_longer_than_news_lasts_is_told_when_it_has_come_about() {
    let (mut life, seen) = (Life::new(), facts("active"));
    assert!(life.look_with(&seen, refunded("pending", T0), T0).is_empty());
    let late = T0.plus_ms(9 * DAY_MS);
    assert!(life.look_with(&seen, refunded("pending", T0), late.plus_ms(-DAY_MS)).is_empty());
    assert_eq!(kinds(&life.look_with(&seen, refunded("succeeded", T0), late)), ["refund_made"]);
    assert!(life.look_with(&seen, refunded("succeeded", T0), late.plus_ms(DAY_MS)).is_empty(), "once");
    // Of an account that nobody knew, it is old.
    let mut stranger = Life::new();
    assert!(stranger.look_with(&seen, refunded("succeeded", T0), late).is_empty());
}

/// Its events can all be lost, and a look for another reason comes before the sweep that brings them.
#[test]
fn a_refund_that_is_learnt_late_is_told_and_one_of_long_ago_is_not() {
    let seen = facts("active");
    let unrefunded = || {
        let mut payments = refunded("succeeded", T0);
        payments.iter_mut().flatten().for_each(|payment| payment.refunds.clear());
        payments
    };
    for (days, told) in [(9, true), (29, true), (31, false)] {
        let mut life = Life::new();
        life.look_with(&seen, unrefunded(), T0);
        let late = T0.plus_ms(days * DAY_MS);
        life.look_with(&seen, unrefunded(), late.plus_ms(-DAY_MS));
        let now = life.look_with(&seen, refunded("succeeded", T0.plus_ms(1)), late);
        assert_eq!(!now.is_empty(), told, "after {days} days: {now:?}");
    }
}

/// The provider says which second, and we which millisecond; and its clock is not ours.
#[test]
fn what_happened_in_the_second_of_the_last_look_is_news() {
    let looked = T0.plus_ms(700);
    let late = T0.plus_ms(20 * DAY_MS);
    let mut life = Life::new();
    life.look_with(&facts("active"), Some(Vec::new()), looked);
    let told = life.look_with(&facts("active"), refunded("succeeded", T0), late);
    assert_eq!(kinds(&told), ["refund_made"]);
    for behind in [0, 5 * MINUTE_MS] {
        let at = T0.plus_ms(-behind);
        let mut life = Life::new();
        life.look(&facts("active"), looked);
        let mut ending = facts("active");
        ending.cancel_at_period_end = true;
        ending.told.canceled_at = Some(at);
        ending.latest_invoice = Some(invoice("paid", 1, at));
        assert_eq!(kinds(&life.look(&ending, late)), ["subscription_cancelled", "receipt"], "{behind} ms");
    }
}

#[test]
fn a_trial_of_exactly_a_week_misses_no_window() {
    for known in [false, true] {
        let mut life = Life::new();
        if known {
            life.look(&facts("active"), T0.plus_ms(-DAY_MS));
        }
        let told = life.look(&trialing(7), T0.plus_ms(1_500));
        assert_eq!(kinds(&told), ["trial_ending"], "at its start");
        assert_eq!((life.missed, life.told[0].rules[0].fit), (0, Fit::AtStart), "known: {known}");
    }
}

/// Waiting for another subscription's end looks like a trial to the provider, and is no gift to be told of.
#[test]
fn what_begins_when_another_one_ends_is_no_free_trial() {
    let mut begins = trialing(14);
    begins.latest_invoice = Some(InvoiceFacts {
        reaches: None,
        bill: Bill { total: Some(yen(0)), paid_at: Some(T0), ..Bill::default() },
        ..invoice("paid", 0, T0)
    });
    let mut life = Life::new();
    assert_eq!(kinds(&life.look(&begins, T0)), ["receipt"], "what a trial begins with");
    begins.ahead.starts_after = Some("sub_0".into());
    let mut life = Life::new();
    assert!(life.look(&begins, T0).is_empty());
    assert!(life.look(&begins, T0.plus_ms(8 * DAY_MS)).is_empty());
}

fn tried(state: AttemptState, code: Option<&str>) -> InvoiceFacts {
    let attempt = AttemptFacts {
        payment: "pi_1".into(),
        state,
        code: code.map(Into::into),
        decline_code: None,
        advice: None,
        method: Some("pm_1".into()),
    };
    InvoiceFacts { attempt: Some(attempt), ..invoice("open", 1, T0) }
}

/// Whether the customer is needed follows from the payment itself, whichever event came, and however often it is looked at.
#[test]
fn a_payment_that_needs_the_customer_is_told_as_what_it_is() {
    let asks = tried(AttemptState::NeedsCustomer, None);
    let asked_before = tried(AttemptState::NeedsMethod, Some("authentication_required"));
    let declined = tried(AttemptState::NeedsMethod, Some("card_declined"));
    let unread = invoice("open", 1, T0);
    let (asked, failed) = ("payment_action_required", "payment_failed");
    for (looks, told) in [
        (vec![&asks], vec![asked]),
        (vec![&asked_before], vec![asked]),
        (vec![&declined], vec![failed]),
        // First a guess, then what it is: the guess is put right, once.
        (vec![&unread, &asks, &asks], vec![failed, asked]),
        (vec![&unread, &asked_before], vec![failed, asked]),
        // The bank said no, and now the customer is at it: nothing new.
        (vec![&declined, &asks], vec![failed]),
        (vec![&asks, &declined], vec![asked]),
        (vec![&asks, &unread], vec![asked]),
    ] {
        let mut life = Life::new();
        let mut heard = Vec::new();
        for (minute, seen) in looks.iter().enumerate() {
            let now = T0.plus_ms(i64::try_from(minute).unwrap() * MINUTE_MS);
            heard.extend(kinds(&life.look(&with_invoice("past_due", (*seen).clone()), now)));
        }
        assert_eq!(heard, told, "{looks:?}");
    }
}

/// A bill is forgiven and the next one fails within the same grace: its end is another fact, though it is the same moment.
#[test]
fn two_bills_that_give_the_same_end_are_two_ends_and_one_of_before_is_not_told_again() {
    let of = |id: &str| with_invoice("past_due", InvoiceFacts { id: id.into(), ..invoice("open", 1, T0) });
    let late = T0.plus_ms(7 * DAY_MS);
    let ends = |life: &mut Life, id: &str, at: i64| {
        life.look(&facts("active"), late.plus_ms(at - 1));
        kinds(&life.look(&of(id), late.plus_ms(at))).contains(&"access_ended")
    };
    let mut life = Life::new();
    assert!(ends(&mut life, "in_1", 1_000) && ends(&mut life, "in_2", 2_000));
    assert!(!ends(&mut life, "in_2", 3_000), "the same one");
    let mut before = Life::new();
    ends(&mut before, "in_1", 1_000);
    let told = before.told.iter_mut().find(|t| t.kind == NoticeKind::AccessEnded).unwrap();
    told.occurrence = format!("payment:{late}");
    assert!(!ends(&mut before, "in_1", 2_000), "on record since an older version");
}

/// A second trial that is ended and charged at once: no letter says that it has begun.
#[test]
fn a_trial_that_we_end_has_not_begun() {
    let mut begins = trialing(14);
    begins.latest_invoice = Some(InvoiceFacts {
        bill: Bill { total: Some(yen(0)), paid_at: Some(T0), ..Bill::default() },
        ..invoice("paid", 0, T0)
    });
    let mut life = Life::new();
    life.beside.trials_cut = vec!["sub_1".into()];
    assert!(life.look(&begins, T0).is_empty());
    assert!(life.look(&trialing(7), T0).is_empty(), "nor that it ends in a week");
    life.beside = Beside::default();
    assert_eq!(kinds(&life.look(&begins, T0)), ["receipt"], "the command failed");
    let receipt = life.written[0].clone();
    let mut moved = begins.clone();
    moved.trial_end = Some(T0.plus_ms(DAY_MS));
    let mut charged = begins.clone();
    charged.status = crate::subscription::SubscriptionStatus::Active;
    for (seen, still) in [(begins, true), (moved, false), (charged, false)] {
        let mut now = Life::new();
        now.look(&seen, T0);
        let (kind, object, occurrence, about) = (receipt.kind, &*receipt.object, &*receipt.occurrence, None);
        let claim = Claim { kind, object, occurrence, about, data: &receipt.data };
        let (subscriptions, purchases, payments, announced, held) =
            (&now.stored.subscriptions, &[], &[], &[], &[]);
        let known = Known { subscriptions, purchases, payments, announced, held, now: T0 };
        assert_eq!(still_holds(claim, known) == Truth::Holds, still);
    }
}
