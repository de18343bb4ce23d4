//! Tests of the pages: escaping, languages, amounts, labels, and markup that the content security policy allows.
//!
//! With `QUITTANCE_PAGES_DIR` set, [`pages_can_be_looked_at`] writes every page and its assets there; serve that
//! directory and open the pages in a browser.

mod fixtures;

use jiff::tz::TimeZone;

use super::format::{date, relative};
use super::text::{Text, say, t};
use super::words::decline;
use super::*;
use fixtures::{HOSTILE, NOW, checkout, control, frame, gallery, portal};

const LOCALES: [Locale; 2] = [Locale::En, Locale::Ja];

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

#[test]
fn hostile_text_is_escaped_everywhere() {
    for locale in LOCALES {
        let mut hostile = checkout(locale, HOSTILE);
        hostile.lines[0].name = HOSTILE.to_owned();
        hostile.email_typed = HOSTILE.to_owned();
        hostile.form.name = HOSTILE.to_owned();
        hostile.session_id = HOSTILE.to_owned();
        let mut account = portal(locale, HOSTILE);
        account.customer = HOSTILE.to_owned();
        account.subscriptions[0].name = HOSTILE.to_owned();
        account.notice = Some(PortalNotice::Changed(HOSTILE.to_owned()));
        account.invoices[0].description = HOSTILE.to_owned();
        let mut switches = control(HOSTILE);
        switches.events[0].kind = HOSTILE.to_owned();
        switches.endpoints[0].0 = HOSTILE.to_owned();
        switches.faults[0].path = HOSTILE.to_owned();
        for page in [checkout_page(&hostile), portal_page(&account), control_page(&switches)] {
            let html = page.into_string();
            assert!(html.contains("&lt;script&gt;alert(1)"), "the text itself is shown");
            assert!(!html.contains("<script>alert"), "no tag from text");
            assert!(!html.contains("\"'><img"), "no way out of an attribute");
        }
    }
}

#[test]
fn script_addresses_never_become_links() {
    for bad in
        ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "//evil.example", " javascript:x"]
    {
        let mut view = checkout(Locale::En, "Atelier");
        view.cancel_url = Some(bad.to_owned());
        assert!(!checkout_page(&view).into_string().contains(bad), "{bad}");
    }
    let html = checkout_page(&checkout(Locale::En, "Atelier")).into_string();
    assert!(html.contains("href=\"http://127.0.0.1:4242/pricing\""));
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
                assert_eq!(attribute(tag, "src"), Some(SCRIPT_PATH), "{name}");
            }
        }
        assert!(!html.contains("<style"), "{name}");
        assert!(html.contains("</script></head>") && !html.contains("<script>"), "{name}");
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
            assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{name}: id {id} is used once");
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
        assert!(html.contains("no money moves here") || html.contains("お金は動きません"), "{name}");
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
        assert!(
            en.is_ascii() || !en.chars().any(|c| ('\u{3040}'..'\u{a000}').contains(&c)),
            "{text:?}: {en}"
        );
        assert!(
            !en.contains('!') && !ja.contains('!') && !ja.contains('\u{ff01}'),
            "{text:?}: no exclamation marks"
        );
    }
}

#[test]
fn sentences_are_filled_in_one_pass() {
    let said = say(Locale::En, Text::CompletePaid, &[("amount", "{merchant}"), ("merchant", "Atelier")]);
    assert_eq!(said, "You paid {merchant} to Atelier.");
}

#[test]
fn amounts_have_the_decimals_of_their_currency() {
    let table = [
        (1_980, "jpy", "¥1,980", "1,980円"),
        (0, "JPY", "¥0", "0円"),
        (-500, "jpy", "\u{2212}¥500", "\u{2212}500円"),
        (1_200, "usd", "$12.00", "$12.00"),
        (5, "usd", "$0.05", "$0.05"),
        (123_456_789, "usd", "$1,234,567.89", "$1,234,567.89"),
        (-1, "usd", "\u{2212}$0.01", "\u{2212}$0.01"),
        (12_345, "kwd", "KWD\u{a0}12.345", "KWD\u{a0}12.345"),
        (7, "kwd", "KWD\u{a0}0.007", "KWD\u{a0}0.007"),
        (1_000, "krw", "₩1,000", "₩1,000"),
        (i64::MIN, "usd", "\u{2212}$92,233,720,368,547,758.08", "\u{2212}$92,233,720,368,547,758.08"),
    ];
    for (amount, currency, en, ja) in table {
        let money = Money { amount, currency: currency.to_owned() };
        assert_eq!(format_money(Locale::En, &money), en);
        assert_eq!(format_money(Locale::Ja, &money), ja);
    }
}

#[test]
fn dates_are_absolute_with_their_zone() {
    let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
    assert_eq!(format_timestamp(Locale::En, &TimeZone::UTC, NOW), "18 Nov 2026, 05:05 UTC");
    assert_eq!(format_timestamp(Locale::Ja, &tokyo, NOW), "2026年11月18日 14:05 JST");
    // 20:00 UTC is the next day in Tokyo.
    assert_eq!(date(Locale::Ja, &tokyo, 1_764_532_800), "2025年12月1日");
    assert_eq!(date(Locale::En, &TimeZone::UTC, 1_764_532_800), "30 Nov 2025");
    assert_eq!(format_timestamp(Locale::En, &TimeZone::UTC, i64::MAX), i64::MAX.to_string());
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
        assert_eq!(relative(Locale::En, NOW, NOW + away), en);
        assert_eq!(relative(Locale::Ja, NOW, NOW + away), ja);
    }
}

