//! Where tests keep what lives for minutes: in memory where there is room for it, so that no disk sets their pace.
//!
//! What tests show of crashes is that of processes, whose files a memory file system keeps as a disk does; power fails in the
//! simulator only. Refuses to know: what is kept there.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// A file system in memory that each process may write to.
const MEMORY: &str = "/dev/shm";
/// With less room than this memory is left alone, in bytes; how much all tests need at a time was not measured.
const ENOUGH: u64 = 4 << 30;

/// The folder for temporary folders: the one that the caller named (`TMPDIR`), else in memory where there is enough of it.
#[must_use]
pub fn parent() -> PathBuf {
    if std::env::var_os("TMPDIR").is_none() && has_room(Path::new(MEMORY), ENOUGH) {
        return PathBuf::from(MEMORY);
    }
    std::env::temp_dir()
}

/// Whether a folder can be written to and has so many bytes left.
fn has_room(folder: &Path, bytes: u64) -> bool {
    let free = rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    free >= bytes && tempfile::tempfile_in(folder).is_ok()
}

/// A folder for the temporary files of one run's children; dropped, it goes with all that they left.
pub struct Scratch(TempDir);

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn make() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("quittance-tests-").tempdir_in(parent());
        let folder = folder.context("no folder could be made for temporary files")?;
        // As the system's own: some tests become another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777))?;
        Ok(Self(folder))
    }

    /// What a child's environment says about it.
    #[must_use]
    pub fn variable(&self) -> (&'static str, &OsStr) {
        ("TMPDIR", self.0.path().as_os_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_small_or_not_there_is_not_taken() {
        assert!(has_room(&std::env::temp_dir(), 1));
        assert!(!has_room(&std::env::temp_dir(), u64::MAX));
        assert!(!has_room(Path::new("/nowhere/at/all"), 0));
    }

    #[test]
    fn children_find_it_and_it_goes_with_what_they_left() {
        let scratch = Scratch::make().unwrap();
        let (name, folder) = scratch.variable();
        let folder = PathBuf::from(folder);
        assert_eq!(name, "TMPDIR");
        fs::write(folder.join("left"), "something").unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o1777);
        drop(scratch);
        assert!(!folder.exists());
    }
}
