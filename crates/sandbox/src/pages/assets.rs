//! The style sheet, the script and the content security policy under which the pages work.
//!
//! The names carry a hash of the content, so that both may be cached for ever (`immutable`).

/// The style sheet; serve as `text/css; charset=utf-8`.
pub const STYLE: &str = include_str!("style.css");
/// The script; serve as `text/javascript; charset=utf-8`.
pub const SCRIPT: &str = include_str!("script.js");

/// The stand-in of the provider's browser library; serve as `text/javascript; charset=utf-8`.
pub const LIBRARY: &str = include_str!("library.js");
/// Where pages of the app find it: a name that does not change.
pub const LIBRARY_PATH: &str = "/js/sandbox.js";

const STYLE_NAME: [u8; 39] = named(*b"/_sandbox/assets/0000000000000000.css  ", STYLE);
const SCRIPT_NAME: [u8; 39] = named(*b"/_sandbox/assets/0000000000000000.js   ", SCRIPT);

/// Path of the style sheet.
pub const STYLE_PATH: &str = text(&STYLE_NAME);
/// Path of the script.
pub const SCRIPT_PATH: &str = text(&SCRIPT_NAME);

/// The `Content-Security-Policy` for every page.
///
/// `form_action_origins` are the origins (`https://app.example`) to which a redirect may lead after one of the page's
/// forms was posted (a browser applies `form-action` to such redirects too): the success and return URLs. Anything that
/// is not a plain origin is left out.
#[must_use]
pub fn csp(form_action_origins: &[&str]) -> String {
    let mut policy = String::from(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
         base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    );
    for origin in form_action_origins.iter().filter_map(|url| origin_of(url)) {
        policy.push(' ');
        policy.push_str(origin);
    }
    policy
}

/// Scheme, host and port of a web address; `None` when it is none, or holds what would end the directive.
#[must_use]
pub fn origin_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let host = rest.split(['/', '?', '#']).next()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(allowed) {
        return None;
    }
    url.get(..url.len() - rest.len() + host.len())
}

/// Writes the content's hash (64-bit FNV-1a, 16 hex digits) over the zeros that start at byte 17.
#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler: an index out of bounds does not build"
)]
const fn named(mut name: [u8; 39], content: &str) -> [u8; 39] {
    let bytes = content.as_bytes();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    let mut digit = 0;
    while digit < 16 {
        name[17 + digit] = b"0123456789abcdef"[((hash >> (60 - 4 * digit)) & 15) as usize];
        digit += 1;
    }
    name
}

/// The name as text, without the padding.
const fn text(name: &'static [u8; 39]) -> &'static str {
    match std::str::from_utf8(name.trim_ascii_end()) {
        Ok(text) => text,
        Err(_) => "",
    }
}
