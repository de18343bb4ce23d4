//! `quittance webhooks` beside a running server, with a program that listens.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::house::{Client, dev, eventually, pay, quittance, run, run_json};

/// A program that answers each message with the next of these statuses (the last one goes on), and passes it on.
fn listener(statuses: &'static [u16]) -> (String, Receiver<String>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", socket.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for (turn, stream) in socket.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut seen = Vec::new();
            let mut part = [0; 4096];
            while !whole(&seen) {
                match stream.read(&mut part) {
                    Ok(count @ 1..) => seen.extend_from_slice(&part[..count]),
                    Ok(0) | Err(_) => break,
                }
            }
            let status = statuses[turn.min(statuses.len() - 1)];
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            if tell.send(String::from_utf8(seen).unwrap()).is_err() {
                return;
            }
        }
    });
    (url, told)
}

fn whole(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    body.len() >= header(head, "content-length").parse().unwrap()
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.map(|line| line[name.len() + 1..].trim()).unwrap_or_else(|| panic!("no {name} in {head}"))
}

/// The body, once the signature is checked by the published scheme.
fn verified(message: &str, secret: &str) -> Value {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(
        format!("{}.{}.{body}", header(head, "webhook-id"), header(head, "webhook-timestamp")).as_bytes(),
    );
    let expected = format!("v1,{}", base64.encode(mac.finalize().into_bytes()));
    assert_eq!(header(head, "webhook-signature"), expected);
    serde_json::from_str(body).unwrap()
}

#[test]
fn a_developer_sees_what_the_app_is_told_and_lets_it_be_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let config = product.field("config");
    let command = |arguments: &[&str]| {
        let mut all = vec!["--config", &config, "webhooks"];
        all.extend(arguments);
        quittance(folder.path(), &all)
    };
    let (code, out, _) = run(&mut command(&["list"]));
    assert!(code == 0 && out.contains("quittance webhooks create"), "{out}");
    let (url, told) = listener(&[200]);
    let made = run_json(&mut command(&["create", "--url", &url, "--json"]));
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());

    let (code, out, err) = run(&mut command(&["ping", id]));
    assert!(code == 0 && out.contains("was delivered"), "{out}{err}");
    let ping = verified(&told.recv().unwrap(), secret);
    assert_eq!((&ping["type"], &ping["data"]["endpoint"]), (&json!("webhook.ping"), &json!(id)));

    let api = product.api("qk_dev");
    let (session, _) = api.checkout("ada");
    pay(&Client::new(&product.field("sandbox_url"), ""), &session);
    let access = eventually("told", || {
        told.recv()
            .ok()
            .map(|message| verified(&message, secret))
            .filter(|e| e["type"] == "customer.access_changed")
    });
    assert_eq!((&access["data"]["customer"], &access["data"]["to"]), (&json!("ada"), &json!("granted")));

    // What was told is in the log; and again, under the same id, when asked for.
    let (_, out, _) = run(&mut command(&["tail", "--once", "--json", "--last", "100"]));
    let logged: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(logged.contains(&access), "{out}");
    let event = access["id"].as_str().unwrap();
    let replayed = run_json(&mut command(&["replay", "--endpoint", id, "--event", event, "--json"]));
    assert_eq!(replayed["events"], 1);
    eventually("told again", || {
        told.recv().ok().map(|message| verified(&message, secret)).filter(|again| *again == access)
    });
    let list = run_json(&mut command(&["deliveries", "--endpoint", id, "--json", "--limit", "100"]));
    let of_it: Vec<&Value> =
        list["deliveries"].as_array().unwrap().iter().filter(|row| row["event"] == event).collect();
    assert_eq!(of_it.len(), 2, "{list}");
    let number = of_it[1]["number"].to_string();
    let one = run_json(&mut command(&["deliveries", "--show", &number, "--json"]));
    assert_eq!(one["tries"][0]["answer"], "200: ok");

    let rotated = run_json(&mut command(&["rotate", id, "--old-secret-hours", "0", "--json"]));
    run_json(&mut command(&["ping", id, "--json"]));
    eventually("signed with the new one", || {
        let message = told.recv().ok().filter(|message| message.contains("webhook.ping"))?;
        Some(verified(&message, rotated["secret"].as_str().unwrap()))
    });
    assert_eq!(run_json(&mut command(&["disable", id, "--json"]))["enabled"], false);
    let (code, _, err) = run(&mut command(&["ping", id]));
    assert!(code == 1 && err.contains("quittance webhooks enable"), "{err}");
    assert_eq!(run_json(&mut command(&["enable", id, "--json"]))["enabled"], true);
    run_json(&mut command(&["remove", id, "--json"]));
    assert_eq!(run_json(&mut command(&["list", "--json"]))["endpoints"], json!([]));
}

#[test]
fn a_ping_that_fails_says_why_and_wrong_words_are_usage() {
    let folder = tempfile::tempdir().unwrap();
    let product = dev(folder.path(), &[], &[]);
    let config = product.field("config");
    let command = |arguments: &[&str]| {
        let mut all = vec!["--config", &config, "webhooks"];
        all.extend(arguments);
        quittance(folder.path(), &all)
    };
    let (url, _told) = listener(&[500]);
    let made = run_json(&mut command(&["create", "--url", &url, "--json"]));
    let (code, _, err) = run(&mut command(&["ping", made["id"].as_str().unwrap()]));
    assert!(code == 1 && err.contains("500: ok"), "{err}");
    let (code, _, err) = run(&mut command(&["create", "--url", "http://10.0.0.1/hooks"]));
    assert!(code == 1 && err.contains("not on the public internet"), "{err}");
    let (code, _, err) = run(&mut command(&["replay", "--endpoint", "whe_1"]));
    assert!(code == 2 && err.contains("--since"), "{err}");
    let (code, _, err) = run(&mut command(&["replay", "--endpoint", "whe_1", "--since", "yesterday"]));
    assert!(code == 2 && err.contains("RFC 3339"), "{err}");
}
