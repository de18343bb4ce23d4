//! Makes a provider's message safe to log and to show: no e-mail addresses, secrets, long numbers or quoted free text.
//!
//! Stripe's messages quote what was sent ("Invalid email address: ..."). Ids and parameter names stay, since a person needs them
//! to mend the fault. A name that stands unquoted in running text cannot be told from a word, so messages are never stored with
//! an event; they are for logs and operators.

use crate::redact::SECRET_PARTS;

/// Longer messages are cut.
const MAX_CHARS: usize = 400;
/// How keys start; see also [`SECRET_PARTS`].
const SECRET_STARTS: [&str; 4] = ["sk_", "rk_", "pk_", "whsec_"];

/// Returns the message without personal data and secrets.
pub(crate) fn scrub(message: &str) -> String {
    let short: String =
        message.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let unquoted = hide_quoted(&short);
    let words: Vec<String> = unquoted.split(' ').map(hide_word).collect();
    words.join(" ")
}

/// An identifier as it may be repeated: `cus_123`, `items[0][price]`, `resource_missing`.
pub(crate) fn is_identifier(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
    !text.is_empty()
        && text.len() <= 255
        && text.chars().all(plain)
        && !is_secret(text)
        && !is_long_number(text)
}

/// Replaces quoted text that is no identifier with a prefix or brackets. An apostrophe inside a word opens nothing.
fn hide_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or_default();
        if matches!(c, '\'' | '"' | '`') && !before.is_alphanumeric() {
            let (inside, after) = tail.split_once(c).unwrap_or((tail, ""));
            let keep = is_identifier(inside) && inside.contains(['_', '[']);
            out.push(c);
            out.push_str(if keep { inside } else { "[hidden]" });
            out.push(c);
            rest = after;
        } else {
            out.push(c);
            rest = tail;
        }
        before = c;
    }
    out
}

fn hide_word(word: &str) -> String {
    if word.contains('@') {
        "[email]".to_owned()
    } else if is_secret(word) {
        "[secret]".to_owned()
    } else if is_long_number(word) {
        "[number]".to_owned()
    } else {
        word.to_owned()
    }
}

fn is_secret(word: &str) -> bool {
    let mut parts = word.split(|c: char| !c.is_alphanumeric() && c != '_');
    SECRET_PARTS.iter().any(|part| word.contains(part))
        || parts.any(|part| SECRET_STARTS.iter().any(|start| part.starts_with(start)))
}

/// Card and telephone numbers: seven digits or more and no letter.
fn is_long_number(word: &str) -> bool {
    !word.chars().any(char::is_alphabetic) && word.chars().filter(char::is_ascii_digit).count() >= 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages() {
        let rows = [
            ("No such customer: 'cus_123'", "No such customer: 'cus_123'"),
            ("Missing required param: items[0][price].", "Missing required param: items[0][price]."),
            ("Invalid email address: jane@example.com", "Invalid email address: [email]"),
            ("Invalid email 'jane doe@example.com' here", "Invalid email '[hidden]' here"),
            ("Name \"Jane Roe\" is not allowed", "Name \"[hidden]\" is not allowed"),
            ("Invalid API Key provided: sk_test_****1234", "Invalid API Key provided: [secret]"),
            ("Your card 4242424242424242 was declined.", "Your card [number] was declined."),
            ("You can't use 'pi_1' and 'Jane'", "You can't use 'pi_1' and '[hidden]'"),
            ("open quote 'Jane Roe", "open quote '[hidden]'"),
            ("two\nlines", "two lines"),
            ("key=whsec_abc, risk_level too high", "[secret] risk_level too high"),
        ];
        for (message, want) in rows {
            assert_eq!(scrub(message), want);
        }
        assert_eq!(scrub(&"é".repeat(1000)).chars().count(), MAX_CHARS);
    }

    proptest! {
        #[test]
        fn planted_data_never_survives(a in "\\PC{0,20}", email in "[a-z]{1,9}@[a-z]{1,9}\\.com", card in "4[0-9]{15}") {
            let shown = scrub(&format!("{a} {email} '{email}' {card} {a}"));
            prop_assert!(!shown.contains(&email));
            prop_assert!(!shown.contains(&card));
        }
    }
}
