//! Running the binary with nothing of the caller's environment, and asking it over plain HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(40);

/// The binary in this folder, with an empty environment.
pub fn quittance(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quittance"));
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Runs a command that must answer JSON and exit with 0.
pub fn run_json(command: &mut Command) -> Value {
    let (code, out, err) = run(command);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(out.trim()).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// Asks until there is an answer, or fails with what was waited for.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("never: {what}");
}

/// A running process; killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    /// The first line of its output, or of its log for `serve`.
    pub said: Value,
}

impl Process {
    /// Starts one that says on its output, as JSON, where it is.
    pub fn start(command: &mut Command) -> Self {
        let (child, log) = spawn(command);
        let mut process = Self { child, log, said: Value::Null };
        let out = process.child.stdout.take().expect("an output");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("a line");
        process.said =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}{}", process.log()));
        process
    }

    /// Starts one that says nothing on its output.
    pub fn quiet(command: &mut Command) -> Self {
        let (child, log) = spawn(command);
        Self { child, log, said: Value::Null }
    }

    /// Starts a server that logs JSON, and waits until it says where it listens.
    pub fn serve(command: &mut Command) -> Self {
        let (child, log) = spawn(command.args(["--log", "json"]));
        let mut process = Self { child, log, said: Value::Null };
        process.said = eventually("the server listens", || {
            let log = process.log();
            if let Some(status) = process.child.try_wait().expect("a status") {
                panic!("ended with {status}: {log}");
            }
            log.lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find(|line| line["listen"].is_string())
        });
        let url = format!("http://{}", process.said["listen"].as_str().expect("an address"));
        process.said = json!({ "url": url });
        process
    }

    /// What it wrote to its error stream so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Waits until the log has a text: the line is written beside the answer, and read by a thread of its own.
    pub fn logs(&self, text: &str) -> bool {
        (0..100).any(|_| {
            let found = self.log().contains(text);
            if !found {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            found
        })
    }

    pub fn field(&self, name: &str) -> String {
        self.said[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.said)).to_owned()
    }

    /// An API client of the server that it announced.
    pub fn api(&self, key: &str) -> Client {
        Client::new(&self.field("url"), key)
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &line]).status().expect("sh").success());
    }

    /// Ctrl-C; its exit status.
    pub fn interrupt(mut self) -> (ExitStatus, String) {
        self.signal("INT");
        let status = eventually("it stops on Ctrl-C", || self.child.try_wait().expect("a status"));
        (status, self.log())
    }

    /// The end that nobody is told of.
    pub fn kill_9(mut self) {
        self.signal("KILL");
        self.child.wait().expect("an end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> (Child, Arc<Mutex<String>>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let log = Arc::new(Mutex::new(String::new()));
    let (mut errors, kept) = (child.stderr.take().expect("an error stream"), log.clone());
    std::thread::spawn(move || {
        let mut part = [0_u8; 4096];
        while let Ok(count @ 1..) = errors.read(&mut part) {
            kept.lock().expect("the log").push_str(&String::from_utf8_lossy(&part[..count]));
        }
    });
    (child, log)
}

/// `quittance dev` on free ports with its state in this folder.
pub fn dev(folder: &Path, more: &[&str], environment: &[(&str, &str)]) -> Process {
    let data = folder.join("data");
    let mut arguments =
        vec!["dev", "--port", "0", "--sandbox-port", "0", "--json", "--data", data.to_str().expect("a path")];
    arguments.extend(more);
    Process::start(quittance(folder, &arguments).envs(environment.iter().copied()))
}

/// A `dev` that has sold Pro to ada.
pub struct Sold {
    pub product: Process,
    pub api: Client,
    /// The sandbox's control API.
    pub sandbox: Client,
    /// The provider, as another program with the account's key.
    pub provider: Client,
    config: String,
    folder: tempfile::TempDir,
}

impl Sold {
    pub fn to_ada() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let product = dev(folder.path(), &[], &[]);
        let (api, url) = (product.api("qk_dev"), product.field("sandbox_url"));
        let (sandbox, provider) = (Client::new(&url, ""), Client::new(&url, "sk_test_other"));
        let (session, _) = api.checkout("ada");
        pay(&sandbox, &session);
        eventually("bought", || api.allowed("ada").then_some(()));
        Self { config: product.field("config"), product, api, sandbox, provider, folder }
    }

    /// A command beside it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut all = vec!["--config", &self.config];
        all.extend(arguments);
        quittance(self.folder.path(), &all)
    }
}

/// One server and one key.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    key: String,
}

impl Client {
    pub fn new(url: &str, key: &str) -> Self {
        let address = url.trim_start_matches("http://").parse().expect("an address");
        Self { address, key: key.to_owned() }
    }

    /// One request; status and body.
    pub fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other("no answer"))?;
        Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
    }

    pub fn json(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = self.send(method, path, "application/json", &text).expect("an answer");
        assert!(status < 300, "{method} {path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{method} {path}: {error}: {answer}"))
    }

    pub fn get(&self, path: &str) -> Value {
        self.json("GET", path, &Value::Null)
    }

    pub fn form(&self, path: &str, form: &str) -> Value {
        let (status, answer) =
            self.send("POST", path, "application/x-www-form-urlencoded", form).expect("an answer");
        assert!(status < 300, "{path}: {status} {answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Opens a checkout of Pro and answers the provider's session and its page.
    pub fn checkout(&self, customer: &str) -> (String, String) {
        let wish = json!({ "customer": customer, "plan": "pro", "interval": "month", "currency": "jpy" });
        let checkout = self.json("POST", "/v1/checkouts", &wish);
        let url = checkout["url"].as_str().expect("a page").to_owned();
        let start = url.find("cs_").expect("a session");
        let session = url[start..].split(['/', '?', '#']).next().expect("a session");
        (session.to_owned(), url)
    }

    pub fn allowed(&self, customer: &str) -> bool {
        self.get(&format!("/v1/customers/{customer}/entitlements/article:full"))["allowed"]
            .as_bool()
            .expect("an answer")
    }
}

/// The buyer pays, by the sandbox's control API.
pub fn pay(sandbox: &Client, session: &str) {
    let path = format!("/_sandbox/checkout_sessions/{session}/complete");
    sandbox.json("POST", &path, &json!({ "payment_method": "pm_card_visa" }));
}
