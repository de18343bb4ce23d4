//! Tests of the pages: escaping, languages, amounts, labels, and markup that the content security policy allows.
//!
//! With `QUITTANCE_PAGES_DIR` set, [`pages_can_be_looked_at`] writes every page and its assets there; serve that
//! directory and open the pages in a browser.

mod docs;
mod fixtures;

use jiff::tz::TimeZone;
use quittance_domain::{Access, Timestamp};

use super::format::relative;
use super::text::{Text, say, t};
use super::*;
use fixtures::{HOSTILE, NOW, active, admin, billing, gallery, money, pricing, returned};

const LOCALES: [Locale; 2] = [Locale::En, Locale::Ja];

const LIBRARY: &str = "http://127.0.0.1:12111/js/sandbox.js";

fn all_pages() -> Vec<(String, String)> {
    LOCALES.iter().flat_map(|l| gallery(*l)).map(|(name, page)| (name, page.into_string())).collect()
}

/// The start tags of a page, as written.
fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .filter(|tag| !tag.starts_with(['/', '!']))
        .filter_map(|tag| tag.split('>').next())
        .collect()
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next())
}

fn assert_harmless(html: &str) {
    assert!(html.contains("&lt;script&gt;alert(1)"), "the text itself is shown");
    assert!(!html.contains("<script>alert"), "no tag from text");
    assert!(!html.contains("\"'><img"), "no way out of an attribute");
}

#[test]
fn hostile_text_is_escaped_everywhere() {
    for locale in LOCALES {
        let mut offers = pricing(locale, HOSTILE);
        offers.plans[1].name = HOSTILE.to_owned();
        offers.plans[1].key = HOSTILE.to_owned();
        offers.hidden.push((HOSTILE.to_owned(), HOSTILE.to_owned()));
        offers.frame.site = HOSTILE.to_owned();
        let mut back = returned(locale, active(HOSTILE));
        back.session = Some(HOSTILE.to_owned());
        let waiting =
            returned(locale, ReturnState::Processing { status_url: HOSTILE.to_owned(), slow: false });
        let mut account = billing(locale, HOSTILE);
        account.customer = HOSTILE.to_owned();
        account.entitlements[0].name = HOSTILE.to_owned();
        account.purchases[0].name = HOSTILE.to_owned();
        for page in [
            pricing_page(&offers),
            return_page(&back),
            return_page(&waiting),
            billing_page(&account),
            admin_page(&admin(HOSTILE)),
        ] {
            assert_harmless(&page.into_string());
        }
    }
}

#[test]
fn script_addresses_never_become_links() {
    for bad in
        ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "//evil.example", " javascript:x"]
    {
        let mut back = returned(Locale::En, ReturnState::Open { checkout_url: Some(bad.to_owned()) });
        back.frame.other_language = Some(bad.to_owned());
        back.frame.demo = Some(DemoBand { control_url: bad.to_owned() });
        assert!(!return_page(&back).into_string().contains(bad), "{bad}");
    }
}

#[test]
fn markup_keeps_to_the_content_security_policy() {
    for (name, html) in all_pages() {
        for tag in tags(&html) {
            // Every other piece lies between quotes: values, not names.
            let names: String = tag.split('"').step_by(2).collect();
            assert!(!names.contains(" style="), "{name}: inline style in <{tag}>");
            assert!(!names.contains(" on"), "{name}: inline handler in <{tag}>");
            if tag.starts_with("script") {
                // The demo of a page of the app loads the provider's library, under a policy of its own.
                let library = name.starts_with("embedded") && attribute(tag, "src") == Some(LIBRARY);
                assert!(library || attribute(tag, "src") == Some(SCRIPT_PATH), "{name}");
            }
        }
        assert!(!html.contains("<style") && !html.contains("<script>"), "{name}");
    }
}

#[test]
fn every_control_has_a_label() {
    for (name, html) in all_pages() {
        for tag in tags(&html) {
            let field = tag.starts_with("input ") || tag.starts_with("select ");
            if !field || attribute(tag, "type") == Some("hidden") {
                continue;
            }
            let id = attribute(tag, "id").unwrap_or_else(|| panic!("{name}: <{tag}> has no id"));
            assert!(html.contains(&format!("for=\"{id}\"")), "{name}: <{tag}> has no label");
        }
    }
}

