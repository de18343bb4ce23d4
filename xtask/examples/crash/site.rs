//! What runs: the provider's emulator, which is never killed, and the product, which is, on one database.
//!
//! Everything that the harness assumes about the command line and the configuration stands here.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use xtask::clock::{Stopwatch, poll};
use xtask::cluster::{Cluster, Durability, Shutdown, free_port};
use xtask::interrupt::{self, Group};

use crate::http::{Client, FORM, Request, text};

const PROVIDER_KEY: &str = "sk_test_sandbox";
/// Quick to retry and quick to take over, so that a minute of this is a day of anything else. No limit to the provider.
const SETTINGS: &str = "\
[sweep]
every_s = 10
[retry]
base_ms = 50
cap_ms = 1000
max_attempts = 1000
lease_ms = 1500
[database]
connections = 6
[webhooks]
settle_ms = 50
[api]
redirect_wait_ms = 300
[stripe]
calls_per_second = 1000
calls_per_endpoint_per_second = 1000
[app_webhooks]
allow = [\"127.0.0.1\"]
";

/// Which database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite,
    /// A server of our own, that keeps what it promised over its own crashes.
    Postgres,
}

impl Database {
    /// Its name in arguments and figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// A server process that is killed and started again under the same name.
struct Node {
    name: &'static str,
    arguments: Vec<String>,
    running: Option<Group>,
}

/// Everything that runs for one database.
pub struct Site {
    binary: PathBuf,
    folder: PathBuf,
    url: String,
    secret: String,
    // The product before the database, so that it ends first.
    main: Node,
    worker: Node,
    sandbox: Group,
    cluster: Option<Cluster>,
    /// The product's API, when it is up.
    pub api: Client,
    /// The provider's API and control calls.
    pub provider: Client,
}

impl Site {
    /// Starts provider and database and prepares the schema and a key; the product does not run yet.
    ///
    /// # Errors
    /// What did not start.
    pub fn prepare(
        binary: &Path,
        folder: &Path,
        database: Database,
        seed: u64,
        mail_port: u16,
    ) -> Result<Self> {
        let mail = format!(
            "[mail]\nurl = \"smtp://127.0.0.1:{mail_port}\"\nfrom = \"Crash <billing@example.com>\"\n"
        );
        std::fs::write(folder.join("quittance.toml"), format!("{SETTINGS}{mail}"))?;
        let cluster = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Cluster::start(Durability::Full)?),
        };
        let url = match &cluster {
            Some(cluster) => cluster.url(),
            None => format!("sqlite://{}", folder.join("quittance.db").display()),
        };
        let (sandbox_port, port) = (free_port()?, free_port()?);
        let arguments: [&str; 6] =
            ["sandbox", "--port", &sandbox_port.to_string(), "--seed", &seed.to_string(), "--with-catalog"];
        let sandbox = spawn(clean(binary).args(arguments), folder, "sandbox")?;
        let provider = Client { port: sandbox_port, key: PROVIDER_KEY.to_owned() };
        let up = poll(Duration::from_secs(60), || provider.get("/_sandbox/time").ok());
        up.context("the sandbox did not start")?;
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let mut site = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            url,
            secret: String::new(),
            main: Node {
                name: "serve",
                arguments: words(&["serve", "--port", &port.to_string(), "--log", "json"]),
                running: None,
            },
            worker: Node { name: "worker", arguments: words(&["worker", "--log", "json"]), running: None },
            sandbox,
            cluster,
            api: Client { port, key: String::new() },
            provider,
        };
        site.output(&["migrate"])?;
        let made =
            site.output(&["keys", "create", "--name", "crash", "--scopes", "read,write,admin", "--json"])?;
        let made: Value = serde_json::from_str(made.trim()).context("keys create --json")?;
        text(&made, "key").clone_into(&mut site.api.key);
        Ok(site)
    }

    /// Tells the provider where its webhooks go, and how impatient it is.
    ///
    /// # Errors
    /// What it answers.
    pub fn hear(&mut self, port: u16, path: &str) -> Result<()> {
        let form = format!("url=http://127.0.0.1:{port}{path}&enabled_events[0]=*");
        let request = Request {
            method: "POST",
            path: "/v1/webhook_endpoints",
            kind: FORM,
            headers: &[],
            body: form.as_bytes(),
        };
        let made = self.provider.send(&request)?.json();
        text(&made, "secret").clone_into(&mut self.secret);
        let waits: Vec<u32> = [1, 1, 1, 2, 2].into_iter().chain([3; 60]).collect();
        self.provider.json("PUT", "/_sandbox/settings", &json!({ "webhook_retry_seconds": waits }))?;
        Ok(())
    }

    /// Tells the product where the app hears of changes; the secret that messages are signed with.
    ///
    /// # Errors
    /// What it answers.
    pub fn tell_app(&self, port: u16) -> Result<String> {
        let endpoint = json!({ "url": format!("http://127.0.0.1:{port}/hooks") });
        let made = self.api.json("POST", "/v1/webhook-endpoints", &endpoint)?;
        Ok(text(&made, "secret").to_owned())
    }

    /// What the product says of its ledger beside the provider's balance, each movement by itself.
    ///
    /// # Errors
    /// When it ends with another exit code than 0, and what it then says.
    pub fn tie_out(&self) -> Result<Value> {
        let told = self.output(&["ledger", "tie-out", "--each", "--json"])?;
        serde_json::from_str(told.trim()).context("ledger tie-out --json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = clean(&self.binary);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("DATABASE_URL", &self.url)
            .env("QUITTANCE_SECRET", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
            .env("STRIPE_SECRET_KEY", PROVIDER_KEY)
            .env("STRIPE_WEBHOOK_SECRET", if self.secret.is_empty() { "whsec_none" } else { &self.secret })
            .env("STRIPE_API_BASE", format!("http://127.0.0.1:{}", self.provider.port));
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<String> {
        interrupt::output(&mut self.command(arguments))
    }

    fn start_node(&self, node: &Node) -> Result<Group> {
        let arguments: Vec<&str> = node.arguments.iter().map(String::as_str).collect();
        spawn(&mut self.command(&arguments), &self.folder, node.name)
    }

    /// Starts the server; returns at once.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let group = self.start_node(&self.main)?;
        self.main.running = Some(group);
        Ok(())
    }

    /// Starts or stops the second node, which only works.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn set_worker(&mut self, wanted: bool) -> Result<()> {
        if wanted && self.worker.running.is_none() {
            let group = self.start_node(&self.worker)?;
            self.worker.running = Some(group);
        } else if !wanted {
            self.worker.running = None;
        }
        Ok(())
    }

    /// Whether the second node runs.
    pub fn has_worker(&self) -> bool {
        self.worker.running.is_some()
    }

    /// Waits until the server takes requests.
    ///
    /// # Errors
    /// When a process has ended by itself, or the server takes for ever.
    pub fn ready(&mut self) -> Result<()> {
        let watch = Stopwatch::start();
        while !self.api.get("/readyz").is_ok_and(|answer| answer.status == 200) {
            interrupt::check()?;
            for node in [&mut self.main, &mut self.worker] {
                if let Some(status) = node.running.as_mut().and_then(Group::ended) {
                    let (name, folder) = (node.name, self.folder.display());
                    bail!("`quittance {name}` ended by itself ({status}); see {name}.log in {folder}");
                }
            }
            if watch.elapsed() > Duration::from_secs(60) {
                bail!("the server was not ready within a minute; see serve.log in {}", self.folder.display());
            }
            std::thread::sleep(Duration::from_millis(15));
        }
        Ok(())
    }

    /// SIGKILL to the server, which is started again by [`Site::start`].
    pub fn kill(&mut self) {
        if let Some(mut group) = self.main.running.take() {
            group.kill();
        }
    }

    /// SIGKILL to the second node and a new one at once.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn kill_worker(&mut self) -> Result<()> {
        if let Some(mut group) = self.worker.running.take() {
            group.kill();
        }
        self.set_worker(true)
    }

    /// Restarts PostgreSQL under the running product. What was just starting finds no database, says so and ends; it
    /// is started again, as any supervisor does. Answers how often.
    ///
    /// # Errors
    /// When the database does not come up again, or the product with it.
    pub fn restart_postgres(&mut self, how: Shutdown) -> Result<u64> {
        let Some(cluster) = &mut self.cluster else { return Ok(0) };
        cluster.restart(how)?;
        let mut started = 0;
        let watch = Stopwatch::start();
        while !self.api.get("/readyz").is_ok_and(|answer| answer.status == 200) {
            interrupt::check()?;
            if self.main.running.as_mut().and_then(Group::ended).is_some() {
                started += 1;
                self.start()?;
            }
            if watch.elapsed() > Duration::from_secs(60) {
                bail!("the server did not find its database again within a minute");
            }
            std::thread::sleep(Duration::from_millis(15));
        }
        if self.worker.running.as_mut().and_then(Group::ended).is_some() {
            started += 1;
            self.worker.running = None;
            self.set_worker(true)?;
        }
        Ok(started)
    }

    /// Stops the product in an orderly way, and answers whether it ended by itself and well.
    pub fn stop(&mut self) -> bool {
        self.worker.running = None;
        self.main.running.take().is_none_or(|mut group| {
            group.stop("TERM", Duration::from_secs(40));
            group.succeeded()
        })
    }

    /// Whether the provider still runs; without it nothing that is found means anything.
    pub fn provider_lives(&mut self) -> bool {
        self.sandbox.ended().is_none()
    }

    /// Puts the provider's books beside the logs.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn keep_ledger(&self) -> Result<()> {
        let ledger = self.provider.get("/_sandbox/ledger")?;
        Ok(std::fs::write(self.folder.join("ledger.json"), ledger.text)?)
    }

    /// What the database says of its own health; empty when it is well or cannot be asked.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn damage(&self) -> Result<String> {
        let Some(path) = self.url.strip_prefix("sqlite://") else { return Ok(String::new()) };
        let file = rusqlite::Connection::open(path)?;
        let found: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        Ok(if found == "ok" { String::new() } else { found })
    }
}

fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("RUST_LOG", "info");
    command
}

fn spawn(command: &mut Command, folder: &Path, name: &str) -> Result<Group> {
    let log = OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.log")))?;
    Group::spawn(command.current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
}
