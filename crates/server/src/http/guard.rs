//! Small guards: logs that cannot be flooded, and forms that only our own pages may post.

use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use quittance_domain::Timestamp;
use quittance_domain::time::MINUTE_MS;
use quittance_engine::{Problem, ProblemCode};

/// Lines a minute at most.
const LINES_A_MINUTE: u32 = 10;

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Timestamp,
    lines: u32,
    silent: u64,
}

/// Security log lines about refused webhooks, a few a minute, with the number of those that were not written.
/// Neither body nor headers are ever in a line.
#[derive(Debug)]
pub struct RefusalLog(Mutex<Window>);

impl Default for RefusalLog {
    fn default() -> Self {
        Self(Mutex::new(Window { since: Timestamp::from_ms(0), lines: 0, silent: 0 }))
    }
}

impl RefusalLog {
    /// Whether a line may be written now, and how many were kept silent since the last window.
    fn admit(&self, now: Timestamp) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = now.since(window.since) >= MINUTE_MS || now < window.since;
        if fresh {
            let silent = window.silent;
            *window = Window { since: now, lines: 1, silent: 0 };
            return Some(silent);
        }
        if window.lines < LINES_A_MINUTE {
            window.lines += 1;
            return Some(0);
        }
        window.silent += 1;
        None
    }

    /// Notes a refused webhook.
    pub fn note(&self, provider: &'static str, code: &'static str, bytes: usize, now: Timestamp) {
        if let Some(unwritten) = self.admit(now) {
            tracing::warn!(target: "quittance::security", provider, code, bytes, unwritten, "webhook refused");
        }
    }
}

/// Refuses a form that another site's page posted (the browser says where it comes from).
///
/// # Errors
/// `forbidden`.
pub fn own_form(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let site = text("sec-fetch-site");
    let host = text("host").unwrap_or_default();
    let origin_host = |origin: &str| origin.split_once("://").map(|(_, host)| host.to_owned());
    let foreign_site = site.is_some_and(|site| site != "same-origin" && site != "none");
    let foreign_origin = text("origin").is_some_and(|origin| origin_host(origin).as_deref() != Some(host));
    if foreign_site || (foreign_origin && site != Some("same-origin")) {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "This form was posted from another site's page.",
            "Open the page here and use its button.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_few_lines_and_counts_the_rest() {
        let log = RefusalLog::default();
        let now = Timestamp::from_seconds(1_800_000_000);
        let written = (0..1_000).filter(|_| log.admit(now).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(log.admit(now.plus_ms(MINUTE_MS)), Some(990));
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.insert(*name, value.parse().unwrap());
            }
            map
        };
        for good in [
            headers(&[("host", "a:1")]),
            headers(&[("host", "a:1"), ("origin", "http://a:1")]),
            headers(&[("host", "a:1"), ("origin", "null"), ("sec-fetch-site", "same-origin")]),
        ] {
            assert!(own_form(&good).is_ok(), "{good:?}");
        }
        for bad in [
            headers(&[("host", "a:1"), ("origin", "http://b")]),
            headers(&[("host", "a:1"), ("origin", "null")]),
            headers(&[("host", "a:1"), ("sec-fetch-site", "cross-site")]),
            headers(&[("host", "a:1"), ("sec-fetch-site", "same-site")]),
        ] {
            assert!(own_form(&bad).is_err(), "{bad:?}");
        }
    }
}