#[test]
fn cards_are_read_for_shape() {
    let read = |number, expiry, cvc, name| parse_card_fields(number, expiry, cvc, name, (2026, 11));
    let fields = read("4242 4242-4242 4242", "04 / 30", "123", " Mina Sato ").unwrap();
    assert_eq!((fields.number.as_str(), fields.exp_month, fields.exp_year), ("4242424242424242", 4, 2030));
    assert_eq!(fields.name, "Mina Sato");
    let wide = read("\u{ff14}242424242424242", "11\u{ff0f}2026", "1234", "佐藤").unwrap();
    assert_eq!((wide.number.as_str(), wide.exp_month, wide.exp_year), ("4242424242424242", 11, 2026));
    let refused = [
        ("4242", "04/30", "123", "A", CardProblem::Number),
        ("4242x24242424242", "04/30", "123", "A", CardProblem::Number),
        ("4242424242424242", "13/30", "123", "A", CardProblem::Expiry),
        ("4242424242424242", "0430 ", "12", "A", CardProblem::Cvc),
        ("4242424242424242", "4/30", "123", "A", CardProblem::Expiry),
        ("4242424242424242", "10/26", "123", "A", CardProblem::Expired),
        ("4242424242424242", "04/30", "123", " ", CardProblem::Name),
    ];
    for (number, expiry, cvc, name, problem) in refused {
        assert_eq!(read(number, expiry, cvc, name), Err(problem), "{number} {expiry} {cvc}");
    }
}

#[test]
fn declines_say_that_nothing_was_charged_and_do_not_tell_a_thief() {
    for code in ["generic_decline", "insufficient_funds", "expired_card", "processing_error", "made_up_code"]
    {
        let mut view = checkout(Locale::En, "Atelier");
        view.form.problem = Some(FormProblem::Declined(code.to_owned()));
        let html = checkout_page(&view).into_string();
        assert!(html.contains("You have not been charged."), "{code}");
        assert!(html.contains("role=\"alert\""), "{code}");
    }
    assert_eq!(decline("insufficient_funds"), Text::DeclineFunds);
    for code in ["stolen_card", "lost_card", "fraudulent", "pickup_card"] {
        assert_eq!(decline(code), Text::DeclineGeneral, "{code}");
    }
}

#[test]
fn languages_are_found_in_tags_and_headers() {
    for (tags, locale) in [
        ("ja", Locale::Ja),
        ("ja-JP", Locale::Ja),
        ("fr;q=0.9, ja;q=0.8, en;q=0.7", Locale::Ja),
        ("en-GB,ja", Locale::En),
        ("auto", Locale::En),
        ("", Locale::En),
    ] {
        assert_eq!(Locale::from_tags(tags), locale, "{tags}");
    }
}

#[test]
fn the_policy_names_only_plain_origins() {
    let policy =
        csp(&["https://app.example/return?x=1", "javascript:alert(1)", "https://a.example; script-src *"]);
    assert!(policy.ends_with("form-action 'self' https://app.example"), "{policy}");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
}

#[test]
fn asset_names_carry_a_hash() {
    for (path, end) in [(STYLE_PATH, ".css"), (SCRIPT_PATH, ".js")] {
        let hash = path.strip_prefix("/_sandbox/assets/").unwrap().strip_suffix(end).unwrap();
        assert_eq!(hash.len(), 16);
        assert_ne!(hash, "0000000000000000");
    }
    assert_ne!(STYLE_PATH.get(17..33), SCRIPT_PATH.get(17..33));
}

#[test]
fn plain_frames_hide_what_they_lack() {
    let mut view = checkout(Locale::En, "Atelier");
    view.frame = Frame { time_travel: None, ..frame(Locale::En) };
    view.optional = Vec::new();
    assert!(!checkout_page(&view).into_string().contains("name=\"step\""));
    view.frame = Frame { ..frame(Locale::En) };
    view.frame.time_travel.as_mut().unwrap().next_renewal = None;
    assert!(checkout_page(&view).into_string().contains("value=\"renewal\" disabled"));
}

#[test]
fn pages_can_be_looked_at() {
    let pages = all_pages();
    assert!(pages.len() > 20);
    let Some(dir) =
        std::env::var_os("QUITTANCE_PAGES_DIR").map(|dir| std::path::PathBuf::from(dir).join("sandbox"))
    else {
        return;
    };
    std::fs::create_dir_all(dir.join("_sandbox/assets")).unwrap();
    std::fs::write(dir.join(STYLE_PATH.trim_start_matches('/')), STYLE).unwrap();
    std::fs::write(dir.join(SCRIPT_PATH.trim_start_matches('/')), SCRIPT).unwrap();
    for (name, html) in pages {
        std::fs::write(dir.join(name), html).unwrap();
    }
}
