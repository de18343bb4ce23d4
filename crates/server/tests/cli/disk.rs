//! A full disk: nothing is acknowledged that is not kept, the answer invites to try again, and free space mends it.

use std::path::Path;
use std::process::Command;

use quittance_sandbox::signature_header;
use serde_json::json;

use crate::house::{Client, Process, quittance, run_json};

const SECRET: &str = "whsec_disk";

/// Runs a command where `folder/disk` is a file system of its own, nearly full.
fn on_small_disk(folder: &Path, command: &Command) -> Option<Command> {
    let works =
        Command::new("unshare").args(["-Urm", "sh", "-c", "mount -t tmpfs -o size=4m none /mnt"]).output();
    if !works.is_ok_and(|done| done.status.success()) {
        return None;
    }
    let disk = folder.join("disk");
    let script = format!(
        "mount -t tmpfs -o size=4m none {disk} && head -c 2600000 /dev/zero > {disk}/filler && exec \"$0\" \"$@\"",
        disk = disk.display()
    );
    let mut inside = Command::new("unshare");
    inside.args(["-Urm", "sh", "-c", &script]).arg(command.get_program()).args(command.get_args());
    inside.current_dir(folder).env_clear().stdin(std::process::Stdio::null());
    inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(inside)
}

fn event(number: usize) -> String {
    json!({
        "id": format!("evt_disk_{number}"), "object": "event", "type": "customer.updated", "created": 1, "livemode": false,
        "api_version": "2026-10-28.endive", "data": { "object": { "id": format!("cus_disk_{number}"), "object": "customer" } },
    })
    .to_string()
}

fn send(server: &Client, number: usize) -> u16 {
    let body = event(number);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = signature_header(SECRET, i64::try_from(now).unwrap(), body.as_bytes());
    server
        .send("POST", "/webhooks/stripe", &format!("application/json\r\nStripe-Signature: {header}"), &body)
        .unwrap()
        .0
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    let sandbox = Process::start(&mut quittance(folder.path(), &["sandbox", "--port", "0", "--json"]));
    let mut serve = quittance(folder.path(), &["serve", "--port", "0", "--role", "api"]);
    serve
        .env("STRIPE_SECRET_KEY", "sk_test_1")
        .env("STRIPE_WEBHOOK_SECRET", SECRET)
        .env("STRIPE_API_BASE", sandbox.field("url"))
        .env("DATABASE_URL", format!("sqlite://{}", folder.path().join("disk/q.db").display()));
    let Some(mut inside) = on_small_disk(folder.path(), &serve) else {
        eprintln!("skipped: no file system of one's own here (unshare -Urm)");
        return;
    };
    let server = Process::serve(&mut inside);
    let api = server.api("");
    let acknowledged = (0..20_000).take_while(|number| send(&api, *number) == 200).count();
    assert!((1..20_000).contains(&acknowledged), "{acknowledged}");
    assert_eq!(send(&api, acknowledged), 503, "refused, so that the provider sends it again");
    assert!(server.logs("no space left"), "{}", server.log());
    // The namespace is seen through the process.
    let inside = format!("/proc/{}/root{}/disk", server.id(), folder.path().display());
    std::fs::remove_file(format!("{inside}/filler")).unwrap();
    assert_eq!(send(&api, acknowledged), 200, "free space is all that it needs");
    // A copy, because the database's own path leads elsewhere outside the namespace; nobody writes any more.
    for name in ["q.db", "q.db-wal"] {
        std::fs::copy(format!("{inside}/{name}"), folder.path().join(name)).unwrap();
    }
    let database = "sqlite://q.db";
    let mut before = i64::MAX;
    let mut stored = 0;
    loop {
        let before_text = before.to_string();
        let arguments =
            ["--database", database, "events", "list", "--limit", "1000", "--before", &before_text, "--json"];
        let page = run_json(&mut quittance(folder.path(), &arguments));
        stored += page["events"].as_array().unwrap().len();
        match page["before"].as_i64() {
            Some(next) => before = next,
            None => break,
        }
    }
    assert_eq!(stored, acknowledged + 1, "every acknowledged event is there, and no other");
}
