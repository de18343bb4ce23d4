//! `quittance doctor` beside a real provider, database and mail server, whole and broken.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::house::{Client, Process, quittance, run};

/// Breaks one thing of a command's environment.
type Break<'a> = &'a dyn Fn(&mut std::process::Command);

struct Site {
    folder: tempfile::TempDir,
    sandbox: Process,
    secret: String,
    port: u16,
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A mail server that greets and takes everything.
fn mail_server() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in socket.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut out = stream.try_clone().unwrap();
                let _ = out.write_all(b"220 here\r\n");
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let answer = if line.starts_with("QUIT") { "221 bye\r\n" } else { "250 ok\r\n" };
                    if out.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    format!("smtp://localhost:{}", address.port())
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = ["sandbox", "--port", "0", "--json"];
        let sandbox = Process::start(&mut quittance(folder.path(), &sandbox));
        std::fs::write(
            folder.path().join("quittance.toml"),
            "[mail]\nfrom = \"Atelier <billing@example.com>\"\n",
        )
        .unwrap();
        let port = free_port();
        let provider = Client::new(&sandbox.field("url"), "sk_test_any");
        let form = format!(
            "url=http://127.0.0.1:{port}/webhooks/stripe&enabled_events[0]=*&api_version={}",
            quittance_stripe::API_VERSION
        );
        let secret = provider.form("/v1/webhook_endpoints", &form)["secret"].as_str().unwrap().to_owned();
        let site = Self { folder, sandbox, secret, port };
        let (code, _, err) = run(&mut site.command(&["migrate"]));
        assert_eq!(code, 0, "{err}");
        let (code, _, err) = run(&mut site.command(&["catalog", "push"]));
        assert_eq!(code, 0, "{err}");
        site
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = quittance(self.folder.path(), arguments);
        command
            .env("DATABASE_URL", format!("sqlite://{}", self.folder.path().join("q.db").display()))
            .env("QUITTANCE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("QUITTANCE_SECRET", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
            .env("STRIPE_SECRET_KEY", "sk_test_any")
            .env("STRIPE_WEBHOOK_SECRET", &self.secret)
            .env("STRIPE_API_BASE", self.sandbox.field("url"));
        command
    }
}

/// The exit code, and each check's outcome and words.
fn doctor(command: &mut std::process::Command) -> (i32, Value) {
    let (code, out, err) = run(command.arg("--json"));
    (code, serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{error}: {out}{err}")))
}

fn outcome(report: &Value, name: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    let found: Vec<&Value> = checks.iter().filter(|check| check["check"] == name).collect();
    assert_eq!(found.len(), 1, "{name}: {report:#}");
    found[0]["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn a_whole_installation_is_found_whole() {
    let site = Site::new();
    let (_, before) = doctor(&mut site.command(&["doctor"]));
    assert_eq!(outcome(&before, "public_url"), "warning", "nobody serves yet: {before:#}");
    let server = Process::serve(&mut site.command(&["serve"]));
    let provider = Client::new(&site.sandbox.field("url"), "sk_test_any");
    provider.form("/v1/customers", "metadata[quittance_customer]=ada");
    let mail = mail_server();
    let report = crate::house::eventually("every check is made and none has failed", || {
        let mut command = site.command(&["doctor"]);
        let (code, report) = doctor(command.env("SMTP_URL", &mail));
        (code == 0 && outcome(&report, "webhooks_received") == "ok").then_some(report)
    });
    for check in quittance_server::doctor::CHECKS {
        let found = outcome(&report, check);
        let fine = match *check {
            // The demo catalog, and a first sweep that may not be over, with the look at the ledger that follows it.
            "configuration" | "sweep" | "ledger" => ["ok", "warning"].contains(&found.as_str()),
            _ => found == "ok",
        };
        assert!(fine, "{check} is {found}: {report:#}");
    }
    let (_, out, _) = run(&mut site.command(&["doctor", "--offline"]));
    assert!(out.contains("-     provider") && out.contains("--offline"), "{out}");
    assert_eq!(server.interrupt().0.code(), Some(0));
}

#[test]
fn what_is_broken_is_found_with_its_mend() {
    let site = Site::new();
    let look = |change: Break<'_>| {
        let mut command = site.command(&["doctor"]);
        change(&mut command);
        let (code, report) = doctor(&mut command);
        for check in report["checks"].as_array().unwrap() {
            let mended = !check["mend"].as_str().unwrap().is_empty();
            assert_eq!(
                mended,
                ["failed", "warning"].contains(&check["outcome"].as_str().unwrap()),
                "{check}"
            );
            let (what, mend) = (check["what"].as_str().unwrap(), check["mend"].as_str().unwrap());
            assert!(mend.is_empty() || !what.contains(mend), "the mend is told once: {check}");
        }
        (code, report)
    };
    let nobody = free_port().to_string();
    let breaks: &[(&str, Break<'_>)] = &[
        ("configuration", &|c| {
            c.env("STRIPE_WEBHOOK_SECRET", "none");
        }),
        ("keys", &|c| {
            c.env_remove("STRIPE_SECRET_KEY");
        }),
        ("listen", &|c| {
            c.env("QUITTANCE_LISTEN", "192.0.2.1:80");
        }),
        ("disk", &|c| {
            c.env("DATABASE_URL", "sqlite:///nowhere/at/all.db");
        }),
        ("database", &|c| {
            c.env("DATABASE_URL", format!("postgres://nobody@127.0.0.1:{nobody}/none"));
        }),
        ("provider", &|c| {
            c.env("STRIPE_API_BASE", format!("http://127.0.0.1:{nobody}"));
        }),
        ("webhook_endpoint", &|c| {
            c.env("QUITTANCE_PUBLIC_URL", "http://127.0.0.1:1");
        }),
        ("mail", &|c| {
            c.env("SMTP_URL", format!("smtp://localhost:{nobody}"));
        }),
    ];
    for (check, broken) in breaks {
        let (code, report) = look(broken);
        assert_eq!((code, outcome(&report, check).as_str()), (1, "failed"), "{check}: {report:#}");
        if *check == "provider" {
            for behind in ["webhook_endpoint", "catalog", "portal", "tax"] {
                assert_eq!(outcome(&report, behind), "skipped", "one trouble is told once: {report:#}");
            }
        }
    }
    // A provider that sells nothing of the catalog.
    let provider = Client::new(&site.sandbox.field("url"), "sk_test_any");
    provider.json("POST", "/_sandbox/reset", &serde_json::json!({}));
    let (code, report) = look(&|_| {});
    assert_eq!((code, outcome(&report, "catalog").as_str()), (1, "failed"), "{report:#}");
    assert_eq!(outcome(&report, "webhook_endpoint"), "failed");
    // No database yet.
    std::fs::remove_file(site.folder.path().join("q.db")).unwrap();
    let (_, report) = look(&|_| {});
    assert_eq!(outcome(&report, "database"), "warning", "{report:#}");
}
