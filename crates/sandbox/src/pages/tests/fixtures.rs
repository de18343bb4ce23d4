//! Views as the emulator would fill them, for the tests and for looking at.

use jiff::tz::TimeZone;
use maud::Markup;

use super::super::*;

/// 18 November 2026, 05:05 UTC.
pub(super) const NOW: i64 = 1_794_978_300;
const DAY: i64 = 86_400;
/// Text as an attacker would put it into a name.
pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

pub(super) fn yen(amount: i64) -> Money {
    Money { amount, currency: "jpy".to_owned() }
}

pub(super) fn frame(locale: Locale) -> Frame {
    let zone = match locale {
        Locale::En => TimeZone::UTC,
        Locale::Ja => TimeZone::get("Asia/Tokyo").unwrap(),
    };
    let time_travel = Some(TimeTravel {
        action: "/_sandbox/time/advance-form".to_owned(),
        return_to: "/c/pay/cs_test_1".to_owned(),
        next_renewal: Some(NOW + 12 * DAY),
    });
    Frame { locale, zone, now: NOW, time_travel }
}

pub(super) fn checkout(locale: Locale, name: &str) -> CheckoutView {
    CheckoutView {
        frame: frame(locale),
        session_id: "cs_test_a1b2c3d4e5f6g7h8".to_owned(),
        merchant: name.to_owned(),
        mode: CheckoutMode::Subscription,
        lines: vec![CheckoutLine {
            name: "Pro".to_owned(),
            quantity: 1,
            amount: yen(1980),
            interval: Some(MONTH),
            adjustable: None,
        }],
        subtotal: None,
        discount: None,
        tax: None,
        total: Some(yen(1980)),
        trial_days: None,
        after_trial: None,
        trial_end: None,
        email: None,
        email_typed: String::new(),
        form: CardForm::default(),
        code: None,
        country: None,
        other_ways: vec![
            ("pm_konbini".to_owned(), OtherWay::Store),
            ("pm_success_de".to_owned(), OtherWay::DebitPays),
        ],
        needs_card: true,
        button: SubmitWord::Pay,
        details: details(),
        consent: ConsentView {
            terms: true,
            terms_text: None,
            promotions: true,
            before_button: Some("Sent within a week.".to_owned()),
            after_button: Some("Thank you!".to_owned()),
        },
        optional: vec![OptionalView {
            name: "Gift wrap".to_owned(),
            price: yen(300),
            interval: None,
            added: 0,
            quantity: 1,
            range: Some((0, 5)),
        }],
        action: "/c/pay/cs_test_1".to_owned(),
        cancel_url: Some("http://127.0.0.1:4242/pricing".to_owned()),
    }
}

pub(super) const MONTH: Interval = Interval { count: 1, unit: IntervalUnit::Month };
const YEAR: Interval = Interval { count: 1, unit: IntervalUnit::Year };

fn details() -> DetailsView {
    let field = |name: &str, options: Vec<(String, String)>| FieldView {
        name: format!("field_{name}"),
        label: format!("Your {name}"),
        optional: !options.is_empty(),
        numeric: false,
        value: String::new(),
        options,
    };
    DetailsView {
        phone: true,
        fields: vec![field("size", vec![("s".to_owned(), "Small".to_owned())]), field("engraving", vec![])],
        countries: vec!["JP".to_owned(), "DE".to_owned()],
        rates: vec![RateView {
            id: "shr_1".to_owned(),
            name: "By post".to_owned(),
            amount: yen(500),
            chosen: true,
        }],
        business: Some(true),
        individual: Some(false),
        address_text: Some("We send on weekdays.".to_owned()),
    }
}

fn trial(locale: Locale) -> CheckoutView {
    CheckoutView {
        trial_days: Some(14),
        trial_end: Some(NOW + 14 * DAY),
        after_trial: Some(yen(1980)),
        total: Some(yen(0)),
        email: Some("mina@example.com".to_owned()),
        ..checkout(locale, "Atelier")
    }
}

