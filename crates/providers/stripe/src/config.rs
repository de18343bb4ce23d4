//! The settings of the client, checked once so that a wrong one stops the start and not a payment.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::API_VERSION;

/// Stripe's own address.
pub const DEFAULT_API_BASE: &str = "https://api.stripe.com";

/// How fast calls may go. The defaults stay at four fifths of Stripe's published limits, which other programs on the account share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// Calls a second in all.
    pub per_second: u32,
    /// Calls a second to one endpoint.
    pub per_endpoint_per_second: u32,
    /// Tokens that sweeps leave for live traffic.
    pub sweep_reserve: u32,
    /// Failures in a row after which nothing is sent for a while.
    pub breaker_threshold: u32,
    /// How long nothing is sent then, in milliseconds.
    pub breaker_open_ms: i64,
}

impl RateLimits {
    /// Live mode allows 100 calls a second, test mode 25, and an endpoint 25.
    #[must_use]
    pub const fn for_mode(livemode: bool) -> Self {
        let (per_second, sweep_reserve) = if livemode { (80, 40) } else { (20, 10) };
        Self {
            per_second,
            per_endpoint_per_second: 20,
            sweep_reserve,
            breaker_threshold: 5,
            breaker_open_ms: 10_000,
        }
    }
}

/// Whom to call, as whom, in which mode.
#[derive(Debug, Clone)]
pub struct StripeConfig {
    /// Scheme, host and port; [`DEFAULT_API_BASE`] or any Stripe-compatible server.
    pub api_base: String,
    /// The secret key.
    pub secret_key: SecretString,
    /// Sent with every call; [`API_VERSION`] is what this crate was checked against.
    pub api_version: String,
    /// The mode in which all answers must be.
    pub livemode: bool,
    /// A connected account on whose behalf to call.
    pub account: Option<String>,
    /// Lets `http://` go to other machines, for a test server on a private network. Never possible with a live key.
    pub allow_plain_http: bool,
    /// How fast.
    pub limits: RateLimits,
}

impl StripeConfig {
    /// Stripe itself, in the given mode.
    #[must_use]
    pub fn new(secret_key: SecretString, livemode: bool) -> Self {
        Self {
            api_base: DEFAULT_API_BASE.to_owned(),
            secret_key,
            api_version: API_VERSION.to_owned(),
            livemode,
            account: None,
            allow_plain_http: false,
            limits: RateLimits::for_mode(livemode),
        }
    }

    /// Checks everything that can be checked without a call and returns the address to call.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting and the mend.
    pub fn check(&self) -> Result<Arc<str>, ConfigError> {
        let key = self.secret_key.expose_secret();
        if key.is_empty() {
            return Err(ConfigError::NoKey);
        }
        if !visible(key) {
            return Err(ConfigError::UnusableKey);
        }
        let key_is_live = ["sk_live_", "rk_live_"].iter().any(|start| key.starts_with(start));
        let key_is_test = ["sk_test_", "rk_test_"].iter().any(|start| key.starts_with(start));
        if (key_is_live && !self.livemode) || (key_is_test && self.livemode) {
            return Err(ConfigError::WrongMode { livemode: self.livemode });
        }
        if key.starts_with("pk_") {
            return Err(ConfigError::PublishableKey);
        }
        for (name, value) in [("api_version", Some(&self.api_version)), ("account", self.account.as_ref())] {
            if value.is_some_and(|value| !visible(value)) {
                return Err(ConfigError::UnusableHeader { name });
            }
        }
        self.address(key_is_live)
    }

    fn address(&self, key_is_live: bool) -> Result<Arc<str>, ConfigError> {
        let bad = |why| ConfigError::Address { why };
        let base = self.api_base.trim_end_matches('/');
        let url: reqwest::Url = base.parse().map_err(|_| bad("it is not an address"))?;
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(bad("it must start with https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("it must not hold a user name or password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it must end after host and port"));
        }
        let host = url.host_str().ok_or_else(|| bad("it has no host"))?;
        if plain && key_is_live {
            return Err(bad("a live key goes only over https://"));
        }
        if plain && !is_loopback(host) && !self.allow_plain_http {
            return Err(bad("http:// is only for this machine; use https:// or allow plain HTTP explicitly"));
        }
        Ok(base.into())
    }

    /// Whether the address is on this machine, so that no proxy may stand in between.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let url: Result<reqwest::Url, _> = self.api_base.parse();
        url.is_ok_and(|url| url.host_str().is_some_and(is_loopback))
    }
}

