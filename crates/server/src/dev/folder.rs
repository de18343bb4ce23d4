//! Where `quittance dev` keeps its state: the database, the sandbox's state, and a configuration for other commands.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quittance_sandbox::{HttpRequest, Ledger, Sandbox};
use serde_json::{Value, json};

use super::SANDBOX_KEY;
use crate::config::Config;
use crate::failure::Failure;

/// How often a kept sandbox is written down while it changes.
const KEEP_EVERY: Duration = Duration::from_secs(3);

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    kept: bool,
    /// What was kept of the sandbox last time.
    before: Option<Arc<Value>>,
    fresh_secret: String,
    root_key: String,
}

/// The root key's file: the same as before, because stored secrets are encrypted under it.
const ROOT_KEY: &str = "root-key";

impl Folder {
    /// Opens a folder that is kept, or makes a temporary one.
    pub(super) fn open(kept: Option<&Path>) -> Result<Self, Failure> {
        let path = match kept {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("quittance-dev-{}", random_hex(6)?)),
        };
        let failed = |error: std::io::Error| {
            Failure::problem(
                "folder",
                format!("the folder {} cannot be used: {error}", path.display()),
                "Name another with --data, or leave it out for a temporary one.",
            )
        };
        std::fs::create_dir_all(&path).map_err(failed)?;
        only_for_us(&path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let before = read_kept(&path)?;
        let root_key = match std::fs::read_to_string(path.join(ROOT_KEY)) {
            Ok(key) => key,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = random_hex(32)?;
                std::fs::write(path.join(ROOT_KEY), &key).map_err(failed)?;
                key
            }
            Err(error) => return Err(failed(error)),
        };
        let fresh_secret = format!("whsec_{}", random_hex(24)?);
        Ok(Self { path, kept: kept.is_some(), before, fresh_secret, root_key })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn kept(&self) -> bool {
        self.kept
    }

    pub(super) fn database_url(&self) -> String {
        format!("sqlite://{}", self.path.join("quittance.db").display())
    }

    pub(super) fn config_path(&self) -> PathBuf {
        self.path.join("quittance.toml")
    }

    /// The secret that webhooks are signed with: the same as before, because events wait to be delivered again.
    pub(super) fn webhook_secret(&self) -> String {
        let kept = self.before.as_ref().and_then(|kept| kept.get("webhook_secret")).and_then(Value::as_str);
        kept.map_or_else(|| self.fresh_secret.clone(), str::to_owned)
    }

    /// The root key.
    pub(super) fn root_key(&self) -> &str {
        &self.root_key
    }

    /// Lets the sandbox go on from where it was, at the addresses of today.
    pub(super) fn restore(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        let Some(mut snapshot) = self.before.as_ref().and_then(|kept| kept.get("sandbox")).cloned() else {
            return Ok(());
        };
        if let Some(url) = snapshot.pointer_mut("/world/public_url") {
            *url = json!(sandbox.config().public_url);
        }
        sandbox.restore(&snapshot).map_err(|error| {
            Failure::problem(
                "sandbox_state",
                format!("{} is not of this release: {error}", self.path.join(KEPT).display()),
                "Remove the folder, or name another with --data, to start from nothing.",
            )
        })?;
        move_endpoint(sandbox);
        Ok(())
    }

    /// Writes a configuration with which other commands find this database and this sandbox.
    pub(super) fn write_config(
        &self,
        config: &Config,
        catalog: Option<&Path>,
        secret: &str,
    ) -> Result<(), Failure> {
        let catalog = catalog
            .map_or_else(String::new, |file| format!("catalog = {}\n", quoted(&file.display().to_string())));
        let text = format!(
            "# Written by `quittance dev` for commands beside it: quittance --config {} events list\n\
             {catalog}site = {}\nlisten = {}\npublic_url = {}\nsecret = {}\n\n\
             [app_webhooks]\nallow = {}\n\n\
             [database]\nurl = {}\n\n\
             [stripe]\nsecret_key = \"{SANDBOX_KEY}\"\nwebhook_secret = {}\napi_base = {}\n",
            self.config_path().display(),
            quoted(&config.site),
            quoted(&config.listen),
            quoted(config.public_url.as_deref().unwrap_or_default()),
            quoted(&self.root_key),
            toml::Value::from(config.app_webhooks.allow.clone()),
            quoted(&config.database.url),
            quoted(secret),
            quoted(&config.stripe.api_base),
        );
        std::fs::write(self.config_path(), text).map_err(|error| {
            Failure::problem(
                "folder",
                format!("{} cannot be written: {error}", self.config_path().display()),
                "Free space, or name another folder with --data.",
            )
        })
    }

