//! The frame around every page, and the small parts that pages share.

use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};
use quittance_domain::Timestamp;

use super::assets::{SCRIPT_PATH, STYLE_PATH};
use super::format::{format_timestamp, relative};
use super::text::{Text, t};

/// A small picture for the browser's tab, so that it does not ask for one.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect \
                    width='32' height='32' rx='7' fill='%230b6e4f'/%3E%3Cpath d='M9 16.5l5 5 9-11' fill='none' \
                    stroke='%23fff' stroke-width='3.5' stroke-linecap='round' stroke-linejoin='round'/%3E%3C/svg%3E";

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locale {
    /// English.
    En,
    /// Japanese.
    Ja,
}

impl Locale {
    /// The locale for a language tag (`ja`, `ja-JP`) or a whole `Accept-Language` header: the first known language wins;
    /// `None` when none is known.
    #[must_use]
    pub fn from_tags(tags: &str) -> Option<Self> {
        tags.split(',').find_map(|tag| {
            let tag = tag.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            match tag.split('-').next().unwrap_or_default() {
                "ja" => Some(Self::Ja),
                "en" => Some(Self::En),
                _ => None,
            }
        })
    }

    /// The value of the `lang` attribute, and of a `lang` query parameter.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ja => "ja",
        }
    }

    /// The other language, for the switch.
    pub(super) const fn other(self) -> (Self, &'static str) {
        match self {
            Self::En => (Self::Ja, "日本語"),
            Self::Ja => (Self::En, "English"),
        }
    }
}

/// What frames every page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Language of the page.
    pub locale: Locale,
    /// Zone in which dates are shown; UTC unless the reader's is known.
    pub zone: TimeZone,
    /// Now, by the server's clock.
    pub now: Timestamp,
    /// What is sold here, as customers know it: `Atelier`.
    pub site: String,
    /// The app's own address; `None` where nobody set it.
    pub app_url: Option<String>,
    /// The plans, for the same reader in the same language.
    pub plans_url: String,
    /// What the reader has; `None` where this server does not know who reads.
    pub billing_url: Option<String>,
    /// The same page in the other language; `None` hides the switch.
    pub other_language: Option<String>,
    /// Shown while the provider is the sandbox.
    pub demo: Option<DemoBand>,
}

/// The striped band over pages that are served against the sandbox.
#[derive(Clone, Debug)]
pub struct DemoBand {
    /// Where the sandbox's control page is (time travel, faults): a web address.
    pub control_url: String,
}

/// Who reads a page: decides the links at its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Customer,
    Operator,
}

/// A whole page. `kind` names the layout in the style sheet; `head` holds what the page adds to its head.
pub(super) fn page(
    frame: &Frame,
    audience: Audience,
    title: &str,
    kind: &str,
    head: Option<Markup>,
    body: &Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(frame.locale.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) @if !frame.site.is_empty() { " – " (frame.site) } }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(STYLE_PATH);
                script src=(SCRIPT_PATH) defer {}
                @if let Some(head) = head { (head) }
            }
            body {
                a class="skip" href="#main" { (t(frame.locale, Text::SkipToContent)) }
                (demo_band(frame))
                (site_head(frame, audience))
                main id="main" class=(kind) tabindex="-1" { (body) }
            }
        }
    }
}

fn demo_band(frame: &Frame) -> Markup {
    let locale = frame.locale;
    html! {
        @if let Some(demo) = &frame.demo {
            aside class="band" aria-label=(t(locale, Text::DemoBand)) {
                div class="band-in" {
                    p class="band-word" { (t(locale, Text::DemoBand)) }
                    p { time datetime=(frame.now) { (format_timestamp(locale, &frame.zone, frame.now)) } }
                    (link_out(Some(&demo.control_url), "band-link", t(locale, Text::DemoControl)))
                }
            }
        }
    }
}

fn site_head(frame: &Frame, audience: Audience) -> Markup {
    let locale = frame.locale;
    let (links, language) = match audience {
        Audience::Customer => (
            [
                Some((frame.plans_url.as_str(), t(locale, Text::NavPlans))),
                frame.billing_url.as_deref().map(|url| (url, t(locale, Text::NavBilling))),
                None,
            ],
            frame.other_language.as_ref(),
        ),
        Audience::Operator => {
            ([Some(("/admin", "Overview")), Some(("/admin/mail", "Mail")), Some(("/docs", "API"))], None)
        }
    };
    let (other, other_name) = locale.other();
    html! {
        header class="site" {
            div class="site-in" {
                p class="site-name" {
                    @match frame.app_url.as_deref().filter(|url| may_link(url)) {
                        Some(url) => a href=(url) { (frame.site) },
                        None => (frame.site),
                    }
                }
                nav aria-label=(t(locale, Text::NavLabel)) {
                    @for (href, words) in links.into_iter().flatten() { a href=(href) { (words) } }
                    @if let Some(href) = language.filter(|href| may_link(href)) {
                        a href=(href) lang=(other.tag()) hreflang=(other.tag()) { (other_name) }
                    }
                }
            }
        }
    }
}

/// How a state looks: the mark and the colour that go with its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Settled, paid, granted.
    Good,
    /// Needs attention soon: grace.
    Warn,
    /// Over, failed, revoked.
    Bad,
    /// Waiting, or neither.
    Quiet,
}

impl Tone {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }

    const fn mark(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Warn => "▲",
            Self::Bad => "✕",
            Self::Quiet => "○",
        }
    }
}

/// A status word: mark, word and colour together.
pub(super) fn status(tone: Tone, word: &str) -> Markup {
    html! { span class={ "status " (tone.class()) } { span class="mark" aria-hidden="true" { (tone.mark()) } " " (word) } }
}

/// The mark that stands over a result; the words below say the same.
pub(super) fn big_mark(tone: Tone) -> Markup {
    html! { p class={ "big-mark " (tone.class()) } aria-hidden="true" { (tone.mark()) } }
}

/// A message at the head of a page; warnings and failures are read out at once.
pub(super) fn message(tone: Tone, title: Option<&str>, body: &Markup) -> Markup {
    let role = match tone {
        Tone::Good | Tone::Quiet => "status",
        Tone::Warn | Tone::Bad => "alert",
    };
    html! {
        div class={ "message " (tone.class()) } role=(role) {
            @if let Some(title) = title { p class="message-title" { (title) } }
            (body)
        }
    }
}

/// A point in time with its zone, and how far away it is.
pub(super) fn when(frame: &Frame, at: Timestamp) -> Markup {
    html! {
        time datetime=(at) { (format_timestamp(frame.locale, &frame.zone, at)) }
        " " span class="muted" { "(" (relative(frame.locale, frame.now, at)) ")" }
    }
}

/// A link, when its address is one that a page may link to.
pub(super) fn link_out(href: Option<&String>, class: &str, words: &str) -> Markup {
    html! {
        @if let Some(href) = href.filter(|href| may_link(href)) { a class=(class) href=(href) { (words) } }
    }
}

/// Web addresses and local paths only: `javascript:` and its like never become links.
pub(super) fn may_link(href: &str) -> bool {
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

/// Lines of code that the script gives a copy button.
pub(super) fn copyable(locale: Locale, lines: &str) -> Markup {
    html! { pre data-copy=(t(locale, Text::Copy)) { code { (lines) } } }
}

/// The fine print for developers: an id that can be copied.
pub(super) fn developer_id(locale: Locale, id: &str) -> Markup {
    html! { p class="fine" { (t(locale, Text::ForDevelopers)) " " code { (id) } } }
}
