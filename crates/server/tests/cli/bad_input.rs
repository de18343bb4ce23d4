//! What cannot work says so at once: what happened, the mend, exit code 1 or 2; and nothing is lost.

use std::path::Path;
use std::process::Command;

use crate::house::{Process, quittance, run};

/// `serve` with a configuration that would work, but for what the test changes.
fn serve(folder: &Path, more: &[&str]) -> Command {
    let mut arguments = vec!["serve", "--port", "0"];
    arguments.extend(more);
    let mut command = quittance(folder, &arguments);
    command
        .env("STRIPE_SECRET_KEY", "sk_test_1")
        .env("STRIPE_WEBHOOK_SECRET", "whsec_1")
        .env("STRIPE_API_BASE", "http://127.0.0.1:9")
        .env("DATABASE_URL", "sqlite://q.db");
    command
}

fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let (found, out, err) = run(command);
    assert_eq!(found, code, "{out}{err}");
    assert!(err.contains("error: ") && err.contains("mend: "), "{err}");
    for word in words {
        assert!(err.contains(word), "{word}: {err}");
    }
}

/// A14: no half start.
#[test]
fn a14_unset_secrets_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for (variable, mend) in [("STRIPE_SECRET_KEY", "dashboard"), ("STRIPE_WEBHOOK_SECRET", "whsec_")] {
        refused(serve(folder.path(), &[]).env_remove(variable), 2, &[variable, mend]);
        refused(serve(folder.path(), &[]).env(variable, ""), 2, &[variable, mend]);
    }
    assert!(!folder.path().join("q.db").exists(), "nothing was begun");
}

#[test]
fn configuration_errors_are_usage() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("quittance.toml"), "[webhooks]\ntolerence_s = 1\n").unwrap();
    refused(&mut serve(folder.path(), &[]), 2, &["webhooks.tolerence_s", "tolerance_s"]);
    for (text, words) in [
        ("[api]\nbody_limit = \"x\"", &["`api.body_limit`: ", "expected a whole number"][..]),
        ("[api]\nstreams = -1", &["`api.streams`: ", "integer `-1`", "expected a whole number, 0 or more"]),
        ("[access]\ngrace_days = \"x\"", &["`access.grace_days`: ", "expected a whole number"]),
        ("role = \"x\"", &["`role`: unknown variant `x`", "`worker`"]),
        ("[database", &["line 1"]),
    ] {
        std::fs::write(folder.path().join("quittance.toml"), text).unwrap();
        refused(&mut serve(folder.path(), &[]), 2, words);
    }
    std::fs::write(folder.path().join("quittance.toml"), "").unwrap();
    std::fs::write(folder.path().join("catalog.toml"), "[[plan]]\nkey = \"x\"\n").unwrap();
    refused(&mut serve(folder.path(), &[]), 2, &["catalog.toml"]);
    std::fs::remove_file(folder.path().join("catalog.toml")).unwrap();
    refused(
        serve(folder.path(), &[]).env("QUITTANCE_CONFIG", "nowhere.toml"),
        2,
        &["nowhere.toml", "QUITTANCE_CONFIG"],
    );
    refused(serve(folder.path(), &[]).env("DATABASE_URL", "oracle://x"), 2, &["DATABASE_URL", "postgres://"]);
    let mut json = serve(folder.path(), &["--json"]);
    let (code, _, err) = run(json.env_remove("STRIPE_SECRET_KEY"));
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, error["error"]["exit"].as_i64()), (2, Some(2)));
    assert_eq!(error["error"]["money_moved"], "no");
}

#[test]
fn a_mistake_on_the_command_line_is_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = run(&mut quittance(folder.path(), &["--json", "frobnicate"]));
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, out.as_str(), error["error"]["code"].as_str()), (2, "", Some("usage")));
    assert!(error["error"]["message"].as_str().unwrap().contains("frobnicate"), "{error}");
    let (code, out, err) = run(&mut quittance(folder.path(), &["--json", "--help"]));
    assert!(code == 0 && out.contains("Exit codes") && err.is_empty(), "{out}{err}");
}

#[test]
fn the_printed_configuration_hides_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = serve(folder.path(), &["--print-config"]);
    command
        .env("DATABASE_URL", "postgres://u:hush@h/q")
        .env("STRIPE_SECRET_KEY", "sk_live_hush")
        .env("STRIPE_WEBHOOK_SECRET", "whsec_hush");
    let (code, out, err) = run(&mut command);
    assert_eq!(code, 0, "{err}");
    assert!(
        !out.contains("hush") && out.contains("postgres://u:***@h/q") && out.contains("sk_live_(hidden)"),
        "{out}"
    );
    let (_, out, _) = run(command.arg("--json"));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["stripe"]["webhook_secret"], "whsec_(hidden)");
}

#[test]
fn a_port_in_use_and_an_address_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut command = quittance(folder.path(), &["serve"]);
    command.envs(
        serve(folder.path(), &[])
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
    );
    refused(
        command.env("QUITTANCE_LISTEN", address.to_string()),
        1,
        &["in use", "QUITTANCE_LISTEN", "--port"],
    );
    refused(command.env("QUITTANCE_LISTEN", "192.0.2.1:4242"), 1, &["192.0.2.1:4242", "QUITTANCE_LISTEN"]);
    assert!(!folder.path().join("q.db").exists(), "nothing was begun");
}

#[test]
fn an_sqlite_file_belongs_to_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::serve(&mut serve(folder.path(), &[]));
    refused(&mut serve(folder.path(), &[]), 1, &["another server", "PostgreSQL"]);
    let (status, log) = first.interrupt();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped"), "{log}");
    assert_eq!(
        Process::serve(&mut serve(folder.path(), &[])).interrupt().0.code(),
        Some(0),
        "the lock is let go"
    );
}

