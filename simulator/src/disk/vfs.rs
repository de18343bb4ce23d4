//! What SQLite calls: pointers in, [`super::State`] asked, result codes out. Nothing is decided here.
//!
//! It is the process's default file system, and hands every path that is not under [`super::ROOT`] to the one before.
#![allow(unsafe_code, reason = "SQLite knows a file system only as a table of C functions")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ops::Range;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use rusqlite::ffi;

use super::{Answer, Disk, File, PROCESS, Process, ROOT, State, disks};

/// An open file.
struct Handle {
    disk: Disk,
    name: String,
    id: u64,
}

/// The part that SQLite allocates for us: its own head first (c3ref/file.html).
#[repr(C)]
struct Opened {
    head: ffi::sqlite3_file,
    handle: *mut Handle,
}

/// The file system before us, as an address that threads may share.
struct Before(usize);
static BEFORE: OnceLock<Before> = OnceLock::new();

fn before() -> *mut ffi::sqlite3_vfs {
    BEFORE.get().map_or(null_mut(), |before| before.0 as *mut ffi::sqlite3_vfs)
}

/// Makes simulated disks known to SQLite in this process.
pub(super) fn register() -> Result<(), String> {
    // SAFETY: SQLite returns its own default, which lives as long as the process.
    let system = unsafe { ffi::sqlite3_vfs_find(null()) };
    if system.is_null() {
        return Err("SQLite has no file system to begin with".to_owned());
    }
    BEFORE.get_or_init(|| Before(system as usize));
    // SAFETY: checked above; the table is read, not kept.
    let mut table = unsafe { *system };
    let own_size = c_int::try_from(std::mem::size_of::<Opened>()).unwrap_or(c_int::MAX);
    table.szOsFile = table.szOsFile.max(own_size);
    table.pNext = null_mut();
    table.zName = c"quittance-simulated".as_ptr();
    table.xOpen = Some(open);
    table.xDelete = Some(delete);
    table.xAccess = Some(access);
    table.xFullPathname = Some(full_path);
    table.xSleep = Some(sleep);
    let table = Box::leak(Box::new(table));
    // SAFETY: the table lives as long as the process.
    match unsafe { ffi::sqlite3_vfs_register(table, 1) } {
        ffi::SQLITE_OK => Ok(()),
        code => Err(format!("SQLite refuses simulated disks (code {code})")),
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The disk and the name on it, when the path is one of ours.
fn ours(path: *const c_char) -> Option<(Disk, String)> {
    if path.is_null() {
        return None;
    }
    // SAFETY: SQLite gives a terminated string.
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    let (number, name) = path.strip_prefix(ROOT)?.split_once('/')?;
    let disk = disks().get(&number.parse().ok()?).cloned()?;
    Some((disk, name.to_owned()))
}

fn code(answer: Answer<()>) -> c_int {
    answer.err().unwrap_or(ffi::SQLITE_OK)
}

/// The handle of an open file.
///
/// # Safety
/// `file` was opened by [`open`] and not closed.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a Handle {
    // SAFETY: by the caller's promise.
    unsafe { &*(*file.cast::<Opened>()).handle }
}

impl Handle {
    fn with<T>(&self, f: impl FnOnce(&mut State, Process) -> T) -> T {
        let mut state = self.disk.state();
        let process = state.owner(self.id);
        f(&mut state, process)
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let Some((disk, name)) = ours(name) else {
        let system = before();
        // SAFETY: the system's own function with its own table; `file` is large enough for it.
        return unsafe {
            match (*system).xOpen {
                Some(open) => open(system, name, file, flags, out_flags),
                None => ffi::SQLITE_CANTOPEN,
            }
        };
    };
    let process = PROCESS.get();
    let opened = {
        let mut state = disk.state();
        let missing = !state.files.contains_key(&name);
        if state.admit(process).is_err() || (missing && flags & ffi::SQLITE_OPEN_CREATE == 0) {
            Err(ffi::SQLITE_CANTOPEN)
        } else {
            state.files.entry(name.clone()).or_insert_with(File::default);
            Ok(state.opened(process))
        }
    };
    // SAFETY: SQLite allocated `szOsFile` bytes at `file`; `out_flags` is null or writable.
    unsafe {
        let place = file.cast::<Opened>();
        (*place).head.pMethods = null();
        match opened {
            Err(code) => code,
            Ok(id) => {
                (*place).handle = Box::into_raw(Box::new(Handle { disk, name, id }));
                (*place).head.pMethods = &METHODS;
                if !out_flags.is_null() {
                    *out_flags = flags;
                }
                ffi::SQLITE_OK
            }
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: opened by `open`, and closed once.
    let handle = unsafe { Box::from_raw((*file.cast::<Opened>()).handle) };
    handle.with(|state, _| state.unlock(&handle.name, handle.id, ffi::SQLITE_LOCK_NONE));
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file, and a buffer of `amount` bytes.
    let (handle, buffer) = unsafe {
        let amount = usize::try_from(amount).unwrap_or(0);
        (handle(file), std::slice::from_raw_parts_mut(buffer.cast::<u8>(), amount))
    };
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    handle.with(|state, process| {
        if let Err(code) = state.admit(process) {
            return code;
        }
        let data = state.files.get(&handle.name).map_or(&[][..], |file| &file.data);
        let rest = data.get(at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        let (filled, missing) = buffer.split_at_mut(count);
        filled.copy_from_slice(rest.get(..count).unwrap_or_default());
        missing.fill(0);
        if missing.is_empty() { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
    })
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: an open file, and a buffer of `amount` bytes.
    let (handle, bytes) = unsafe {
        let amount = usize::try_from(amount).unwrap_or(0);
        (handle(file), std::slice::from_raw_parts(buffer.cast::<u8>(), amount))
    };
    let Ok(at) = usize::try_from(offset) else { return ffi::SQLITE_IOERR_WRITE };
    code(handle.with(|state, process| state.write(process, &handle.name, at, bytes)))
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let Ok(size) = usize::try_from(size) else { return ffi::SQLITE_IOERR_TRUNCATE };
    code(handle.with(|state, process| state.resize(process, &handle.name, size)))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    code(handle.with(|state, process| state.flush(process, &handle.name)))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file, and a place for the size.
    unsafe {
        let handle = handle(file);
        let length = handle.with(|state, _| state.files.get(&handle.name).map_or(0, |file| file.data.len()));
        *size = ffi::sqlite3_int64::try_from(length).unwrap_or(0);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    code(handle.with(|state, process| state.lock(process, &handle.name, handle.id, level)))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    handle.with(|state, _| state.unlock(&handle.name, handle.id, level));
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: an open file, and a place for the answer.
    unsafe {
        let handle = handle(file);
        *out = handle.with(|state, _| {
            let file = state.files.get(&handle.name);
            let reserved = |file: &File| file.locks.values().any(|level| *level >= ffi::SQLITE_LOCK_RESERVED);
            c_int::from(file.is_some_and(reserved))
        });
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    c_int::try_from(super::SECTOR).unwrap_or(512)
}

/// Overwriting one part of a sector harms no other part; nothing else is promised, as on a real disk.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file, and a place for the pointer. A region is never moved or shrunk while a database is open.
    unsafe {
        *out = null_mut();
        let handle = handle(file);
        let (Ok(index), Ok(size)) = (usize::try_from(region), usize::try_from(size)) else {
            return ffi::SQLITE_IOERR_SHMMAP;
        };
        handle.with(|state, process| {
            if let Err(code) = state.admit(process) {
                return code;
            }
            let regions = &mut state.shared.entry(handle.name.clone()).or_default().regions;
            while extend != 0 && regions.len() <= index {
                regions.push(vec![0; size].into_boxed_slice());
            }
            if let Some(region) = regions.get_mut(index) {
                *out = region.as_mut_ptr().cast();
            }
            ffi::SQLITE_OK
        })
    }
}

fn slots(offset: c_int, count: c_int) -> Range<u32> {
    let start = u32::try_from(offset).unwrap_or(0);
    start..start.saturating_add(u32::try_from(count).unwrap_or(0))
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    let slots = slots(offset, count);
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        handle.with(|state, _| state.unlock_shared(&handle.name, handle.id, slots));
        return ffi::SQLITE_OK;
    }
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    code(handle.with(|state, process| state.lock_shared(process, &handle.name, handle.id, slots, exclusive)))
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, remove: c_int) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    handle.with(|state, _| {
        state.unlock_shared(&handle.name, handle.id, 0..8);
        if remove != 0 {
            state.shared.remove(&handle.name);
        }
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    let Some((disk, name)) = ours(name) else {
        let system = before();
        // SAFETY: the system's own function with its own table.
        return unsafe {
            match (*system).xDelete {
                Some(delete) => delete(system, name, sync),
                None => ffi::SQLITE_IOERR_DELETE,
            }
        };
    };
    let mut state = disk.state();
    if let Err(code) = state.admit(PROCESS.get()) {
        return code;
    }
    state.files.remove(&name).map_or(ffi::SQLITE_IOERR_DELETE_NOENT, |_| ffi::SQLITE_OK)
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let Some((disk, name)) = ours(name) else {
        let system = before();
        // SAFETY: the system's own function with its own table.
        return unsafe {
            match (*system).xAccess {
                Some(access) => access(system, name, flags, out),
                None => ffi::SQLITE_IOERR_ACCESS,
            }
        };
    };
    let there = disk.state().files.get(&name).is_some_and(|file| !file.data.is_empty());
    // SAFETY: a place for the answer.
    unsafe { *out = c_int::from(there) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_path(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    size: c_int,
    out: *mut c_char,
) -> c_int {
    if ours(name).is_none() {
        let system = before();
        // SAFETY: the system's own function with its own table.
        return unsafe {
            match (*system).xFullPathname {
                Some(full_path) => full_path(system, name, size, out),
                None => ffi::SQLITE_CANTOPEN,
            }
        };
    }
    // SAFETY: `out` has `size` bytes, and the name with its end is copied only if it fits.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > usize::try_from(size).unwrap_or(0) {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

/// Waiting for a lock takes no real time: whoever holds it in this world holds it for so many tries.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}
