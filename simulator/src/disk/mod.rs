//! A disk in memory that SQLite believes: it knows what was flushed, so that power can fail at any flush and take
//! what was not; it can be full, fail, or be locked by somebody else.
//!
//! Specification: sqlite.org/c3ref/io_methods.html and sqlite.org/walformat.html. [`vfs`] is the shim that SQLite calls;
//! everything that decides is here. Names of files are durable at once; their contents only after a flush.

mod vfs;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::ffi;

use crate::chance::Chance;

/// Where simulated databases are: `/simulated-disk/{number}/…`.
const ROOT: &str = "/simulated-disk/";
/// The unit in which a torn write is torn, in bytes.
const SECTOR: usize = 512;

/// Who uses the disk: a process that can die.
pub type Process = u64;
/// The checkers: no trouble touches them.
pub const AUDITOR: Process = 0;

thread_local! {
    static PROCESS: Cell<Process> = const { Cell::new(AUDITOR) };
}

/// From now on this thread acts for a process.
pub fn act_as(process: Process) {
    PROCESS.set(process);
}

/// What goes wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// No room for what is written.
    Full,
    /// A write fails.
    WriteFails,
    /// A flush fails; what it should have kept may be kept or not.
    FlushFails,
    /// Another program holds the write lock.
    Busy,
    /// The process dies in the middle of its writing; what it wrote stays.
    Killed,
    /// Power fails at a flush: what was not flushed before may be gone, whole or in part.
    PowerFails,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Full, Self::WriteFails, Self::FlushFails, Self::Busy, Self::Killed, Self::PowerFails];

    /// The word in traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "disk full",
            Self::WriteFails => "write fails",
            Self::FlushFails => "flush fails",
            Self::Busy => "database busy",
            Self::Killed => "killed while writing",
            Self::PowerFails => "power fails at a flush",
        }
    }
}

/// A trouble that waits for its moment.
#[derive(Debug, Clone, Copy)]
struct Trap {
    trouble: Trouble,
    /// Operations of its kind that still go well.
    after: u32,
    /// How often it strikes.
    times: u32,
}

/// What a disk did to those who used it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Casualty {
    /// This process died.
    Process(Process),
    /// The machine did.
    Power,
}

/// A change that is not flushed, with what it takes to undo it: only a power failure asks, so that is all that is kept.
#[derive(Clone)]
enum Unflushed {
    /// Bytes were written at a place over `before`; the file had `size` bytes.
    Write { at: usize, length: usize, before: Vec<u8>, size: usize },
    /// The file was shortened by `before`, or made longer; it had `size` bytes.
    Size { to: usize, before: Vec<u8>, size: usize },
}

/// A change as it was made.
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

#[derive(Clone, Default)]
struct File {
    data: Vec<u8>,
    unflushed: Vec<Unflushed>,
    locks: BTreeMap<u64, i32>,
}

fn write_at(data: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at.saturating_add(bytes.len());
    if data.len() < end {
        data.resize(end, 0);
    }
    if let Some(place) = data.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}

/// What stands at a place, as far as the file reaches.
fn bytes_at(data: &[u8], at: usize, length: usize) -> Vec<u8> {
    let rest = data.get(at..).unwrap_or_default();
    rest.get(..length).unwrap_or(rest).to_vec()
}

impl Change {
    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => write_at(data, *at, bytes),
            Self::Size(size) => data.resize(*size, 0),
        }
    }
}