fn visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A setting that would make every call fail, or leak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The secret key is empty.
    #[error("STRIPE_SECRET_KEY is not set; copy the secret key from Stripe's dashboard")]
    NoKey,
    /// The secret key holds spaces or other characters that no header may have.
    #[error("STRIPE_SECRET_KEY holds spaces, line ends or non-ASCII characters; copy it again")]
    UnusableKey,
    /// A publishable key was given.
    #[error("STRIPE_SECRET_KEY is a publishable key (pk_...); use the secret key (sk_...)")]
    PublishableKey,
    /// The key is of the other mode.
    #[error(
        "STRIPE_SECRET_KEY is not a {} key, but that mode is configured; change one of the two",
        if *livemode { "live" } else { "test" }
    )]
    WrongMode {
        /// The configured mode.
        livemode: bool,
    },
    /// A header's value cannot be sent.
    #[error("stripe.{name} is empty or holds spaces, line ends or non-ASCII characters")]
    UnusableHeader {
        /// The setting.
        name: &'static str,
    },
    /// The address cannot be used; it is not repeated, since it could hold a password.
    #[error("STRIPE_API_BASE cannot be used: {why}")]
    Address {
        /// What is wrong with it.
        why: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, key: &str, livemode: bool) -> Result<String, ConfigError> {
        let config =
            StripeConfig { api_base: base.into(), ..StripeConfig::new(SecretString::from(key), livemode) };
        config.check().map(|base| base.to_string())
    }

    #[test]
    fn keys_and_modes() {
        assert_eq!(check(DEFAULT_API_BASE, "sk_test_1", false).as_deref(), Ok(DEFAULT_API_BASE));
        assert_eq!(check(DEFAULT_API_BASE, "rk_live_1", true).as_deref(), Ok(DEFAULT_API_BASE));
        assert_eq!(check(DEFAULT_API_BASE, "", false), Err(ConfigError::NoKey));
        assert_eq!(check(DEFAULT_API_BASE, "sk_test_1\n", false), Err(ConfigError::UnusableKey));
        assert_eq!(check(DEFAULT_API_BASE, "pk_test_1", false), Err(ConfigError::PublishableKey));
        assert_eq!(
            check(DEFAULT_API_BASE, "sk_live_1", false),
            Err(ConfigError::WrongMode { livemode: false })
        );
        assert_eq!(
            check(DEFAULT_API_BASE, "sk_test_1", true),
            Err(ConfigError::WrongMode { livemode: true })
        );
    }

    #[test]
    fn addresses() {
        for base in [
            "http://127.0.0.1:12111",
            "http://localhost:1/",
            "http://[::1]:12111",
            "https://emulator.internal:8443",
        ] {
            assert_eq!(check(base, "sk_test_1", false).as_deref(), Ok(base.trim_end_matches('/')), "{base}");
        }
        for base in [
            "",
            "api.stripe.com",
            "ftp://a.b",
            "http://emulator.internal",
            "https://u:p@a.b",
            "https://a.b/v1",
            "https://a.b?x=1",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
        ] {
            assert!(matches!(check(base, "sk_test_1", false), Err(ConfigError::Address { .. })), "{base}");
        }
        assert!(matches!(check("http://127.0.0.1:1", "sk_live_1", true), Err(ConfigError::Address { .. })));
        let remote = StripeConfig {
            api_base: "http://emulator.internal".into(),
            allow_plain_http: true,
            ..StripeConfig::new(SecretString::from("sk_test_1"), false)
        };
        assert!(remote.check().is_ok() && !remote.is_local());
    }

    #[test]
    fn debug_hides_the_key() {
        let shown = format!("{:?}", StripeConfig::new(SecretString::from("sk_test_hush"), false));
        assert!(!shown.contains("hush"), "{shown}");
    }
}