fn declined(locale: Locale) -> CheckoutView {
    let mut view = checkout(locale, "Atelier");
    view.lines = vec![
        CheckoutLine {
            name: "Studio seats".to_owned(),
            quantity: 3,
            amount: yen(29_400),
            interval: Some(MONTH),
            adjustable: None,
        },
        CheckoutLine {
            name: "Workshop recordings".to_owned(),
            quantity: 1,
            amount: yen(4_800),
            interval: None,
            adjustable: None,
        },
    ];
    view.subtotal = Some(yen(34_200));
    view.discount = Some(yen(3_420));
    view.tax = Some(yen(3_078));
    view.total = Some(yen(33_858));
    view.email = Some("mina@example.com".to_owned());
    view.form = CardForm {
        name: "Mina Sato".to_owned(),
        problem: Some(FormProblem::Declined("insufficient_funds".to_owned())),
    };
    view
}

fn subscription(name: &str, status: SubscriptionStatus) -> PortalSubscription {
    let choice = |id: &str, name: &str, amount, interval, current| PlanChoice {
        price_id: id.to_owned(),
        name: name.to_owned(),
        price: yen(amount),
        interval,
        current,
    };
    PortalSubscription {
        id: "sub_1".to_owned(),
        name: name.to_owned(),
        status,
        price: yen(1980),
        interval: MONTH,
        period_end: NOW + 12 * DAY,
        charges_at_once: true,
        cancel_at: None,
        owed: Some(yen(1980)),
        quantity: Some((1, 1, Some(10))),
        choices: vec![
            choice("price_1", "Pro", 1_980, MONTH, true),
            choice("price_2", "Pro", 19_800, YEAR, false),
            choice("price_3", "Studio", 9_800, MONTH, false),
        ],
        pause_ends: None,
        pause_path: Some("/p/session/x/pause/sub_1".to_owned()),
        cancel_path: "/p/session/x/cancel/sub_1".to_owned(),
        resume_action: "/p/session/x/resume/sub_1".to_owned(),
        change_action: "/p/session/x/change/sub_1".to_owned(),
    }
}

fn customer_form() -> CustomerForm {
    CustomerForm {
        fields: vec![
            ("email".to_owned(), "mina@example.com".to_owned()),
            ("name".to_owned(), "Mina".to_owned()),
        ],
        action: "/p/session/x/customer".to_owned(),
    }
}

fn step(locale: Locale, step: PortalStep) -> Markup {
    portal_step_page(&PortalStepView {
        frame: frame(locale),
        merchant: "Atelier".to_owned(),
        step,
        return_url: Some("http://127.0.0.1:4242/billing".to_owned()),
    })
}

fn steps(locale: Locale) -> Vec<(&'static str, Markup)> {
    let line = |name: &str, amount: i64| ChangedLine {
        name: name.to_owned(),
        price: yen(amount),
        interval: Interval { unit: IntervalUnit::Month, count: 1 },
        quantity: 2,
    };
    let confirm = PortalStep::Confirm {
        before: vec![line("Basic", 980)],
        after: vec![line("Pro", 1980)],
        charges_at_once: true,
        declined: Some("insufficient_funds".to_owned()),
        action: "/p/session/x/subscriptions/sub_1/confirm".to_owned(),
    };
    let pause = PortalStep::Pause {
        subscription: Box::new(subscription("Pro", SubscriptionStatus::Active)),
        ends: vec![NOW + 7 * DAY, NOW + 31 * DAY],
        action: "/p/session/x/subscriptions/sub_1/pause".to_owned(),
    };
    let card = PortalStep::Card { form: CardForm::default(), action: "/p/session/x/card".to_owned() };
    let change = PortalStep::Change(Box::new(subscription("Pro", SubscriptionStatus::Active)));
    vec![
        ("step-card", step(locale, card)),
        ("step-customer", step(locale, PortalStep::Customer(customer_form()))),
        ("step-change", step(locale, change)),
        ("step-pause", step(locale, pause)),
        ("step-confirm", step(locale, confirm)),
        ("step-done", step(locale, PortalStep::Done { message: None })),
    ]
}

