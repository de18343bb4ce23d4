//! The temporary PostgreSQL: unprivileged, reachable, and gone afterwards, however the run ended.

#![allow(clippy::expect_used, clippy::panic, reason = "in a test, the panic is the finding")]

use std::env;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Where PostgreSQL is not asked for, it is not installed either: `--fast` and a plain `cargo test`.
fn skipped() -> bool {
    let skipped = env::var_os("QUITTANCE_TEST_POSTGRES").is_none();
    if skipped {
        eprintln!("SKIPPED: no QUITTANCE_TEST_POSTGRES; `cargo xtask test` sets it");
    }
    skipped
}

/// Starts `cargo xtask postgres -- sh -c SCRIPT` with a directory for temporary files that is the test's own.
fn start(script: &str) -> (Child, TempDir) {
    let files = tempfile::tempdir().expect("a temporary directory");
    // The unprivileged user must be able to pass through it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(files.path(), open).expect("permissions");
    let child = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["postgres", "--", "sh", "-c", script])
        .env("TMPDIR", files.path())
        .env("STRIPE_SECRET_KEY", "must not be seen")
        .stdout(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    (child, files)
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    let output = child.stdout.as_mut().expect("a pipe");
    BufReader::new(output).read_line(&mut line).expect("the script prints a line");
    line.trim().to_owned()
}

fn port(url: &str) -> u16 {
    let (_, rest) = url.rsplit_once(':').expect("a port");
    let (port, _) = rest.split_once('/').expect("a database");
    port.parse().expect("a number")
}

fn left_in(files: &TempDir) -> Vec<PathBuf> {
    std::fs::read_dir(files.path())
        .expect("the directory is there")
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn is_gone(url: &str, files: &TempDir) {
    assert!(TcpStream::connect(("127.0.0.1", port(url))).is_err(), "the server still listens at {url}");
    assert_eq!(left_in(files), Vec::<PathBuf>::new());
}

#[test]
fn a_command_meets_a_server_that_is_gone_after_it() {
    if skipped() {
        return;
    }
    let (mut child, files) =
        start("echo \"$QUITTANCE_TEST_POSTGRES\"; test -z \"$STRIPE_SECRET_KEY\" && sleep 600");
    let url = line(&mut child);
    TcpStream::connect(("127.0.0.1", port(&url))).expect("the server listens");
    let left = left_in(&files);
    let of_the_server = |path: &&PathBuf| path.to_string_lossy().contains("quittance-postgres-");
    let data = left.iter().find(of_the_server).expect("the server's directory").join("data");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&data).expect("a data directory"));
    assert_ne!(owner, 0, "the server runs as root");

    let interrupted = Command::new("sh")
        .args(["-c", &format!("kill -s INT {}", child.id())])
        .status()
        .expect("kill starts");
    assert!(interrupted.success());
    let status = child.wait().expect("xtask ends");
    assert_eq!(status.code(), Some(1), "an interrupted run is not a success");
    is_gone(&url, &files);
}

#[test]
fn a_failing_command_fails_the_task_and_leaves_nothing() {
    if skipped() {
        return;
    }
    let (mut child, files) = start("echo \"$QUITTANCE_TEST_POSTGRES\"; exit 7");
    let url = line(&mut child);
    let status = child.wait().expect("xtask ends");
    assert_eq!(status.code(), Some(1));
    is_gone(&url, &files);
}
