//! Addresses, TLS and liveness of connections; TLS against the server of the tests.

use std::time::Duration;

use super::{Target, split_tls_options};
use crate::db::{Change, Db};
use crate::testing;

#[test]
fn tls_options_are_taken_out_and_the_rest_stays() {
    let (url, mode, root) =
        split_tls_options("postgres://h/d?sslmode=verify-full&connect_timeout=3&sslrootcert=/ca.pem");
    assert_eq!(url, "postgres://h/d?connect_timeout=3");
    assert_eq!((mode.as_deref(), root.as_deref()), (Some("verify-full"), Some("/ca.pem")));
}

#[test]
fn unknown_modes_and_missing_certificates_are_refused() {
    assert!(Target::parse("postgres://h/d?sslmode=maybe").is_err());
    assert!(Target::parse("postgres://h/d?sslrootcert=/nowhere.pem").is_err());
    assert!(Target::parse("postgres://h/d").is_ok());
}

#[test]
fn a_dead_connection_is_noticed_and_the_address_may_say_when() {
    let config = |url: &str| Target::parse(url).expect("an address").config;
    let plain = config("postgres://h/d");
    assert_eq!(plain.get_connect_timeout(), Some(&Duration::from_secs(5)));
    assert_eq!(plain.get_tcp_user_timeout(), Some(&Duration::from_secs(30)));
    assert!(plain.get_keepalives() && plain.get_keepalives_idle() == Duration::from_secs(30));
    let own = config("postgres://h/d?connect_timeout=3&tcp_user_timeout=7");
    assert_eq!(own.get_connect_timeout(), Some(&Duration::from_secs(3)));
    assert_eq!(own.get_tcp_user_timeout(), Some(&Duration::from_secs(7)));
}

/// The server of the tests, with these options; and with what vouches for it, where `sslrootcert` is asked for.
fn server(options: &str) -> Option<String> {
    let authority = std::env::var("QUITTANCE_TEST_POSTGRES_AUTHORITY").ok();
    let (Some(authority), Ok(url)) = (authority, std::env::var("QUITTANCE_TEST_POSTGRES")) else {
        eprintln!("skipped TLS: QUITTANCE_TEST_POSTGRES_AUTHORITY is not set (cargo xtask test sets it)");
        return None;
    };
    let base = url.split('?').next()?;
    Some(format!("{base}?{}", options.replace("AUTHORITY", &authority)))
}

/// Whether a connection with these options is encrypted, or why there is none.
async fn encrypted(url: &str) -> Result<bool, String> {
    let target = Target::parse(url).map_err(|e| e.to_string())?;
    let (client, driving) = target.connect().await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(driving);
    let row = client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await;
    drop(client);
    driver.await.map_err(|e| e.to_string())?;
    row.map(|row| row.get(0)).map_err(|e| e.to_string())
}

#[tokio::test]
async fn tls_is_what_sslmode_says() {
    let cases = [
        ("sslmode=disable", Ok(false)),
        ("sslmode=verify-full&sslrootcert=AUTHORITY", Ok(true)),
        ("sslmode=require&sslrootcert=AUTHORITY", Ok(true)),
        ("sslmode=prefer&sslrootcert=AUTHORITY", Ok(true)),
        // Nobody known vouches for the server: secrecy was not asked for, or there is no connection.
        ("sslmode=prefer", Ok(false)),
        ("connect_timeout=5", Ok(false)),
        ("sslmode=require", Err(())),
        ("sslmode=verify-ca", Err(())),
        ("sslmode=verify-full", Err(())),
    ];
    for (options, want) in cases {
        let Some(url) = server(options) else { return };
        let got = encrypted(&url).await;
        assert_eq!(got.clone().map_err(drop), want, "{options}: {got:?}");
        if let Err(reason) = got {
            assert!(reason.contains("certificate"), "{options} does not say what is wrong: {reason}");
        }
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let Some(url) = server("sslmode=verify-full&sslrootcert=AUTHORITY") else { return };
    let reason = encrypted(&url.replace("127.0.0.1", "localhost")).await.expect_err("another name");
    assert!(reason.contains("certificate"), "{reason}");
}

#[tokio::test]
async fn everything_works_encrypted_notifications_too() {
    let Some(test) = testing::postgres().await else { return };
    let Some(tls) = server("sslmode=verify-full&sslrootcert=AUTHORITY") else { return };
    let (options, database) = (tls.split_once('?').expect("options").1, test.url.split('?').next());
    let url = format!("{}?{options}", database.expect("an address"));
    let one = Db::open(&url, testing::options()).await.expect("opens encrypted");
    let other = Db::open(&url, testing::options()).await.expect("opens encrypted");
    let mut changes = other.changes();
    // Listening begins a moment after opening: what is sent before is heard as a call to look at everything.
    let speak = async {
        loop {
            one.write("test", |tx| tx.notify("hello over tls")).await.expect("writes");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let hear = async {
        loop {
            if let Ok(Change::Payload(text)) = changes.recv().await
                && text.contains("hello over tls")
            {
                return;
            }
        }
    };
    let heard = async {
        tokio::select! {
            () = hear => {}
            () = speak => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect("the other hears of it");
}