impl File {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        let (size, before) = (self.data.len(), bytes_at(&self.data, at, bytes.len()));
        write_at(&mut self.data, at, bytes);
        self.unflushed.push(Unflushed::Write { at, length: bytes.len(), before, size });
    }

    fn resize(&mut self, to: usize) {
        let (size, before) = (self.data.len(), self.data.get(to..).unwrap_or_default().to_vec());
        self.data.resize(to, 0);
        self.unflushed.push(Unflushed::Size { to, before, size });
    }

    fn flush(&mut self) {
        self.unflushed.clear();
    }

    /// Undoes what was not flushed; the changes, oldest first.
    fn undo(&mut self) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.unflushed.len());
        for change in std::mem::take(&mut self.unflushed).into_iter().rev() {
            match change {
                Unflushed::Write { at, length, before, size } => {
                    changes.push(Change::Write { at, bytes: bytes_at(&self.data, at, length) });
                    write_at(&mut self.data, at, &before);
                    self.data.truncate(size);
                }
                Unflushed::Size { to, before, size } => {
                    changes.push(Change::Size(to));
                    write_at(&mut self.data, to.min(size), &before);
                    self.data.truncate(size);
                }
            }
        }
        changes.reverse();
        changes
    }

    /// Keeps what was flushed, and of the rest what chance leaves.
    fn lose_power(&mut self, chance: &mut Chance) {
        for change in self.undo() {
            match (chance.below(3), change) {
                (0, _) => {}
                (1, Change::Write { at, mut bytes }) => {
                    let sectors = (bytes.len() / SECTOR) as u64;
                    bytes.truncate(usize::try_from(chance.below(sectors + 1)).unwrap_or(0) * SECTOR);
                    write_at(&mut self.data, at, &bytes);
                }
                (_, change) => change.apply(&mut self.data),
            }
        }
        self.locks.clear();
    }
}

/// The memory that the connections of one database share, and its eight locks.
#[derive(Default)]
struct Shared {
    regions: Vec<Box<[u8]>>,
    locks: BTreeMap<u32, Locked>,
}

#[derive(Default)]
struct Locked {
    exclusive: Option<u64>,
    shared: Vec<u64>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    shared: BTreeMap<String, Shared>,
    /// Whose each file is that was opened, by its handle.
    owners: Vec<Process>,
    trap: Option<Trap>,
    dead: Vec<Process>,
    casualties: Vec<Casualty>,
    power_lost: bool,
    writes: u64,
}

/// A simulated disk. Cheap to clone.
#[derive(Clone, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

fn disks() -> MutexGuard<'static, BTreeMap<u64, Disk>> {
    static DISKS: Mutex<BTreeMap<u64, Disk>> = Mutex::new(BTreeMap::new());
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mounted disk: databases under [`Mount::url`] live on it until it is dropped.
pub struct Mount {
    number: u64,
    /// The disk.
    pub disk: Disk,
}

impl Mount {
    /// The address of the database on this disk.
    #[must_use]
    pub fn url(&self) -> String {
        format!("sqlite://{ROOT}{}/quittance.db", self.number)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        disks().remove(&self.number);
    }
}

type Answer<T> = Result<T, i32>;

impl Disk {
    /// Makes the disk's databases reachable in this process.
    ///
    /// # Errors
    /// When SQLite refuses to know simulated disks.
    pub fn mount(self) -> Result<Mount, String> {
        static REGISTERED: OnceLock<Result<(), String>> = OnceLock::new();
        static NEXT: Mutex<u64> = Mutex::new(1);
        REGISTERED.get_or_init(vfs::register).clone()?;
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *next;
        *next += 1;
        disks().insert(number, self.clone());
        Ok(Mount { number, disk: self })
    }

    /// Another disk with the same contents, all of it flushed.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copied = Self::default();
        let from = self.state();
        let files = from
            .files
            .iter()
            .map(|(name, file)| (name.clone(), File { data: file.data.clone(), ..File::default() }));
        copied.state().files = files.collect();
        copied
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes so far: whether anything can have changed.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// Sets a trap: after so many operations of its kind, the trouble strikes so many times.
    pub fn set_trap(&self, trouble: Trouble, after: u32, times: u32) {
        self.state().trap = Some(Trap { trouble, after, times: times.max(1) });
    }

    /// Takes a trap away that has not struck, or not often enough.
    pub fn clear_trap(&self) {
        self.state().trap = None;
    }

    /// From now on nothing of this process reaches the disk.
    pub fn cut_off(&self, process: Process) {
        self.state().dead.push(process);
    }

