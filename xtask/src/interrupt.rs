//! Ctrl-C, and children that never outlive us.
//!
//! Every child runs in a process group of its own. The first SIGINT, SIGTERM or SIGHUP is passed on to those groups as
//! SIGTERM; the waiting task then returns with an error and its guards clean up. A second signal is passed on as SIGKILL.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::poll;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn groups() -> MutexGuard<'static, Vec<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts listening for signals, on a thread of its own.
pub fn install() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if let Err(error) = runtime.block_on(listen()) {
            eprintln!("warning: signals are not handled: {error}");
        }
    })?;
    Ok(())
}

async fn listen() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        let name = if INTERRUPTED.swap(true, Ordering::SeqCst) {
            "KILL"
        } else {
            eprintln!("\nstopping …");
            "TERM"
        };
        for group in groups().iter() {
            send(name, &format!("-{group}"));
        }
    }
}

/// Fails when a signal has asked us to stop.
pub fn check() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::SeqCst), "interrupted");
    Ok(())
}

/// Sends a signal through the shell's own `kill`, which is there on every Unix and needs no unsafe code.
fn send(name: &str, target: &str) {
    // A process that has already ended makes this fail, and then there is nothing left to do.
    let _ = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$0\" -- \"$1\"", name, target])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// A child in its own process group; dropped, the whole group ends.
pub struct Group {
    child: Child,
    ended: bool,
}

impl Group {
    /// Starts the command, unless a signal has asked us to stop.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        check()?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).spawn().with_context(|| format!("{program} did not start"))?;
        groups().push(child.id());
        let group = Self { child, ended: false };
        // A signal between the check and the push has missed this child: the drop of `group` ends it.
        check()?;
        Ok(group)
    }

    /// The process id of the child, which is the id of its group too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of the child.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait()?;
        self.forget();
        check()?;
        Ok(status)
    }

    /// The child's status when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        if status.is_some() {
            self.forget();
        }
        status
    }

    /// Asks the child itself with `signal` to end, and ends the whole group by force when it takes longer than `limit`.
    pub fn stop(&mut self, signal: &str, limit: Duration) {
        if self.ended {
            return;
        }
        send(signal, &self.id().to_string());
        if poll(limit, || self.ended()).is_none() {
            send("KILL", &format!("-{}", self.id()));
            let _ = self.child.wait();
            self.forget();
        }
    }

    /// Ends the child at once and without a warning, and waits until it is gone.
    pub fn kill(&mut self) {
        // One that has ended already is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.forget();
    }

    /// Whether the child has ended, and well.
    pub fn succeeded(&mut self) -> bool {
        self.child.try_wait().ok().flatten().is_some_and(|status| status.success())
    }

    fn forget(&mut self) {
        self.ended = true;
        let id = self.child.id();
        groups().retain(|group| *group != id);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.stop("TERM", Duration::from_secs(5));
    }
}

/// Runs a command to its end, with its output shown, and fails when it does.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = Group::spawn(command.stdin(Stdio::null()))?.wait()?;
    ensure!(status.success(), "`{shown}` failed ({status})");
    Ok(())
}

/// Runs a short command to its end and returns what it printed; fails, with its words, when it does.
pub fn output(command: &mut Command) -> Result<String> {
    check()?;
    let shown = shown(command);
    let output: Output =
        command.stdin(Stdio::null()).output().with_context(|| format!("`{shown}` did not start"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` failed ({}): {}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
