//! What frames a page: language, address, demo band.

use std::fmt::Write as _;

use axum::http::{HeaderMap, Uri, header};
use jiff::tz::TimeZone;
use quittance_domain::catalog::Text;

use super::visitor::{CUSTOMER, LINK};
use crate::http::state::AppState;
use crate::pages::{Frame, Locale};

/// Reads `a=b&c=d`, decoded.
#[must_use]
pub fn query_of(uri: &Uri) -> Vec<(String, String)> {
    axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).map(|query| query.0).unwrap_or_default()
}

/// The language that the address asks for, else the browser, else English.
#[must_use]
pub fn locale(uri: &Uri, headers: &HeaderMap) -> Locale {
    let asked = query_of(uri).into_iter().find(|(name, _)| name == "lang");
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    asked
        .and_then(|(_, tag)| Locale::from_tags(&tag))
        .or_else(|| accepted.and_then(Locale::from_tags))
        .unwrap_or(Locale::En)
}

/// The frame of a page at this address.
#[must_use]
pub fn frame(app: &AppState, uri: &Uri, headers: &HeaderMap) -> Frame {
    let locale = locale(uri, headers);
    let other = match locale {
        Locale::En => Locale::Ja,
        Locale::Ja => Locale::En,
    };
    let mut query = query_of(uri);
    // In production an address that names a customer is not passed on, and a link that has run out nowhere.
    query.retain(|(name, value)| match name.as_str() {
        LINK => app.links.as_ref().is_some_and(|links| links.read(value, app.now()).is_some()),
        CUSTOMER => app.dev.is_some(),
        _ => true,
    });
    let carried: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| ["lang", LINK, CUSTOMER].contains(name))
        .collect();
    let plans_url = address("/pricing", &carried);
    let known = app.dev.is_some() || carried.iter().any(|(name, _)| *name == LINK);
    let billing_url = known.then(|| address("/billing", &carried));
    query.retain(|(name, _)| name != "lang");
    query.push(("lang".to_owned(), other.tag().to_owned()));
    let pairs: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Frame {
        locale,
        zone: TimeZone::UTC,
        now: app.now(),
        site: app.site.clone(),
        app_url: app.engine.settings().app_url.clone(),
        plans_url,
        billing_url,
        other_language: Some(address(uri.path(), &pairs)),
        demo: app.demo_band(),
    }
}

/// An address with its parameters encoded.
#[must_use]
pub fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        encode(&mut text, name);
        text.push('=');
        encode(&mut text, value);
    }
    text
}

/// A value as it may stand in a path, in a query and in a shell.
#[must_use]
pub fn encoded(value: &str) -> String {
    let mut text = String::new();
    encode(&mut text, value);
    text
}

fn encode(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _written = write!(text, "%{byte:02X}");
        }
    }
}

/// A text of the catalog in the page's language.
#[must_use]
pub fn words(locale: Locale, text: &Text) -> String {
    match (locale, &text.ja) {
        (Locale::Ja, Some(ja)) => ja.clone(),
        (Locale::Ja, None) | (Locale::En, _) => text.en.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(address("/p", &[("a", "b c&d"), ("é", "1")]), "/p?a=b%20c%26d&%C3%A9=1");
        assert_eq!(address("/p", &[]), "/p");
    }

    #[test]
    fn the_address_decides_the_language_then_the_browser() {
        let mut headers = HeaderMap::new();
        headers.insert("accept-language", "ja-JP,en;q=0.5".parse().unwrap());
        assert_eq!(locale(&"/pricing".parse().unwrap(), &headers), Locale::Ja);
        assert_eq!(locale(&"/pricing?lang=en".parse().unwrap(), &headers), Locale::En);
        assert_eq!(locale(&"/pricing?lang=xx".parse().unwrap(), &HeaderMap::new()), Locale::En);
    }
}