    /// What one process had open is another's from now on.
    pub fn hand_over(&self, from: Process, to: Process) {
        let mut state = self.state();
        state.owners.iter_mut().filter(|owner| **owner == from).for_each(|owner| *owner = to);
    }

    /// Who died on this disk since the last call.
    #[must_use]
    pub fn take_casualties(&self) -> Vec<Casualty> {
        std::mem::take(&mut self.state().casualties)
    }

    /// Power comes back: what was flushed is there, the rest as chance has it. Everybody must have let go.
    pub fn power_returns(&self, chance: &mut Chance) {
        let mut state = self.state();
        state.files.values_mut().for_each(|file| file.lose_power(chance));
        state.shared.clear();
        state.dead.clear();
        state.casualties.clear();
        state.power_lost = false;
        state.trap = None;
    }

    /// Power fails now, and not at a flush.
    pub fn fail_power(&self) {
        let mut state = self.state();
        state.power_lost = true;
        state.casualties.push(Casualty::Power);
    }
}

impl State {
    /// Names a file that is opened.
    fn opened(&mut self, process: Process) -> u64 {
        self.owners.push(process);
        self.owners.len() as u64 - 1
    }

    fn owner(&self, handle: u64) -> Process {
        let index = usize::try_from(handle).unwrap_or(usize::MAX);
        self.owners.get(index).copied().unwrap_or(AUDITOR)
    }

    /// Whether this process can use the disk at all.
    fn admit(&self, process: Process) -> Answer<()> {
        if self.power_lost || self.dead.contains(&process) { Err(ffi::SQLITE_IOERR) } else { Ok(()) }
    }

    /// Whether the trap strikes at this operation.
    fn strikes(&mut self, process: Process, suits: impl Fn(Trouble) -> bool) -> Option<Trouble> {
        let trap = self.trap.as_mut().filter(|trap| process != AUDITOR && suits(trap.trouble))?;
        if trap.after > 0 {
            trap.after -= 1;
            return None;
        }
        let trouble = trap.trouble;
        trap.times -= 1;
        if trap.times == 0 {
            self.trap = None;
        }
        Some(trouble)
    }

    fn die(&mut self, process: Process) -> i32 {
        self.dead.push(process);
        self.casualties.push(Casualty::Process(process));
        ffi::SQLITE_IOERR
    }

    fn write(&mut self, process: Process, name: &str, at: usize, bytes: &[u8]) -> Answer<()> {
        self.admit(process)?;
        let suits = |trouble| matches!(trouble, Trouble::Full | Trouble::WriteFails | Trouble::Killed);
        match self.strikes(process, suits) {
            Some(Trouble::Full) => return Err(ffi::SQLITE_FULL),
            Some(Trouble::Killed) => return Err(self.die(process)),
            Some(Trouble::WriteFails) => return Err(ffi::SQLITE_IOERR_WRITE),
            Some(Trouble::FlushFails | Trouble::Busy | Trouble::PowerFails) | None => {}
        }
        self.writes += 1;
        let file = self.files.get_mut(name).ok_or(ffi::SQLITE_IOERR_WRITE)?;
        file.write(at, bytes);
        Ok(())
    }

    fn resize(&mut self, process: Process, name: &str, size: usize) -> Answer<()> {
        self.admit(process)?;
        self.writes += 1;
        let file = self.files.get_mut(name).ok_or(ffi::SQLITE_IOERR_TRUNCATE)?;
        file.resize(size);
        Ok(())
    }

    fn flush(&mut self, process: Process, name: &str) -> Answer<()> {
        self.admit(process)?;
        match self.strikes(process, |t| matches!(t, Trouble::FlushFails | Trouble::PowerFails)) {
            Some(Trouble::PowerFails) => {
                self.power_lost = true;
                self.casualties.push(Casualty::Power);
                return Err(ffi::SQLITE_IOERR_FSYNC);
            }
            Some(Trouble::FlushFails) => return Err(ffi::SQLITE_IOERR_FSYNC),
            Some(Trouble::Full | Trouble::WriteFails | Trouble::Busy | Trouble::Killed) | None => {}
        }
        self.files.get_mut(name).ok_or(ffi::SQLITE_IOERR_FSYNC)?.flush();
        Ok(())
    }