#[test]
fn ids_are_used_once_and_references_lead_somewhere() {
    for (name, html) in all_pages() {
        let ids: Vec<&str> = tags(&html).into_iter().filter_map(|tag| attribute(tag, "id")).collect();
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| other == &id).count(), 1, "{name}: id {id}");
        }
        for tag in tags(&html) {
            for reference in
                ["aria-labelledby", "aria-describedby", "for"].iter().filter_map(|n| attribute(tag, n))
            {
                assert!(ids.contains(&reference), "{name}: {reference} leads nowhere");
            }
        }
    }
}

#[test]
fn every_page_has_language_title_one_main_heading_and_a_skip_link() {
    for (name, html) in all_pages() {
        assert!(html.contains("<html lang=\"en\">") || html.contains("<html lang=\"ja\">"), "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        assert_eq!(html.matches("<main").count(), 1, "{name}");
        assert!(html.contains("href=\"#main\"") && html.contains("id=\"main\""), "{name}");
        assert!(!html.contains("<title></title>"), "{name}");
        assert!(html.matches("main-action").count() <= 1, "{name}: one main action a page");
    }
}

#[test]
fn both_languages_have_every_sentence_with_the_same_names() {
    fn names(sentence: &str) -> Vec<&str> {
        let mut names: Vec<_> =
            sentence.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        names.sort_unstable();
        names
    }
    for text in Text::ALL {
        let (en, ja) = (t(Locale::En, *text), t(Locale::Ja, *text));
        assert!(!en.trim().is_empty() && !ja.trim().is_empty(), "{text:?}");
        assert_eq!(names(en), names(ja), "{text:?}");
        assert!(!en.chars().any(|c| ('\u{3040}'..'\u{a000}').contains(&c)), "{text:?}: {en}");
        assert!(
            !en.contains('!') && !ja.contains('!') && !ja.contains('\u{ff01}'),
            "{text:?}: no exclamation marks"
        );
    }
}

#[test]
fn sentences_are_filled_in_one_pass() {
    let said = say(Locale::En, Text::UsedOf, &[("used", "{limit}"), ("limit", "5")]);
    assert_eq!(said, ", {limit} of 5 used");
}

#[test]
fn amounts_have_the_decimals_of_their_currency() {
    let table = [
        (1_980, "jpy", "¥1,980", "1,980円"),
        (0, "jpy", "¥0", "0円"),
        (-500, "jpy", "\u{2212}¥500", "\u{2212}500円"),
        (1_200, "usd", "$12.00", "$12.00"),
        (5, "usd", "$0.05", "$0.05"),
        (123_456_789, "usd", "$1,234,567.89", "$1,234,567.89"),
        (12_345, "kwd", "KWD\u{a0}12.345", "KWD\u{a0}12.345"),
        (7, "kwd", "KWD\u{a0}0.007", "KWD\u{a0}0.007"),
        (i64::MIN, "jpy", "\u{2212}¥9,223,372,036,854,775,808", "\u{2212}9,223,372,036,854,775,808円"),
    ];
    for (minor, currency, en, ja) in table {
        assert_eq!(format_money(Locale::En, money(minor, currency)), en);
        assert_eq!(format_money(Locale::Ja, money(minor, currency)), ja);
    }
}

#[test]
fn dates_are_absolute_with_their_zone() {
    let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
    assert_eq!(format_timestamp(Locale::En, &TimeZone::UTC, NOW), "18 Nov 2026, 05:05 UTC");
    assert_eq!(format_timestamp(Locale::Ja, &tokyo, NOW), "2026年11月18日 14:05（日本時間）");
    // 20:00 UTC is the next day in Tokyo.
    let evening = Timestamp::from_seconds(1_764_532_800);
    assert_eq!(format_date(Locale::Ja, &tokyo, evening), "2025年12月1日");
    assert_eq!(format_date(Locale::En, &TimeZone::UTC, evening), "30 Nov 2025");
    let beyond = Timestamp::from_ms(i64::MAX);
    assert_eq!(format_timestamp(Locale::En, &TimeZone::UTC, beyond), beyond.to_string());
}

#[test]
fn distances_in_time_are_said_in_words() {
    let table = [
        (0, "now", "今"),
        (61, "in 1 minute", "1分後"),
        (-300, "5 minutes ago", "5分前"),
        (3 * 3_600, "in 3 hours", "3時間後"),
        (-12 * 86_400, "12 days ago", "12日前"),
        (30 * 86_400 - 60, "in 30 days", "30日後"),
        (2 * 86_400 - 60, "in 2 days", "2日後"),
        (2 * 3_600 - 10, "in 2 hours", "2時間後"),
    ];
    for (away, en, ja) in table {
        let at = NOW.plus_ms(away * 1_000);
        assert_eq!(relative(Locale::En, NOW, at), en);
        assert_eq!(relative(Locale::Ja, NOW, at), ja);
    }
}

#[test]
fn plans_post_names_and_never_prices() {
    let html = pricing_page(&pricing(Locale::En, "user_42")).into_string();
    for (name, value) in [("plan", "pro"), ("interval", "month"), ("currency", "usd"), ("token", "t_1")] {
        assert!(html.contains(&format!("name=\"{name}\" value=\"{value}\"")), "{name}");
    }
    assert!(
        !html.contains("value=\"1500\"")
            && !html.contains("name=\"amount\"")
            && !html.contains("name=\"price\"")
    );
}

#[test]
fn the_outline_of_the_plans_has_no_gap() {
    let html = pricing_page(&pricing(Locale::En, "user_42")).into_string();
    let levels: Vec<u32> =
        html.split("<h").skip(1).filter_map(|rest| rest.chars().next()?.to_digit(10)).collect();
    assert_eq!(levels, [1, 2, 2, 2, 2, 3]);
}

#[test]
fn without_a_customer_nothing_can_be_bought() {
    let mut view = pricing(Locale::En, "user_42");
    view.customer = None;
    let bare = pricing_page(&view).into_string();
    assert!(!bare.contains("<form") && !bare.contains("page-link"));
    assert!(bare.contains("sign in to Atelier"), "the reader is told what to do: {bare}");
    view.frame.app_url = Some("https://app.example/login".to_owned());
    view.for_operators = true;
    let html = pricing_page(&view).into_string();
    assert!(!html.contains("<form") && html.contains("page-link"));
    assert!(html.matches("href=\"https://app.example/login\"").count() > 1);
}

#[test]
fn the_return_page_waits_and_says_whether_money_moved() {
    let processing = ReturnState::Processing { status_url: "/checkout/status/x".to_owned(), slow: false };
    let html = return_page(&returned(Locale::En, processing)).into_string();
    assert!(html.contains("data-poll=\"/checkout/status/x\""));
    assert!(html.contains("<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>"));
    assert!(html.contains("Please do not pay again."));
    for (state, sentence) in [
        (ReturnState::Failed, "You have not been charged."),
        (ReturnState::Expired, "You have not been charged."),
        (ReturnState::Unknown, "Opening it charged nothing."),
        (ReturnState::Open { checkout_url: None }, "Nothing was charged yet."),
        (ReturnState::DuplicateRefunded { amount: money(1980, "jpy") }, "¥1,980 was given back"),
    ] {
        let html = return_page(&returned(Locale::En, state)).into_string();
        assert!(html.contains(sentence), "{sentence}");
        assert!(
            !html.contains("http-equiv=\"refresh\"") && !html.contains("data-poll"),
            "{sentence}: settled"
        );
    }
}

#[test]
fn the_end_of_a_checkout_says_what_was_paid_and_what_follows() {
    let sentences = |paid, next: Option<i64>, trialing| {
        let ReturnState::Active(view) = active("Pro") else { panic!("the fixture is active") };
        let next_charge = view.next_charge.filter(|_| next.is_some());
        let view = ActiveView { paid, next_charge, trialing, ..view };
        return_page(&returned(Locale::En, ReturnState::Active(view))).into_string()
    };
    let yen = |minor| Some(money(minor, "jpy"));
    for (html, sentence) in [
        (
            sentences(yen(1980), Some(30), false),
            "You paid ¥1,980. It renews on 18 Dec 2026 for ¥1,980 per month.",
        ),
        (
            sentences(yen(0), Some(30), true),
            "Nothing was charged. Free until 18 Dec 2026, then ¥1,980 per month.",
        ),
        (sentences(yen(12_000), None, false), "You paid ¥12,000. Nothing renews."),
        (sentences(None, Some(30), false), ">It renews on 18 Dec 2026"),
    ] {
        assert!(html.contains(sentence), "{sentence}");
    }
}

#[test]
fn grace_says_until_when_and_how_to_pay() {
    let mut view = billing(Locale::En, "Pro");
    view.subscriptions[0].access = Access::Grace;
    view.subscriptions[0].next =
        NextStep::Grace { until: NOW.plus_ms(3 * 86_400_000), owed: Some(money(1980, "jpy")) };
    let html = billing_page(&view).into_string();
    assert!(
        html.contains("You keep everything until 21 Nov 2026, in 3 days. Pay ¥1,980 before then to go on.")
    );
    assert!(html.contains("Pay or change the card"));
    assert!(!billing_page(&billing(Locale::En, "Pro")).into_string().contains("Pay or change the card"));
}

#[test]
fn operators_get_the_command_that_mends_it() {
    let mut view = admin("x");
    assert!(
        admin_page(&view)
            .into_string()
            .contains("quittance parked retry stripe:test:acct_1/customer/cus_QwErTy")
    );
    view.parked[0].key = "stripe:$(reboot) 'x'".to_owned();
    let html = admin_page(&view).into_string();
    assert!(html.contains("quittance parked retry 'stripe:$(reboot) '\\''x'\\'''"), "{html}");
    view.frame.locale = Locale::Ja;
    assert!(admin_page(&view).into_string().contains("<html lang=\"en\">"), "operators' pages are English");
}

#[test]
fn problems_say_whether_money_moved() {
    for (money, sentence) in [
        (MoneyMoved::No, "No money moved."),
        (MoneyMoved::Yes, "The payment went through. Do not pay again."),
        (MoneyMoved::Unknown, "We do not know yet whether the payment went through."),
    ] {
        let view = ProblemView {
            frame: fixtures::frame(Locale::En),
            problem: Problem::Internal,
            money,
            code: "internal".to_owned(),
            request_id: None,
            detail: String::new(),
        };
        assert!(problem_page(&view).into_string().contains(sentence));
    }
}

#[test]
fn languages_are_found_in_tags_and_headers() {
    for (tags, locale) in [
        ("ja", Some(Locale::Ja)),
        ("fr;q=0.9, ja-JP;q=0.8, en;q=0.7", Some(Locale::Ja)),
        ("en-GB,ja", Some(Locale::En)),
        ("auto", None),
        ("", None),
    ] {
        assert_eq!(Locale::from_tags(tags), locale, "{tags}");
    }
}

#[test]
fn the_policy_names_only_plain_origins() {
    let policy =
        csp(&["http://127.0.0.1:12111/c/pay/x", "javascript:alert(1)", "https://a.example; script-src *"]);
    assert!(policy.ends_with("form-action 'self' http://127.0.0.1:12111"), "{policy}");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
}

#[test]
fn asset_names_carry_a_hash() {
    for (path, end) in [(STYLE_PATH, ".css"), (SCRIPT_PATH, ".js")] {
        let hash = path.strip_prefix("/assets/app-").unwrap().strip_suffix(end).unwrap();
        assert_eq!(hash.len(), 16);
        assert_ne!(hash, "0000000000000000");
    }
    assert_ne!(STYLE_PATH.get(12..28), SCRIPT_PATH.get(12..28));
}

#[test]
fn pages_can_be_looked_at() {
    let pages = all_pages();
    assert!(pages.len() > 30);
    let Some(dir) =
        std::env::var_os("QUITTANCE_PAGES_DIR").map(|dir| std::path::PathBuf::from(dir).join("server"))
    else {
        return;
    };
    std::fs::create_dir_all(dir.join("assets")).unwrap();
    std::fs::write(dir.join(STYLE_PATH.trim_start_matches('/')), STYLE).unwrap();
    std::fs::write(dir.join(SCRIPT_PATH.trim_start_matches('/')), SCRIPT).unwrap();
    for (name, html) in pages {
        std::fs::write(dir.join(name), html).unwrap();
    }
}
