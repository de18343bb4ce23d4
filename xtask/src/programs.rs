//! Which programs this machine has, and who we are on it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::interrupt::output;

/// The first of these programs that the path holds.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names.iter().find_map(|name| {
        env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
    })
}

/// Whether the program starts and succeeds with these arguments.
pub fn works(program: &Path, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A user of this machine, by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct User {
    /// The user's id.
    pub uid: u32,
    /// The id of the user's main group.
    pub gid: u32,
}

/// Whether we run as root.
pub fn is_root() -> Result<bool> {
    Ok(id(&["-u"])? == 0)
}

/// The user with this name, if there is one.
pub fn user(name: &str) -> Option<User> {
    Some(User { uid: id(&["-u", name]).ok()?, gid: id(&["-g", name]).ok()? })
}

fn id(arguments: &[&str]) -> Result<u32> {
    let text = output(Command::new("id").args(arguments))?;
    text.trim().parse().with_context(|| format!("`id` answered {text:?}"))
}
