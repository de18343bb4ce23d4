//! Mails: what operators look at before they are sent and after, and where customers choose which ones they get.
//!
//! A mail's HTML has its styles in its elements, which our pages do not allow: it stands in a frame with a policy of its
//! own, in which nothing runs; being of our origin it can be measured, so that the frame is as long as the letter. Operators' pages are English only.

use maud::{Markup, html};
use quittance_domain::Timestamp;
use quittance_mail::kind::title;
use quittance_mail::{Kind, Language};

use super::layout::{Audience, Frame, Locale, Tone, big_mark, message, page, status, when};
use super::text::{Text, say, t};

/// All mails that there are.
#[derive(Clone, Debug)]
pub struct MailsView {
    /// The frame; its language is taken as English.
    pub frame: Frame,
    /// One row for each kind.
    pub kinds: Vec<MailKindRow>,
    /// Mails that were kept because there is no mail server, newest first; `None` where there is one.
    pub captured: Option<Vec<CapturedRow>>,
}

/// A kind of mail.
#[derive(Clone, Debug)]
pub struct MailKindRow {
    /// Which.
    pub kind: Kind,
    /// It is sent.
    pub sent: bool,
    /// The operator's own template is used, in English and in Japanese.
    pub own: [bool; 2],
}

/// A mail that was kept.
#[derive(Clone, Debug)]
pub struct CapturedRow {
    /// Its number.
    pub seq: i64,
    /// When it would have left.
    pub at: Timestamp,
    /// Whom it was for.
    pub to: String,
    /// Its subject.
    pub subject: String,
}

/// One mail, written with made-up facts or kept.
#[derive(Clone, Debug)]
pub struct MailView {
    /// The frame; its language is taken as English.
    pub frame: Frame,
    /// What it is: the kind and language, or for whom and when.
    pub title: String,
    /// Address and words of other views of it.
    pub others: Vec<(String, String)>,
    /// The sender.
    pub from: String,
    /// The recipient, where there is one.
    pub to: Option<String>,
    /// The subject.
    pub subject: String,
    /// The text form.
    pub text: String,
    /// Where the HTML form is.
    pub html_url: String,
    /// Its language.
    pub language: String,
}

/// All mails, and those that were kept.
#[must_use]
pub fn mails_page(view: &MailsView) -> Markup {
    let frame = Frame { locale: Locale::En, ..view.frame.clone() };
    let body = html! {
        h1 { "Mail" }
        @if let Some(captured) = &view.captured {
            section aria-labelledby="captured" {
                h2 id="captured" { "Kept, not sent" }
                p class="muted" { "No mail server is configured, so mails stay here as customers would get them." }
                (captured_table(&frame, captured))
            }
        }
        section aria-labelledby="kinds" {
            h2 id="kinds" { "What customers are told" }
            p class="muted" { "Previews with made-up facts. " code { "quittance mail templates export DIR" } " writes the templates to change them." }
            div class="scroll" tabindex="0" role="region" aria-labelledby="kinds" {
                table {
                    thead { tr { th scope="col" { "Mail" } th scope="col" { "Preview" } th scope="col" { "Sent" } th scope="col" { "Can be declined" } } }
                    tbody {
                        @for row in &view.kinds {
                            tr {
                                th scope="row" { (title(row.kind, Language::En)) " " code { (row.kind.as_str()) } }
                                td {
                                    @for (language, own) in Language::ALL.into_iter().zip(row.own) {
                                        a href={ "/admin/mail/" (row.kind.as_str()) "/" (language.tag()) } { (words_of(language)) }
                                        @if own { " " span class="muted" { "(yours)" } }
                                        " "
                                    }
                                }
                                td { @if row.sent { (status(Tone::Good, "on")) } @else { (status(Tone::Quiet, "off")) } }
                                td { @if row.kind.optional() { "yes" } @else { "no" } }
                            }
                        }
                    }
                }
            }
        }
    };
    page(&frame, Audience::Operator, "Mail", "admin", None, &body)
}

const fn words_of(language: Language) -> &'static str {
    match language {
        Language::En => "English",
        Language::Ja => "日本語",
    }
}