    /// The lock of a database file; one may write, and only alone.
    fn lock(&mut self, process: Process, name: &str, handle: u64, level: i32) -> Answer<()> {
        self.admit(process)?;
        let file = self.files.get_mut(name).ok_or(ffi::SQLITE_IOERR_LOCK)?;
        let highest = file.locks.iter().filter(|(id, _)| **id != handle).map(|(_, level)| *level).max();
        let highest = highest.unwrap_or(ffi::SQLITE_LOCK_NONE);
        let free = match level {
            ffi::SQLITE_LOCK_SHARED => highest < ffi::SQLITE_LOCK_PENDING,
            ffi::SQLITE_LOCK_RESERVED => highest < ffi::SQLITE_LOCK_RESERVED,
            _ => highest < ffi::SQLITE_LOCK_SHARED,
        };
        if !free {
            return Err(ffi::SQLITE_BUSY);
        }
        file.locks.insert(handle, level);
        Ok(())
    }

    fn unlock(&mut self, name: &str, handle: u64, level: i32) {
        if let Some(file) = self.files.get_mut(name) {
            if level == ffi::SQLITE_LOCK_NONE {
                file.locks.remove(&handle);
            } else {
                file.locks.insert(handle, level);
            }
        }
    }

    /// A lock of the shared memory. `offset` 0 is the lock of whoever writes (walformat section 2.3).
    fn lock_shared(
        &mut self,
        process: Process,
        name: &str,
        handle: u64,
        slots: std::ops::Range<u32>,
        exclusive: bool,
    ) -> Answer<()> {
        self.admit(process)?;
        let writes = exclusive && slots.start == 0;
        if writes && self.strikes(process, |trouble| trouble == Trouble::Busy).is_some() {
            return Err(ffi::SQLITE_BUSY);
        }
        let locks = &mut self.shared.entry(name.to_owned()).or_default().locks;
        let free = slots.clone().all(|slot| {
            locks.get(&slot).is_none_or(|held| {
                let others_write = held.exclusive.is_some_and(|id| id != handle);
                let others_read = held.shared.iter().any(|id| *id != handle);
                !(others_write || exclusive && others_read)
            })
        });
        if !free {
            return Err(ffi::SQLITE_BUSY);
        }
        for slot in slots {
            let held = locks.entry(slot).or_default();
            if exclusive {
                held.exclusive = Some(handle);
            } else {
                held.shared.push(handle);
            }
        }
        Ok(())
    }

    fn unlock_shared(&mut self, name: &str, handle: u64, slots: std::ops::Range<u32>) {
        let Some(shared) = self.shared.get_mut(name) else { return };
        for (_, held) in shared.locks.range_mut(slots) {
            held.exclusive = held.exclusive.filter(|id| *id != handle);
            held.shared.retain(|id| *id != handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The changes of a file beside a copy of it that was flushed: undoing them gives the copy, making them again the file.
    #[test]
    fn what_is_undone_is_what_was_flushed_and_what_is_made_again_is_what_was_written() {
        for seed in 0..200 {
            let mut chance = Chance::new(seed, "file");
            let mut file = File::default();
            let mut flushed = Vec::new();
            for _ in 0..40 {
                let at = usize::try_from(chance.below(3_000)).unwrap_or(0);
                match chance.below(8) {
                    0 => file.resize(at),
                    1 => {
                        file.flush();
                        flushed.clone_from(&file.data);
                    }
                    _ => file.write(at, &vec![chance.bytes()[0]; at % 700]),
                }
            }
            let written = file.data.clone();
            let changes = file.undo();
            assert_eq!(file.data, flushed, "seed {seed}");
            changes.iter().for_each(|change| change.apply(&mut file.data));
            assert_eq!(file.data, written, "seed {seed}");
        }
    }
}
