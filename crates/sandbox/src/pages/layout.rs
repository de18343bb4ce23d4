//! The frame around every page, and the small parts that pages share.

use maud::{DOCTYPE, Markup, html};

use super::assets::{SCRIPT_PATH, STYLE_PATH};
use super::format::{date, format_timestamp, machine_time, relative};
use super::text::{Text, say, t};
use super::views::{Frame, Locale, TimeTravel};

/// A small picture for the browser's tab, so that it does not ask for one.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect \
                    width='32' height='32' rx='7' fill='%239a6700'/%3E%3Cpath d='M9 16.5l5 5 9-11' fill='none' \
                    stroke='%23fff' stroke-width='3.5' stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E";

/// A whole page. `kind` names the layout in the style sheet.
pub(super) fn page(frame: &Frame, title: &str, kind: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(frame.locale.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(STYLE_PATH);
                script src=(SCRIPT_PATH) defer {}
            }
            body {
                a class="skip" href="#main" { (t(frame.locale, Text::SkipToContent)) }
                (band(frame))
                main id="main" class=(kind) tabindex="-1" { (body) }
            }
        }
    }
}

/// The striped band with the sandbox's clock and the time travel control.
fn band(frame: &Frame) -> Markup {
    let locale = frame.locale;
    html! {
        aside class="band" aria-label=(t(locale, Text::Band)) {
            div class="band-in" {
                p class="band-word" { (t(locale, Text::Band)) }
                p class="band-time" {
                    (t(locale, Text::SandboxTime)) " "
                    time datetime=(machine_time(frame.now)) {
                        (format_timestamp(locale, &frame.zone, frame.now))
                    }
                }
                @if let Some(travel) = &frame.time_travel { (time_travel(frame, travel)) }
            }
        }
    }
}

fn time_travel(frame: &Frame, travel: &TimeTravel) -> Markup {
    let locale = frame.locale;
    let renewal = travel.next_renewal.map(|at| date(locale, &frame.zone, at));
    html! {
        form class="travel" method="post" action=(travel.action) aria-label=(t(locale, Text::TimeTravel)) {
            input type="hidden" name="return_to" value=(travel.return_to);
            button name="step" value="day" { (t(locale, Text::AdvanceDay)) }
            button name="step" value="month" { (t(locale, Text::AdvanceMonth)) }
            button name="step" value="renewal" title=[renewal] disabled[travel.next_renewal.is_none()] {
                (t(locale, Text::AdvanceRenewal))
            }
        }
    }
}

/// How a state looks: the mark and the colour that go with its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Settled, paid.
    Good,
    /// Needs attention soon.
    Warn,
    /// Over or failed.
    Bad,
    /// Waiting, or neither.
    Quiet,
}

/// A status word: mark, word and colour together.
pub(super) fn status(tone: Tone, word: &str) -> Markup {
    let (class, mark) = match tone {
        Tone::Good => ("status good", "✓"),
        Tone::Warn => ("status warn", "▲"),
        Tone::Bad => ("status bad", "✕"),
        Tone::Quiet => ("status quiet", "○"),
    };
    html! { span class=(class) { span class="mark" aria-hidden="true" { (mark) } " " (word) } }
}

/// A point in time with its zone, and how far away it is.
pub(super) fn when(frame: &Frame, seconds: i64) -> Markup {
    html! {
        time datetime=(machine_time(seconds)) { (format_timestamp(frame.locale, &frame.zone, seconds)) }
        " " span class="muted" { "(" (relative(frame.locale, frame.now, seconds)) ")" }
    }
}

/// A link that leads out or back, when its address is one that a page may link to.
pub(super) fn link_out(href: Option<&String>, class: &str, words: &str) -> Markup {
    html! {
        @if let Some(href) = href.filter(|href| may_link(href)) {
            a class=(class) href=(href) { (words) }
        }
    }
}

/// Web addresses and local paths only: `javascript:` and its like never become links.
fn may_link(href: &str) -> bool {
    let web = |scheme: &str| href.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    web("https://") || web("http://") || (href.starts_with('/') && !href.starts_with("//"))
}

/// Sentences one after the other: with a space between them where the language has one. Empty ones are left out.
pub(super) fn join(locale: Locale, sentences: &[&str]) -> String {
    let gap = match locale {
        Locale::En => " ",
        Locale::Ja => "",
    };
    sentences.iter().filter(|sentence| !sentence.is_empty()).copied().collect::<Vec<_>>().join(gap)
}

/// A message at the head of a page or form; `alert` is read out at once.
pub(super) fn message(tone: Tone, title: Option<&str>, sentence: &str) -> Markup {
    let (class, role) = match tone {
        Tone::Good => ("message good", "status"),
        Tone::Warn => ("message warn", "alert"),
        Tone::Bad => ("message bad", "alert"),
        Tone::Quiet => ("message quiet", "status"),
    };
    html! {
        div class=(class) role=(role) {
            @if let Some(title) = title { p class="message-title" { (title) } }
            p { (sentence) }
        }
    }
}

/// `Back to {merchant}` with an arrow.
pub(super) fn back_to(frame: &Frame, merchant: &str, href: Option<&String>) -> Markup {
    let words = say(frame.locale, Text::BackTo, &[("merchant", merchant)]);
    link_out(href, "back", &format!("← {words}"))
}

/// The fine print for developers: an id that can be copied.
pub(super) fn developer_id(frame: &Frame, id: &str) -> Markup {
    html! { p class="fine" { (t(frame.locale, Text::ForDevelopers)) " " code { (id) } } }
}