#[test]
fn a_newer_schema_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("q.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = quittance_store::Db::open(&url, quittance_store::Options::default()).await.unwrap();
        db.migrate().await.unwrap();
        db.write("test.newer", |tx| {
            tx.script("INSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES (9999, 'later', 'x', 'now')")
        })
        .await
        .unwrap();
        db.close().await;
    });
    refused(&mut serve(folder.path(), &[]), 1, &["9999", "newer release"]);
    refused(
        quittance(folder.path(), &["events", "list"]).env("DATABASE_URL", &url),
        1,
        &["9999", "newer release"],
    );
    refused(quittance(folder.path(), &["migrate"]).env("DATABASE_URL", &url), 1, &["9999", "newer release"]);
}

#[test]
fn an_old_schema_is_not_touched_when_told_so() {
    let folder = tempfile::tempdir().unwrap();
    refused(&mut serve(folder.path(), &["--no-migrate"]), 1, &["quittance migrate"]);
    refused(
        quittance(folder.path(), &["events", "list"]).env("DATABASE_URL", "sqlite://none.db"),
        1,
        &["none.db", "quittance migrate"],
    );
    assert!(!folder.path().join("none.db").exists(), "looking makes no database");
}

#[test]
fn databases_that_cannot_be_reached_or_written() {
    let folder = tempfile::tempdir().unwrap();
    refused(
        serve(folder.path(), &[]).env("DATABASE_URL", "sqlite://no/such/folder/q.db"),
        1,
        &["no/such/folder", "DATABASE_URL"],
    );
    let mut unreachable = serve(folder.path(), &[]);
    refused(
        unreachable.env("DATABASE_URL", "postgres://u:hush@127.0.0.1:9/q"),
        1,
        &["127.0.0.1:9", "DATABASE_URL"],
    );
    let (_, _, err) = run(&mut unreachable);
    assert!(!err.contains("hush"), "{err}");
    // A folder is no file, for every user, root included.
    std::fs::create_dir(folder.path().join("folder.db")).unwrap();
    refused(
        serve(folder.path(), &[]).env("DATABASE_URL", "sqlite://folder.db"),
        1,
        &["folder.db", "DATABASE_URL"],
    );
}

/// Root may write everywhere, so the file system itself must refuse: an immutable or read-only place, where there is one.
#[test]
fn a_read_only_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(quittance(folder.path(), &["migrate"]).env("DATABASE_URL", "sqlite://q.db")).0, 0);
    let Some(mut command) = as_somebody(folder.path()) else {
        eprintln!("skipped: no way to run as another user here (setpriv, and to be root)");
        return;
    };
    refused(&mut command, 1, &["q.db", "writable"]);
}

/// Told at the start, before anything is accepted.
#[test]
fn a_postgres_user_who_may_only_read_is_refused() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let Some(test) = runtime.block_on(quittance_store::testing::postgres()) else { return };
    let user = format!("reader_{}", std::process::id());
    let make = format!(
        "CREATE ROLE {user} LOGIN; GRANT USAGE ON SCHEMA public TO {user};
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
    );
    runtime.block_on(test.db.write("test.reader", move |tx| tx.script(&make))).unwrap();
    let (start, rest) = test.url.split_once("://").unwrap();
    let place = rest.split_once('@').map_or(rest, |(_, place)| place);
    let url = format!("{start}://{user}@{place}");
    let folder = tempfile::tempdir().unwrap();
    for more in [&[][..], &["--no-migrate"]] {
        refused(
            serve(folder.path(), more).env("DATABASE_URL", &url),
            1,
            &["read-only", "permission denied", "DATABASE_URL", "may write"],
        );
    }
    let server = Process::serve(serve(folder.path(), &[]).env("DATABASE_URL", &test.url));
    assert_eq!(server.interrupt().0.code(), Some(0), "its owner may");
    let drop = format!("DROP OWNED BY {user}; DROP ROLE {user}");
    runtime.block_on(test.db.write("test.reader_gone", move |tx| tx.script(&drop))).unwrap();
}

/// `serve` as a user to whom nothing belongs; as oneself with the file made read-only when one is not root.
fn as_somebody(folder: &Path) -> Option<Command> {
    use std::os::unix::fs::PermissionsExt;
    let readable = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        readable(&entry.unwrap().path(), 0o444);
    }
    readable(folder, 0o555);
    let probe = folder.join("probe");
    if std::fs::write(&probe, "").is_err() {
        return Some(serve(folder, &[]));
    }
    std::fs::remove_file(probe).unwrap();
    // The binary may lie where only root looks; a copy beside the database can be reached.
    let binary = folder.join("quittance");
    std::fs::copy(env!("CARGO_BIN_EXE_quittance"), &binary).unwrap();
    readable(&binary, 0o555);
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["serve", "--port", "0"]);
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
    command.envs(
        serve(folder, &[]).get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
    );
    Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "true"])
        .status()
        .ok()
        .filter(std::process::ExitStatus::success)?;
    Some(command)
}

#[test]
fn a_live_key_needs_a_catalog_and_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let mut live = serve(folder.path(), &[]);
    live.env("STRIPE_SECRET_KEY", "sk_live_1").env("STRIPE_API_BASE", "https://api.stripe.com");
    refused(&mut live, 2, &["catalog.toml", "QUITTANCE_CATALOG"]);
    std::fs::write(folder.path().join("catalog.toml"), include_str!("../../../../catalog.toml")).unwrap();
    refused(&mut live, 2, &["QUITTANCE_PUBLIC_URL", "https"]);
    refused(live.env("STRIPE_API_BASE", "http://127.0.0.1:9"), 2, &["STRIPE_API_BASE"]);
}
