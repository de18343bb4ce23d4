//! Views as the server would fill them, for the tests and for looking at.

use jiff::tz::TimeZone;
use maud::Markup;
use quittance_domain::catalog::Interval;
use quittance_domain::checkout::CheckoutState;
use quittance_domain::dunning::IssueKind;
use quittance_domain::time::DAY_MS;
use quittance_domain::{Access, Currency, Money, Timestamp};
use serde_json::{Value, json};

use super::super::*;

/// 18 November 2026, 05:05 UTC.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_794_978_300);
/// Text as an attacker would put it into a name.
pub(super) const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

pub(super) fn money(minor: i64, code: &str) -> Money {
    Money::new(minor, Currency::parse(code).unwrap())
}

fn yen(minor: i64) -> Money {
    money(minor, "jpy")
}

fn in_days(days: i64) -> Timestamp {
    NOW.plus_ms(days * DAY_MS)
}

pub(super) fn frame(locale: Locale) -> Frame {
    let (zone, other) = match locale {
        Locale::En => (TimeZone::UTC, "?lang=ja"),
        Locale::Ja => (TimeZone::get("Asia/Tokyo").unwrap(), "?lang=en"),
    };
    Frame {
        locale,
        zone,
        now: NOW,
        site: "Atelier".to_owned(),
        app_url: None,
        plans_url: "/pricing?customer=demo".to_owned(),
        billing_url: Some("/billing?customer=demo".to_owned()),
        other_language: Some(format!("/pricing{other}")),
        demo: Some(DemoBand { control_url: "http://127.0.0.1:12111/_sandbox".to_owned() }),
    }
}

fn features(names: &[(&str, Included)]) -> Vec<FeatureLine> {
    names
        .iter()
        .map(|(name, included)| FeatureLine { name: (*name).to_owned(), included: *included })
        .collect()
}

fn card(key: &str, name: &str, description: &str, offer: PlanOffer) -> PlanCard {
    PlanCard {
        key: key.to_owned(),
        name: name.to_owned(),
        description: Some(description.to_owned()),
        offer,
        reduced: None,
        trial_days: 0,
        includes: None,
        features: vec![],
        featured: false,
    }
}

pub(super) fn pricing(locale: Locale, customer: &str) -> PricingView {
    let ja = locale == Locale::Ja;
    let word = |en: &'static str, japanese: &'static str| if ja { japanese } else { en };
    let (pro, studio) = if ja { (yen(1980), yen(9800)) } else { (money(1500, "usd"), money(7500, "usd")) };
    let buy = |amount| PlanOffer::Buy(PriceTag { amount, interval: Interval::Month });
    let choice = |value, selected| Choice { value, href: "/pricing?interval=x".to_owned(), selected };
    let currency = |code, selected| Choice {
        value: Currency::parse(code).unwrap(),
        href: format!("/pricing?currency={code}"),
        selected,
    };
    let mut free = card(
        "free",
        word("Free", "フリー"),
        word("Read the beginning of every article.", "すべての記事の冒頭を読めます。"),
        PlanOffer::Free,
    );
    free.features = features(&[(word("Article previews", "記事のプレビュー"), Included::Yes)]);
    let mut middle = card(
        "pro",
        word("Pro", "プロ"),
        word("Everything to read, and templates to start from.", "すべての記事とテンプレートを使えます。"),
        buy(pro),
    );
    middle.featured = true;
    middle.trial_days = 14;
    middle.includes = Some(word("Free", "フリー").to_owned());
    middle.features = features(&[
        (word("Full articles", "記事の全文"), Included::Yes),
        (word("Template downloads", "テンプレートのダウンロード"), Included::Yes),
    ]);
    let mut top = card(
        "studio",
        word("Studio", "スタジオ"),
        word("For teams: courses, five seats and reviews.", "チーム向け。講座、5席、レビューが付きます。"),
        buy(studio),
    );
    top.includes = Some(word("Pro", "プロ").to_owned());
    top.features = features(&[
        (word("Course library", "講座ライブラリー"), Included::Yes),
        (word("Team seats", "チームの席数"), Included::Limit(5)),
        (word("Review requests", "レビューの依頼"), Included::Limit(4)),
    ]);
    let once = card(
        "course",
        word("Course library", "講座ライブラリー"),
        word("Pay once and keep the whole library.", "一度のお支払いで、ずっと使えます。"),
        PlanOffer::Buy(PriceTag {
            amount: if ja { yen(12_000) } else { money(9000, "usd") },
            interval: Interval::Once,
        }),
    );
    PricingView {
        frame: frame(locale),
        intervals: vec![choice(Interval::Month, true), choice(Interval::Year, false)],
        currencies: vec![currency("jpy", ja), currency("usd", !ja)],
        plans: vec![free, middle, top],
        purchases: vec![once],
        customer: Some(customer.to_owned()),
        for_operators: false,
        customer_form: Some("/pricing".to_owned()),
        embedded_url: Some("/demo/embedded".to_owned()),
        checkout_action: "/pricing/choose".to_owned(),
        hidden: vec![("token".to_owned(), "t_1".to_owned())],
        notice: None,
        code: None,
    }
}