pub(super) fn portal(locale: Locale, name: &str) -> PortalView {
    let invoice = |number: &str, ago: i64, status| PortalInvoice {
        number: number.to_owned(),
        created: NOW - ago * DAY,
        description: "Pro".to_owned(),
        total: yen(1980),
        status,
    };
    PortalView {
        frame: frame(locale),
        merchant: name.to_owned(),
        customer: "mina@example.com".to_owned(),
        notice: None,
        subscriptions: vec![subscription("Pro", SubscriptionStatus::Active)],
        card: Some(CardOnFile {
            brand: "visa".to_owned(),
            last4: "4242".to_owned(),
            expiry: Some((4, 2030)),
        }),
        card_form: CardForm::default(),
        card_action: "/p/session/x/card".to_owned(),
        details: Some(customer_form()),
        invoices: vec![
            invoice("A-0003", 18, InvoiceStatus::Paid),
            invoice("A-0002", 49, InvoiceStatus::Void),
            invoice("A-0001", 79, InvoiceStatus::Open),
        ],
        return_url: Some("http://127.0.0.1:4242/billing".to_owned()),
    }
}

fn troubled(locale: Locale) -> PortalView {
    let mut view = portal(locale, "Atelier");
    let mut ending = subscription("Studio", SubscriptionStatus::Active);
    ending.cancel_at = Some(NOW + 12 * DAY);
    view.subscriptions = vec![
        subscription("Pro", SubscriptionStatus::PastDue),
        ending,
        subscription("Archive", SubscriptionStatus::Canceled),
        subscription("Trial plan", SubscriptionStatus::Trialing),
    ];
    view.notice = Some(PortalNotice::CancelScheduled(NOW + 12 * DAY));
    view.card_form.problem = Some(FormProblem::Card(CardProblem::Expired));
    view
}