    /// Writes the sandbox down now and then, so that a crash loses little.
    pub(super) async fn keep(self, sandbox: Arc<Sandbox>, stop: impl Future<Output = ()>) {
        if !self.kept {
            return;
        }
        let mut stop = std::pin::pin!(stop);
        let mut last = trace(&sandbox);
        loop {
            tokio::select! {
                () = stop.as_mut() => return,
                () = tokio::time::sleep(KEEP_EVERY) => {}
            }
            let now = trace(&sandbox);
            if now != last {
                self.write(&sandbox);
                last = now;
            }
        }
    }

    fn write(&self, sandbox: &Sandbox) {
        let state = json!({ "webhook_secret": self.webhook_secret(), "sandbox": sandbox.snapshot() });
        let (draft, kept) = (self.path.join("sandbox.json.new"), self.path.join(KEPT));
        let written = std::fs::write(&draft, state.to_string()).and_then(|()| std::fs::rename(&draft, &kept));
        if let Err(error) = written {
            tracing::error!(%error, "the sandbox's state could not be kept");
        }
    }

    /// Keeps or removes, and says which.
    pub(super) fn leave(&self, sandbox: &Sandbox) -> String {
        let shown = self.path.display();
        if self.kept {
            self.write(sandbox);
            return format!(
                "\nStopped. Everything is kept in {shown}; `quittance dev --data {shown}` goes on from there."
            );
        }
        match std::fs::remove_dir_all(&self.path) {
            Ok(()) => format!("\nStopped. {shown} is removed; `--data DIR` would have kept it."),
            Err(error) => format!("\nStopped. {shown} could not be removed: {error}"),
        }
    }
}

const KEPT: &str = "sandbox.json";

fn read_kept(folder: &Path) -> Result<Option<Arc<Value>>, Failure> {
    let path = folder.join(KEPT);
    let damaged = |why: String| {
        Failure::problem(
            "sandbox_state",
            format!("{} cannot be read: {why}", path.display()),
            "Remove the folder, or name another with --data, to start from nothing.",
        )
    };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(|kept| Some(Arc::new(kept)))
            .map_err(|e| damaged(e.to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Changes whenever the sandbox did something. Looks only at what no call is needed for: calls are counted, and
/// developers read the counts.
fn trace(sandbox: &Sandbox) -> (u64, Ledger) {
    (sandbox.provider_calls().values().sum(), Ledger { now: 0, ..sandbox.ledger() })
}

/// The endpoint of another run listened on another port.
fn move_endpoint(sandbox: &Sandbox) {
    let Some(target) = sandbox.config().webhook.clone() else { return };
    let all =
        sandbox.handle(HttpRequest::new("GET", "/v1/webhook_endpoints", SANDBOX_KEY, "limit=100")).value();
    for endpoint in all.get("data").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| endpoint.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("url") != target.url && text("url").ends_with("/webhooks/stripe") {
            let path = format!("/v1/webhook_endpoints/{}", text("id"));
            let form = format!("url={}", target.url);
            let _moved = sandbox.handle(HttpRequest::new("POST", &path, SANDBOX_KEY, &form));
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn random_hex(bytes: usize) -> Result<String, Failure> {
    let mut random = vec![0_u8; bytes];
    getrandom::fill(&mut random).map_err(|error| {
        Failure::problem(
            "random",
            format!("the system gives no random numbers: {error}"),
            "Start it again in a moment.",
        )
    })?;
    Ok(hex::encode(random))
}

#[cfg(unix)]
fn only_for_us(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn only_for_us(_path: &Path) -> std::io::Result<()> {
    Ok(())
}