fn reduced(locale: Locale) -> PricingView {
    let mut view = pricing(locale, "user_42");
    let (list, total) =
        if locale == Locale::Ja { (yen(1980), yen(1584)) } else { (money(1500, "usd"), money(1200, "usd")) };
    let why = if locale == Locale::Ja {
        "ようこそ：20%割引。最初の3か月間。その後は¥1,980/月です。"
    } else {
        "Welcome: 20% off. For 3 months, then $15.00 per month."
    };
    let (why, code) = (why.to_owned(), Some("WELCOME20".to_owned()));
    view.plans[1].reduced = Some(Reduced { list, total, why, code });
    view.code = Some(CodeField {
        typed: "welcome20".to_owned(),
        holds: Some(true),
        carried: vec![("lang".to_owned(), locale.tag().to_owned())],
        without: "/pricing".to_owned(),
    });
    view
}

fn subscribed(locale: Locale) -> PricingView {
    let mut view = pricing(locale, "user_42");
    let tag = |card: &PlanCard| match card.offer {
        PlanOffer::Buy(tag) => tag,
        other => panic!("{other:?}"),
    };
    view.plans[1].offer = PlanOffer::Current(Some(tag(&view.plans[1])));
    view.plans[2].offer = PlanOffer::Change(tag(&view.plans[2]));
    view.purchases[0].offer = PlanOffer::Unavailable;
    view.notice = Some(PricingNotice::AlreadySubscribed);
    view
}

pub(super) fn returned(locale: Locale, state: ReturnState) -> ReturnView {
    ReturnView { frame: frame(locale), session: Some("cs_test_a1b2c3d4".to_owned()), state }
}

pub(super) fn active(plan: &str) -> ReturnState {
    ReturnState::Active(ActiveView {
        plan: plan.to_owned(),
        paid: Some(yen(1980)),
        next_charge: Some((in_days(30), yen(1980), Interval::Month)),
        trialing: false,
        unlocked: vec!["Article previews".to_owned(), "Full articles".to_owned(), "Template downloads".to_owned()],
        curl: Some(
            "curl http://127.0.0.1:4242/v1/customers/user_42/entitlements/article:full \\\n  -H 'authorization: Bearer qk_dev'"
                .to_owned(),
        ),
    })
}