pub(super) fn control(name: &str) -> ControlView {
    let delivery = |state, attempts| DeliveryRow {
        url: "http://127.0.0.1:4242/webhooks/stripe".to_owned(),
        state,
        attempts,
    };
    let event = |id: &str, kind: &str, deliveries| EventRow {
        id: id.to_owned(),
        kind: kind.to_owned(),
        created: NOW - 90,
        object_id: "in_1SaBcDeFgHiJkLmN".to_owned(),
        deliveries,
        deliver_action: format!("/_sandbox/events/{id}/deliver-form"),
    };
    ControlView {
        frame: Frame { zone: TimeZone::UTC, ..frame(Locale::En) },
        notice: Some("Advanced to 30 Nov 2026, 05:05 UTC: one renewal, five events.".to_owned()),
        time_lines: vec![
            TimeLineRow {
                name: Some("The sandbox's own time".to_owned()),
                id: None,
                now: NOW,
                customers: None,
                advancing: false,
                next_renewal: Some(NOW + 12 * DAY),
                travel_action: "/_sandbox/travel-form".to_owned(),
                delete_action: None,
            },
            TimeLineRow {
                name: Some(name.to_owned()),
                id: Some("clock_1SaBcDeF".to_owned()),
                now: NOW + 400 * DAY,
                customers: Some(1),
                advancing: true,
                next_renewal: None,
                travel_action: "/_sandbox/clocks/clock_1SaBcDeF/travel-form".to_owned(),
                delete_action: Some("/_sandbox/clocks/clock_1SaBcDeF/delete-form".to_owned()),
            },
        ],
        speed: 86_400,
        speed_action: "/_sandbox/speed-form".to_owned(),
        new_clock_action: "/_sandbox/clocks-form".to_owned(),
        events: vec![
            event("evt_5", "invoice.paid", vec![delivery(DeliveryState::Pending { at: Some(NOW + 30) }, 0)]),
            event("evt_4", "customer.subscription.updated", vec![delivery(DeliveryState::Dropped, 0)]),
            event(
                "evt_3",
                "invoice.payment_failed",
                vec![delivery(DeliveryState::Failed { status: None }, 3)],
            ),
            event("evt_2", "charge.failed", vec![delivery(DeliveryState::Failed { status: Some(503) }, 2)]),
            event(
                "evt_1",
                "checkout.session.completed",
                vec![delivery(DeliveryState::Delivered { status: 200 }, 1)],
            ),
            event("evt_0", "customer.created", vec![]),
        ],
        events_total: 148,
        policy: DeliveryPolicyView {
            duplicate_percent: 30,
            shuffle_percent: 50,
            drop_percent: 0,
            delay_seconds: 20,
            seed: 7,
            paused: true,
            held: 4,
            action: "/_sandbox/webhooks-form".to_owned(),
            pause_action: "/_sandbox/webhooks/pause-form".to_owned(),
        },
        endpoints: vec![("http://127.0.0.1:4242/webhooks/stripe".to_owned(), true)],
        faults: vec![FaultRow {
            id: "1".to_owned(),
            path: "/v1/subscriptions*".to_owned(),
            effect: "lost after the commit".to_owned(),
            remaining: Some(2),
        }],
        fault_action: "/_sandbox/faults-form".to_owned(),
        fault_clear_action: "/_sandbox/faults/clear-form".to_owned(),
        open_sessions: vec![OpenSessionRow {
            id: "cs_test_a1b2c3".to_owned(),
            path: "/c/pay/cs_test_a1b2c3".to_owned(),
            description: "Pro for user_42".to_owned(),
            expires_at: NOW + DAY,
        }],
        customers: vec![CustomerRow {
            id: "cus_QwErTy123".to_owned(),
            app_id: Some(name.to_owned()),
            email: Some("mina@example.com".to_owned()),
            clock: Some(name.to_owned()),
            now: NOW,
            subscriptions: vec![SubscriptionRow {
                id: "sub_1SaBcDeF".to_owned(),
                name: "Pro".to_owned(),
                status: SubscriptionStatus::PastDue,
                period_end: NOW + 12 * DAY,
                cancel_at: None,
            }],
            portal_action: Some("/_sandbox/customers/cus_QwErTy123/portal-form".to_owned()),
        }],
        reset_action: "/_sandbox/reset-form".to_owned(),
    }
}

fn pending(locale: Locale, awaited: Awaited) -> PendingView {
    PendingView {
        frame: frame(locale),
        merchant: "Atelier".to_owned(),
        amount: yen(1980),
        awaited,
        intent_id: "pi_1SaBcDeF".to_owned(),
        action: "/pending/pi_1SaBcDeF".to_owned(),
        continue_url: Some("http://127.0.0.1:4242/checkout/return".to_owned()),
    }
}

fn onboarding(locale: Locale, name: &str, wrong: Option<&str>) -> OnboardingView {
    OnboardingView {
        frame: frame(locale),
        merchant: "Atelier".to_owned(),
        account_id: "acct_1AbCdEf".to_owned(),
        company: false,
        name: name.to_owned(),
        email: "mina@example.com".to_owned(),
        url: "https://atelier.example".to_owned(),
        due: vec!["external_account".to_owned()],
        wrong: wrong.map(str::to_owned),
        action: "/connect/onboarding/x".to_owned(),
    }
}

fn express(locale: Locale) -> ExpressView {
    ExpressView {
        frame: frame(locale),
        merchant: "Atelier".to_owned(),
        account_id: "acct_1AbCdEf".to_owned(),
        charges: true,
        payouts: false,
        balance: vec![yen(1980)],
    }
}

