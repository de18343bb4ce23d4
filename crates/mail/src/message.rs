//! A letter as a message on the wire (RFC 5322, MIME): text and HTML side by side, and the headers that mailboxes act on.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use quittance_domain::{Timestamp, digest};

use crate::format::Language;
use crate::letter::Letter;
use crate::markdown::one_line;
use crate::settings::MailSettings;

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its language.
    pub language: Language,
    /// The subject, on one line.
    pub subject: String,
    /// The text form.
    pub text: String,
    /// The HTML form: a whole document.
    pub html: String,
}

impl From<&Letter> for Content {
    fn from(letter: &Letter) -> Self {
        Self {
            language: letter.language,
            subject: letter.subject.clone(),
            text: letter.text.clone(),
            html: letter.html.clone(),
        }
    }
}

/// Where a message goes and what tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover<'a> {
    /// The customer's address.
    pub to: &'a str,
    /// The customer's name, if it is known.
    pub name: Option<&'a str>,
    /// Without angle brackets; see [`message_id`].
    pub message_id: &'a str,
    /// The address that declines this kind of mail by one POST (RFC 8058); `None` for what cannot be declined.
    pub unsubscribe: Option<&'a str>,
}

/// Why a message cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Mail cannot go to such an address.
    #[error("the customer's address is no mail address")]
    Recipient,
    /// A setting is no mail address.
    #[error("{0} is no mail address such as `Atelier <billing@example.com>`")]
    Setting(&'static str),
    /// The parts do not make a message.
    #[error("the message cannot be put together: {0}")]
    Other(String),
}

/// The message id of a fact: the same whenever and by whomever it is sent.
///
/// `scope` is whose facts they are, `key` the natural key of the notice.
#[must_use]
pub fn message_id(settings: &MailSettings, scope: &str, key: &str) -> String {
    let name: String =
        digest::sha256_hex(format!("quittance mail\n{scope}\n{key}").as_bytes()).chars().take(32).collect();
    format!("{name}@{}", domain(&settings.from))
}

/// The domain of the sender's address.
fn domain(from: &str) -> String {
    let mailbox: Option<Mailbox> = from.parse().ok();
    mailbox.map_or_else(|| "localhost".to_owned(), |mailbox| mailbox.email.domain().to_owned())
}

/// Whether a text is a sender: `Atelier <billing@example.com>`, or the address alone.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok() && !text.chars().any(char::is_control)
}

/// Whether a text is a plain address that mail can go to.
#[must_use]
pub fn is_address(text: &str) -> bool {
    text.parse::<lettre::Address>().is_ok()
}

/// Makes a message.
///
/// # Errors
/// When an address is none.
pub fn build(
    content: impl Into<Content>,
    settings: &MailSettings,
    cover: Cover<'_>,
    now: Timestamp,
) -> Result<Message, MessageError> {
    let content = content.into();
    let address = cover.to.parse().map_err(|_| MessageError::Recipient)?;
    let name = cover.name.map(one_line).filter(|name| !name.is_empty());
    let from: Mailbox = settings.from.parse().map_err(|_| MessageError::Setting("mail.from"))?;
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.ms()).unwrap_or(0));
    let mut builder = Message::builder()
        .message_id(Some(format!("<{}>", cover.message_id)))
        .from(from)
        .to(Mailbox::new(name, address))
        .date(at)
        .subject(content.subject);
    if let Some(reply_to) = &settings.reply_to {
        builder = builder.reply_to(reply_to.parse().map_err(|_| MessageError::Setting("mail.reply_to"))?);
    }
    // The same message has the same bytes: its parts are told apart by its own id.
    let boundary: String = cover.message_id.chars().take_while(char::is_ascii_alphanumeric).collect();
    let body = MultiPart::alternative()
        .boundary(format!("=_{boundary}"))
        .singlepart(SinglePart::plain(content.text))
        .singlepart(SinglePart::html(content.html));
    let mut message = builder.multipart(body).map_err(|error| MessageError::Other(error.to_string()))?;
    // Nobody's holiday reply is wanted (RFC 3834).
    let mut headers = vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("Content-Language", content.language.tag().to_owned()),
    ];
    if let Some(url) = cover.unsubscribe {
        headers.push(("List-Unsubscribe", format!("<{url}>")));
        headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
    }
    for (name, value) in headers {
        message.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;
    use crate::kind::Kind;
    use crate::letter::Writer;
    use crate::samples;
    use crate::templates::Templates;

    fn made(name: &str, unsubscribe: Option<&str>) -> String {
        let settings = samples::settings();
        let writer = Writer::new(Templates::built_in().unwrap(), settings.clone());
        let facts = Facts { name: Some(name.to_owned()), ..samples::facts(Kind::CardExpiring, Language::En) };
        let letter = writer.write(Kind::CardExpiring, Language::En, &facts).unwrap();
        let id = message_id(&settings, "stripe", "card_expiring/pm_1/2026-11");
        let cover = Cover { to: "ada@example.com", name: Some(name), message_id: &id, unsubscribe };
        String::from_utf8(
            build(&letter, &settings, cover, Timestamp::from_seconds(1_796_029_200)).unwrap().formatted(),
        )
        .unwrap()
    }

    #[test]
    fn a_name_adds_no_header_and_no_recipient() {
        for name in
            ["Ada\r\nBcc: eve@example.com", "Ada\nX-Evil: 1\n\nbody", "Ada\" <eve@example.com>, \"x", "Ada\0"]
        {
            let message = made(name, None);
            let (head, _) = message.split_once("\r\n\r\n").unwrap();
            let names: Vec<&str> = head
                .split("\r\n")
                .filter(|line| !line.starts_with([' ', '\t']))
                .filter_map(|line| line.split_once(':'))
                .map(|(name, _)| name)
                .collect();
            assert_eq!(
                names,
                [
                    "Message-ID",
                    "From",
                    "To",
                    "Date",
                    "Subject",
                    "MIME-Version",
                    "Auto-Submitted",
                    "Content-Language",
                    "Content-Type"
                ],
                "{name:?}: {head}"
            );
            assert!(head.contains("<ada@example.com>"), "{head}");
        }
    }

    #[test]
    fn what_can_be_declined_says_how_and_the_same_fact_is_the_same_message() {
        let url = format!("https://billing.example.com/mail/preferences/{}", "a1".repeat(150));
        let message = made("Ada", Some(&url));
        assert!(message.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{message}");
        let unfolded = message.replace("\r\n ", " ");
        assert!(unfolded.contains(&format!("List-Unsubscribe: <{url}>")), "{message}");
        assert!(message.lines().all(|line| line.len() < 998));
        assert_eq!(message, made("Ada", Some(&url)));
        assert!(!made("Ada", None).contains("List-Unsubscribe"));
        let settings = samples::settings();
        let id = message_id(&settings, "stripe", "a");
        assert!(id.ends_with("@example.com") && id != message_id(&settings, "stripe", "b"));
    }

    #[test]
    fn senders_are_checked() {
        assert!(is_mailbox("Atelier <billing@example.com>") && is_mailbox("billing@example.com"));
        for bad in ["", "Atelier", "a@b\r\nBcc: c@d", "<>"] {
            assert!(!is_mailbox(bad), "{bad}");
        }
    }
}