pub(super) fn billing(locale: Locale, name: &str) -> BillingView {
    let block = |plan: &str, access, next| BillingSubscription {
        id: "sub_1".to_owned(),
        plan: plan.to_owned(),
        access,
        price: Some((yen(1980), Interval::Month)),
        quantity: 1,
        next,
        issue: None,
        ahead: vec![AheadLine::Planned { what: "Free".to_owned(), at: in_days(12) }],
        actions: Some(Actions {
            subscription: format!("sub_{plan}"),
            choices: vec![PlanChoice {
                value: "pro|month".to_owned(),
                name: plan.to_owned(),
                price: (yen(1980), Interval::Month),
                current: true,
            }],
            quantity: 1,
            undo: true,
            cancel: Some(Some(in_days(12))),
            cancelling: false,
            resume: true,
        }),
    };
    let can = |name: &str, limit, used, expires_at| BillingEntitlement {
        name: name.to_owned(),
        limit,
        used,
        expires_at,
    };
    BillingView {
        frame: frame(locale),
        customer: "user_42".to_owned(),
        notice: None,
        subscriptions: vec![block(name, Access::Granted, NextStep::Renews { at: in_days(12) })],
        free_plan: Some("Free".to_owned()),
        purchases: vec![Purchase {
            name: "Course library".to_owned(),
            at: in_days(-40),
            amount: Some(yen(12_000)),
            refunded: false,
        }],
        entitlements: vec![
            can("Full articles", None, None, Some(in_days(12))),
            can("Team seats", Some(5), Some(3), None),
            can("Review requests", Some(4), None, None),
            can("Course library", None, None, None),
        ],
        portal_action: Some("/billing/portal".to_owned()),
        hidden: vec![],
    }
}

fn troubled(locale: Locale) -> BillingView {
    let mut view = billing(locale, "Pro");
    let at = |next, access, plan: &str| {
        let block = view.subscriptions[0].clone();
        let actions = block.actions.map(|one| Actions { subscription: format!("sub_{plan}"), ..one });
        BillingSubscription { plan: plan.to_owned(), access, next, actions, ..block }
    };
    view.subscriptions = vec![
        at(NextStep::Grace { until: in_days(3), owed: Some(yen(1980)) }, Access::Grace, "Pro"),
        at(NextStep::WaitingForPayment, Access::Pending, "Studio"),
        at(NextStep::Over { since: Some(in_days(-5)), unpaid: true }, Access::Revoked, "Archive"),
        at(NextStep::Ends { at: in_days(20) }, Access::Granted, "Gallery"),
    ];
    let issue = |kind| BillingIssue {
        kind,
        amount: yen(1980),
        next_attempt_at: (kind == IssueKind::Declined).then(|| in_days(2)),
        pay_url: "/billing/pay?customer=user_42&invoice=in_1SaBcDeF".to_owned(),
    };
    view.subscriptions[0].issue = Some(issue(IssueKind::Declined));
    view.subscriptions[2].issue = Some(issue(IssueKind::ActionRequired));
    view.subscriptions[1].quantity = 3;
    view.purchases[0].refunded = true;
    view.notice = Some(BillingNotice::BackFromPortal);
    view
}