/// Every page in every state worth looking at, with a file name.
pub(super) fn gallery(locale: Locale) -> Vec<(String, Markup)> {
    let outcome = |outcome| {
        outcome_page(&OutcomeView {
            frame: frame(locale),
            merchant: "Atelier".to_owned(),
            outcome,
            session_id: "cs_test_a1b2c3".to_owned(),
            continue_url: Some("http://127.0.0.1:4242/checkout/return".to_owned()),
        })
    };
    let cancel = PortalCancelView {
        frame: frame(locale),
        merchant: "Atelier".to_owned(),
        name: "Pro".to_owned(),
        ends_at: NOW + 12 * DAY,
        reasons: vec!["too_expensive".to_owned(), "other".to_owned()],
        trialing: false,
        action: "/p/session/x/cancel/sub_1".to_owned(),
        back_path: "/p/session/x".to_owned(),
    };
    let secure = ThreeDSecureView {
        frame: frame(locale),
        merchant: "Atelier".to_owned(),
        amount: Some(yen(1980)),
        last4: "3220".to_owned(),
        intent_id: "pi_1SaBcDeF".to_owned(),
        action: "/c/pay/cs_test_1/authenticate".to_owned(),
    };
    let owed = InvoicePayView {
        frame: frame(locale),
        merchant: "Atelier".to_owned(),
        number: Some("SB-0002".to_owned()),
        lines: vec![("Pro".to_owned(), yen(1980))],
        due: yen(1980),
        saved: Some("3184".to_owned()),
        form: CardForm::default(),
        invoice_id: "in_1SaBcDeF".to_owned(),
        action: "/i/in_1SaBcDeF".to_owned(),
    };
    let store = Awaited::Store {
        confirmation: "12345678901".to_owned(),
        code: "123456".to_owned(),
        until: NOW + 3 * DAY,
    };
    let index = IndexView {
        frame: frame(Locale::En),
        base_url: "http://127.0.0.1:12111".to_owned(),
        api_key: "sk_test_sandbox".to_owned(),
        api_version: "2026-10-28.endive".to_owned(),
        control_path: "/_sandbox".to_owned(),
    };
    let mut empty = portal(locale, "Atelier");
    (empty.subscriptions, empty.invoices, empty.card) = (vec![], vec![], None);
    let pages = vec![
        ("checkout", checkout_page(&checkout(locale, "Atelier"))),
        ("checkout-trial", checkout_page(&trial(locale))),
        ("checkout-declined", checkout_page(&declined(locale))),
        ("invoice", invoice_page(&owed)),
        ("secure", three_d_secure_page(&secure)),
        ("pending", pending_page(&pending(locale, Awaited::Bank))),
        ("transfer", pending_page(&pending(locale, Awaited::Transfer("1234567".to_owned())))),
        ("voucher", pending_page(&pending(locale, store))),
        ("complete", outcome(SessionOutcome::Complete { paid: Some(yen(1980)) })),
        ("already", outcome(SessionOutcome::AlreadyComplete { paid: Some(yen(1980)) })),
        ("expired", outcome(SessionOutcome::Expired)),
        ("processing", outcome(SessionOutcome::Processing)),
        ("problem", problem_page(&frame(locale), 404, "No such checkout.session: 'cs_test_x'")),
        ("portal", portal_page(&portal(locale, "Atelier"))),
        ("portal-trouble", portal_page(&troubled(locale))),
        ("portal-empty", portal_page(&empty)),
        ("cancel", portal_cancel_page(&cancel)),
        ("control", control_page(&control("user_42"))),
        ("index", index_page(&index)),
        ("onboarding", onboarding_page(&onboarding(locale, "Atelier", None))),
        ("onboarding-wrong", onboarding_page(&onboarding(locale, "", Some("name")))),
        ("express", express_page(&express(locale))),
    ];
    pages
        .into_iter()
        .chain(steps(locale))
        .map(|(name, page)| (format!("{name}-{}.html", locale.tag()), page))
        .collect()
}