fn captured_table(frame: &Frame, captured: &[CapturedRow]) -> Markup {
    html! {
        @if captured.is_empty() {
            p class="empty" { "None yet. Buy a plan, let a card fail, or move the sandbox's clock on." }
        } @else {
            div class="scroll" tabindex="0" role="region" aria-labelledby="captured" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "To" } th scope="col" { "Subject" } } }
                    tbody {
                        @for row in captured {
                            tr {
                                td { (when(frame, row.at)) }
                                td { (row.to) }
                                td { a href={ "/admin/mail/kept/" (row.seq) } { (row.subject) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One mail: its HTML in a frame of its own, its text beside it.
#[must_use]
pub fn mail_page(view: &MailView) -> Markup {
    let frame = Frame { locale: Locale::En, ..view.frame.clone() };
    let body = html! {
        p { a href="/admin/mail" { "All mails" } }
        h1 { (view.title) }
        @if !view.others.is_empty() {
            p { @for (href, words) in &view.others { a href=(href) { (words) } " " } }
        }
        dl class="fields mail-head" {
            div { dt { "From" } dd { (view.from) } }
            @if let Some(to) = &view.to { div { dt { "To" } dd { (to) } } }
            div { dt { "Subject" } dd lang=(view.language) { (view.subject) } }
        }
        div class="mail-forms" {
            section aria-labelledby="as-html" {
                h2 id="as-html" { "HTML" }
                iframe class="mail-frame" src=(view.html_url) sandbox="allow-same-origin" title="The mail's HTML form" {}
            }
            section aria-labelledby="as-text" {
                h2 id="as-text" { "Text" }
                pre lang=(view.language) { (view.text) }
            }
        }
    };
    page(&frame, Audience::Operator, &view.title, "admin", None, &body)
}

/// The customer's choices.
#[derive(Clone, Debug)]
pub struct PreferencesView {
    /// The frame.
    pub frame: Frame,
    /// Where the form posts to: `choices=1`, and `KIND=on` for each that is wanted.
    pub action: String,
    /// Every kind, and whether it is wanted.
    pub kinds: Vec<(Kind, bool)>,
    /// The choices were saved just now.
    pub saved: bool,
}

/// Which mails a customer gets.
#[must_use]
pub fn preferences_page(view: &PreferencesView) -> Markup {
    let locale = view.frame.locale;
    let language = language_of(locale);
    let (free, fixed): (Vec<_>, Vec<_>) = view.kinds.iter().partition(|(kind, _)| kind.optional());
    let body = html! {
        h1 { (t(locale, Text::MailTitle)) }
        @if view.saved { (message(Tone::Good, None, &html! { p { (t(locale, Text::MailSaved)) } })) }
        form method="post" action=(view.action) {
            input type="hidden" name="choices" value="1";
            input type="hidden" name="lang" value=(locale.tag());
            fieldset class="mail-choices" {
                legend { (t(locale, Text::MailChoose)) }
                @for (kind, wanted) in free {
                    p {
                        input type="checkbox" id=(kind.as_str()) name=(kind.as_str()) value="on" checked[wanted];
                        label for=(kind.as_str()) { (title(kind, language)) }
                    }
                }
            }
            button class="main-action" type="submit" { (t(locale, Text::MailSave)) }
        }
        h2 { (t(locale, Text::MailAlways)) }
        p class="muted" { (t(locale, Text::MailAlwaysWhy)) }
        ul class="features ruled" { @for (kind, _) in fixed { li { (title(kind, language)) } } }
    };
    page(&view.frame, Audience::Customer, t(locale, Text::MailTitle), "narrow", None, &body)
}

/// What a link of a mail leads to when it cannot lead further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailLinkState {
    /// It is none of ours, or cut off.
    Unknown,
    /// It has run out.
    Over,
    /// What it was about is settled: there is nothing to pay.
    Settled,
}

/// What a link of a mail asks for before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailLinkAsk {
    /// Changing the payment method.
    Card,
    /// Cancelling.
    Cancel,
}

/// One button, which posts to `action`: looking at the page does nothing.
#[must_use]
pub fn mail_ask_page(frame: &Frame, action: &str, what: MailLinkAsk) -> Markup {
    let locale = frame.locale;
    let (title, body, button) = match what {
        MailLinkAsk::Card => (Text::MailAskCard, Text::MailAskCardBody, Text::MailAskCardGo),
        MailLinkAsk::Cancel => (Text::MailAskCancel, Text::MailAskCancelBody, Text::MailAskCancelGo),
    };
    let content = html! {
        h1 { (t(locale, title)) }
        p { (t(locale, body)) }
        form method="post" action=(action) data-once=(t(locale, Text::Working)) {
            button class="main-action" { (t(locale, button)) }
        }
    };
    page(frame, Audience::Customer, t(locale, title), "narrow", None, &content)
}

/// A link of a mail that leads no further.
#[must_use]
pub fn mail_link_page(frame: &Frame, state: MailLinkState) -> Markup {
    let locale = frame.locale;
    let (tone, title, advice) = match state {
        MailLinkState::Unknown => (Tone::Quiet, Text::MailLinkUnknown, Text::MailLinkUnknownBody),
        MailLinkState::Over => (Tone::Quiet, Text::MailLinkOver, Text::MailLinkOverBody),
        MailLinkState::Settled => (Tone::Good, Text::MailLinkSettled, Text::MailLinkSettledBody),
    };
    let body = html! {
        (big_mark(tone))
        h1 { (t(locale, title)) }
        p { (say(locale, advice, &[("site", &frame.site)])) }
    };
    page(frame, Audience::Customer, t(locale, title), "narrow", None, &body)
}

/// The language of mails for a language of pages.
#[must_use]
pub const fn language_of(locale: Locale) -> Language {
    match locale {
        Locale::En => Language::En,
        Locale::Ja => Language::Ja,
    }
}