pub(super) fn admin(text: &str) -> AdminView {
    AdminView {
        frame: frame(Locale::En),
        counts: InboxCounts {
            events: 10_000,
            duplicates: 3_902,
            waiting: 12,
            oldest_waiting_seconds: Some(84),
            dirty: 3,
            parked: 1,
            outbox: 0,
            customers: 10_000,
            most: 10_000,
        },
        parked: vec![ParkedRow {
            key: "stripe:test:acct_1/customer/cus_QwErTy".to_owned(),
            parked_at: in_days(-1),
            attempts: 12,
            last_error: text.to_owned(),
        }],
        anomalies: vec![AnomalyRow {
            at: in_days(-2),
            kind: "unknown_price".to_owned(),
            object: "sub_1SaBcDeF".to_owned(),
            detail: "price_old_pro is in no plan; add it to the catalog or archive it.".to_owned(),
        }],
        alerts: vec![AlertRow {
            at: in_days(-2),
            kind: "duplicate_subscription".to_owned(),
            detail: "user_42 paid twice for membership; sub_2 was cancelled and 1,980 JPY refunded."
                .to_owned(),
        }],
        events: (0..12)
            .map(|i| EventRow {
                id: format!("evt_1SaBcDeFgHiJk{i}"),
                kind: if i % 2 == 0 { "customer.subscription.updated" } else { "invoice.paid" }.to_owned(),
                aggregate: "stripe:test:acct_1/customer/cus_QwErTy".to_owned(),
                received_at: NOW.plus_ms(-i * 61_000),
                deliveries: 1 + u64::try_from(i % 3).unwrap(),
                processed: i > 1,
            })
            .collect(),
        churn: vec![ChurnRow {
            month: "2026-11".to_owned(),
            cause: text.to_owned(),
            at_risk: "3,960 JPY (2)".to_owned(),
            open: String::new(),
            recovered: "1,980 JPY (1)".to_owned(),
            lost: "1,980 JPY (1)".to_owned(),
        }],
        checkouts: vec![CheckoutRow {
            id: "co_01HXYZ".to_owned(),
            customer: "user_42".to_owned(),
            what: "pro, month, jpy".to_owned(),
            state: CheckoutState::Open,
            expires_at: Some(in_days(1)),
        }],
        endpoints: vec![
            EndpointRow {
                id: "whe_01HXYZ".to_owned(),
                url: "https://app.example.com/hooks".to_owned(),
                types: String::new(),
                off: None,
                failing_since: Some(in_days(-1)),
            },
            EndpointRow {
                id: "whe_02HXYZ".to_owned(),
                url: "https://old.example.com/hooks".to_owned(),
                types: "payment.failed".to_owned(),
                off: Some(text.to_owned()),
                failing_since: None,
            },
        ],
        given_up: vec![GivenUpRow {
            event: "aev_01HXYZ".to_owned(),
            endpoint: "whe_02HXYZ".to_owned(),
            at: Some(in_days(-1)),
            attempts: 10,
            error: text.to_owned(),
        }],
    }
}

/// A small OpenAPI document with the shapes that generators write.
pub(super) fn openapi() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Quittance API", "version": "0.1.0", "description": "Amounts are in minor units.\n\nTimes are RFC 3339 in UTC."},
        "tags": [{"name": "Customers"}, {"name": "Checkouts"}],
        "security": [{"bearer": []}],
        "paths": {
            "/v1/checkouts": {"post": {
                "tags": ["Checkouts"], "summary": "Open a checkout",
                "description": "Prices come from the catalog, never from the caller. Send an `Idempotency-Key`.",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewCheckout"}}}},
                "responses": {
                    "200": {"description": "The checkout", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Checkout"}}}},
                    "422": {"$ref": "#/components/responses/Problem"}
                }
            }},
            "/v1/customers/{id}/entitlements/{feature}": {"get": {
                "tags": ["Customers"], "summary": "May this customer use this feature?",
                "parameters": [
                    {"name": "id", "in": "path", "required": true, "description": "Our id or the provider's.", "schema": {"type": "string"}},
                    {"name": "feature", "in": "path", "required": true, "schema": {"type": "string"}}
                ],
                "responses": {"200": {"description": "The answer", "content": {"application/json": {"example": {"allowed": true}}}}}
            }},
            "/healthz": {"get": {"security": [], "summary": "Alive", "responses": {"200": {"description": "It is."}}}}
        },
        "components": {
            "schemas": {
                "NewCheckout": {"type": "object", "required": ["customer", "plan"], "properties": {
                    "customer": {"type": "string", "description": "Your id of the customer.", "example": "user_42"},
                    "plan": {"type": "string", "example": "pro"},
                    "quantity": {"type": ["integer", "null"], "format": "int64", "minimum": 1},
                    "interval": {"$ref": "#/components/schemas/Interval"},
                    "metadata": {"type": "object"}
                }},
                "Interval": {"type": "string", "enum": ["month", "year"]},
                "Checkout": {"type": "object", "properties": {
                    "id": {"type": "string"}, "expires_at": {"type": "string", "format": "date-time"},
                    "parent": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Checkout"}]}
                }}
            },
            "responses": {"Problem": {"description": "Why not, and whether money moved"}}
        }
    })
}

