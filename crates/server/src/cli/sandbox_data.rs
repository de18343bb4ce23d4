//! `quittance sandbox --data FILE`: the sandbox's state outlives its process.
//!
//! The file is a snapshot as JSON. It is replaced as a whole, so a process that is killed leaves the one before; knows
//! nothing of what is inside.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quittance_sandbox::Sandbox;
use tokio::sync::watch;

use crate::failure::Failure;

/// How often the file is written while things change.
const EVERY: Duration = Duration::from_secs(3);

/// The file, held by this process alone.
#[derive(Debug)]
pub(super) struct DataFile {
    path: PathBuf,
    _lock: File,
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

impl DataFile {
    /// Takes the file for this process. It need not be there yet.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let unusable = |error: std::io::Error| {
            Failure::problem(
                "data_file",
                format!("{shown} cannot be used: {error}"),
                "Name a file in a folder that exists and may be written with --data.",
            )
        };
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(beside(path, ".lock"));
        let lock = lock.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Failure::problem(
                "data_file",
                format!("Another sandbox keeps its state in {shown}."),
                "Stop that one, or name another file with --data.",
            )),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Brings back what the file holds. Whether there was anything.
    pub(super) fn load(&self, sandbox: &Sandbox) -> Result<bool, Failure> {
        let shown = self.path.display();
        let unreadable = |what: String| {
            Failure::problem(
                "data_file",
                format!("{shown} holds no state that can be loaded: {what}"),
                "Move it away to begin anew, or use the version of quittance that wrote it. It is unchanged.",
            )
        };
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let snapshot = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        sandbox.restore(&snapshot).map_err(|error| unreadable(error.to_string()))?;
        Ok(true)
    }

    /// Writes the state beside the file and puts it in its place.
    fn save(&self, sandbox: &Sandbox) -> std::io::Result<()> {
        let new = beside(&self.path, ".new");
        let mut file = File::create(&new)?;
        file.write_all(sandbox.snapshot().to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)
    }

    /// Writes the state whenever it has changed, until told to stop, and then once more.
    pub(super) async fn keep(
        self,
        sandbox: Arc<Sandbox>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let file = Arc::new(self);
        let mut saved = None;
        loop {
            let stopped = tokio::select! {
                _ = stop.changed() => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            let changes = sandbox.changes();
            if saved != Some(changes) {
                let (writer, state) = (Arc::clone(&file), Arc::clone(&sandbox));
                let written = tokio::task::spawn_blocking(move || writer.save(&state)).await;
                let written = written.map_err(std::io::Error::other).and_then(|written| written);
                match written {
                    Ok(()) => saved = Some(changes),
                    Err(error) if stopped => {
                        return Err(Failure::problem(
                            "data_file",
                            format!("The state was not written to {}: {error}", file.path.display()),
                            "Free some room or mend the folder; the file holds what was written before.",
                        ));
                    }
                    Err(error) => tracing::error!(%error, "the state of the sandbox was not written"),
                }
            }
            if stopped {
                return Ok(());
            }
        }
    }
}
