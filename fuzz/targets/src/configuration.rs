//! `quittance.toml`: refused with the key and the mend, or accepted within its ranges, and never shown with a secret.
//!
//! What would reach outside (the address to listen on, the catalog's file) comes from the environment, which wins.

use std::io::Write as _;

use quittance_server::config;

const SECRET: &str = "whsec_never_to_be_shown";

/// A configuration file leads to a start or to a refusal that says what to do.
pub fn configuration(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(input).expect("it is written");
    let environment = |name: &str| {
        let value = match name {
            "QUITTANCE_LISTEN" => "127.0.0.1:0",
            "QUITTANCE_CATALOG" => concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog.toml"),
            "STRIPE_SECRET_KEY" => "sk_test_fuzz",
            "STRIPE_WEBHOOK_SECRET" => SECRET,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let loaded = config::load(Some(file.path()), &environment);
    let checked = loaded.and_then(|loaded| {
        assert!(!format!("{:?}", loaded.config).contains(SECRET));
        loaded.check()
    });
    match checked {
        Ok(checked) => {
            let settings = &checked.settings;
            assert!((10_000..=604_800_000).contains(&settings.sweep_every_ms));
            assert!((0..=60_000).contains(&settings.settle_ms));
            assert!(settings.webhook_tolerance_s > 0 && settings.sync_concurrency > 0);
            assert!(!settings.webhook_secrets.is_empty() && !settings.public_url.is_empty());
        }
        Err(failure) => {
            assert!(!failure.what.is_empty() && !failure.mend.is_empty());
            assert_eq!(failure.code, "configuration", "{failure:?}");
        }
    }
}