fn problem(locale: Locale, problem: Problem, money: MoneyMoved) -> Markup {
    problem_page(&ProblemView {
        frame: frame(locale),
        problem,
        money,
        code: "provider_unavailable".to_owned(),
        request_id: Some("req_01HXYZ".to_owned()),
        detail: "Three attempts in 20 s failed; the circuit breaker is open.".to_owned(),
    })
}

/// Every page in every state worth looking at, with a file name.
pub(super) fn gallery(locale: Locale) -> Vec<(String, Markup)> {
    let back = |state| return_page(&returned(locale, state));
    let status_url = "/checkout/status/cs_test_a1b2c3d4".to_owned();
    let mut empty = billing(locale, "Pro");
    (empty.subscriptions, empty.purchases, empty.entitlements, empty.portal_action) =
        (vec![], vec![], vec![], None);
    let quiet = AdminView {
        counts: InboxCounts { most: 10_000, ..InboxCounts::default() },
        parked: vec![],
        anomalies: vec![],
        alerts: vec![],
        events: vec![],
        churn: vec![],
        checkouts: vec![],
        endpoints: vec![],
        given_up: vec![],
        ..admin("")
    };
    let document = openapi();
    let english = frame(Locale::En);
    let docs = DocsView {
        frame: &english,
        openapi: &document,
        base_url: "http://127.0.0.1:4242",
        api_key: "qk_dev",
        customer: "user_42",
        openapi_path: "/openapi.json",
    };
    let pages = vec![
        ("pricing", pricing_page(&pricing(locale, "user_42"))),
        (
            "embedded-choice",
            embedded_choice_page(&EmbeddedChoiceView {
                frame: frame(locale),
                action: "/demo/embedded".to_owned(),
                hidden: vec![("customer".to_owned(), "user_42".to_owned())],
                ways: vec![("embedded", "Pro".to_owned(), Some(yen(1980)))],
            }),
        ),
        (
            "embedded",
            embedded_page(&EmbeddedView {
                frame: frame(locale),
                ui: "embedded",
                plan: "Pro".to_owned(),
                library_url: "http://127.0.0.1:12111/js/sandbox.js".to_owned(),
                publishable_key: "pk_test_1".to_owned(),
                client_secret: "cs_test_1_secret_1".to_owned(),
                return_url: "http://127.0.0.1:4242/checkout/return".to_owned(),
                back: "/demo/embedded".to_owned(),
            }),
        ),
        ("mail-ask", mail_ask_page(&frame(locale), "/mail/open/x", MailLinkAsk::Card)),
        ("pricing-reduced", pricing_page(&reduced(locale))),
        ("pricing-subscribed", pricing_page(&subscribed(locale))),
        ("return-processing", back(ReturnState::Processing { status_url: status_url.clone(), slow: false })),
        ("return-slow", back(ReturnState::Processing { status_url, slow: true })),
        ("return-active", back(active("Pro"))),
        (
            "return-open",
            back(ReturnState::Open { checkout_url: Some("http://127.0.0.1:12111/c/pay/x".to_owned()) }),
        ),
        ("return-failed", back(ReturnState::Failed)),
        ("return-expired", back(ReturnState::Expired)),
        ("return-unknown", back(ReturnState::Unknown)),
        ("return-duplicate", back(ReturnState::DuplicateRefunded { amount: yen(1980) })),
        ("billing", billing_page(&billing(locale, "Pro"))),
        ("billing-trouble", billing_page(&troubled(locale))),
        ("billing-empty", billing_page(&empty)),
        ("problem", problem(locale, Problem::ProviderUnavailable, MoneyMoved::No)),
        ("problem-unknown", problem(locale, Problem::Internal, MoneyMoved::Unknown)),
        ("admin", admin_page(&admin("No such customer: 'cus_QwErTy' (resource_missing)"))),
        ("admin-empty", admin_page(&quiet)),
        ("docs", docs_page(&docs)),
    ];
    pages.into_iter().map(|(name, page)| (format!("{name}-{}.html", locale.tag()), page)).collect()
}
