//! The part of WASI preview 1 that a room needs, for guests built with a standard library on top of it. No
//! function reaches the system: the clock is the event's time, the random numbers are the room's, and output
//! on standard output and error becomes log lines.
//!
//! All other functions return an error number, like a system without files and sockets.

use alloc::{string::String, vec::Vec};
use core::str;

use stateroom_core::LogLevel;
use wasmi::{
    Caller, Error, FuncType, Val,
    ValType::{self, I32, I64},
};

use super::Imports;
use crate::{
    TrapReason,
    operation::{Operation, PIECE, What},
    state::{GuestMemory, State, charge, random_cost},
};

const MODULE: &str = "wasi_snapshot_preview1";

// Error numbers of WASI preview 1 (`errno`).
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const INVAL: i32 = 28;
const NOSYS: i32 = 52;

/// The maximum number of pieces of one `fd_write`. Systems allow as many (POSIX, `IOV_MAX`).
const MOST_PIECES: u32 = 1024;

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.add(MODULE, "clock_time_get", clock_time_get)?;
    imports.add(MODULE, "clock_res_get", clock_res_get)?;
    imports.add(MODULE, "random_get", random_get)?;
    imports.add(MODULE, "fd_write", fd_write)?;
    imports.add(MODULE, "environ_sizes_get", nothing_sizes)?;
    imports.add(MODULE, "environ_get", nothing)?;
    imports.add(MODULE, "args_sizes_get", nothing_sizes)?;
    imports.add(MODULE, "args_get", nothing)?;
    imports.add(MODULE, "sched_yield", sched_yield)?;
    imports.add(MODULE, "proc_exit", proc_exit)?;
    for (name, parameters, errno) in UNSUPPORTED {
        let ty = FuncType::new(parameters.iter().copied(), [I32]);
        imports.types.push((MODULE, name, ty.clone()));
        imports.linker.func_new(MODULE, name, ty, move |mut caller, _, results| {
            charge(&mut caller, 0);
            results[0] = Val::I32(errno);
            Ok(())
        })?;
    }
    Ok(())
}

fn clock_time_get(
    mut caller: Caller<'_, State>,
    _clock: u32,
    _precision: u64,
    at: u32,
) -> Result<i32, Error> {
    let nanoseconds = caller.data().now_ms.wrapping_mul(1_000_000);
    let (mut memory, _) = GuestMemory::of(&mut caller, 8)?;
    memory.write(at, nanoseconds.to_le_bytes())?;
    Ok(SUCCESS)
}

fn clock_res_get(mut caller: Caller<'_, State>, _clock: u32, at: u32) -> Result<i32, Error> {
    let (mut memory, _) = GuestMemory::of(&mut caller, 8)?;
    memory.write(at, 1_000_000_u64.to_le_bytes())?;
    Ok(SUCCESS)
}

fn random_get(mut caller: Caller<'_, State>, at: u32, len: u32) -> Result<i32, Error> {
    if len > PIECE {
        return Err(Operation::begin(caller, What::WasiRandom, at, len));
    }
    let (mut memory, state) = GuestMemory::of(&mut caller, random_cost(len))?;
    state.random.fill(memory.bytes_mut(at, len)?);
    Ok(SUCCESS)
}

/// Writes the pieces that `count` pairs of address and length at `pieces` describe: each line becomes a log
/// line. Of more than [`PIECE`] bytes it writes the first, as a pipe does that is full, and the guest comes
/// again with the rest.
fn fd_write(
    mut caller: Caller<'_, State>,
    fd: u32,
    pieces: u32,
    count: u32,
    written_at: u32,
) -> Result<i32, Error> {
    charge(&mut caller, 0);
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        _ => return Ok(BADF),
    };
    if count > MOST_PIECES {
        return Ok(INVAL);
    }
    let limit = caller.data().limits.message_size;
    let (memory, _) = GuestMemory::of(&mut caller, count * 8)?;
    let pairs = memory.bytes(pieces, count * 8)?;
    let (mut written, mut size) = (Vec::new(), 0);
    for pair in pairs.chunks_exact(8) {
        let word =
            |from: usize| u32::from_le_bytes([pair[from], pair[from + 1], pair[from + 2], pair[from + 3]]);
        let piece = memory.bytes(word(0), word(4))?;
        size += piece.len();
        if size > limit {
            return Err(TrapReason::MessageTooLarge { size, limit }.into());
        }
        let room = PIECE as usize - written.len();
        written.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    if size > written.len() {
        written.truncate(whole_characters(&written));
    }
    // At most a piece.
    let len = u32::try_from(written.len()).unwrap_or(u32::MAX);
    let (mut memory, State { effects, limits, .. }) = GuestMemory::of(&mut caller, len)?;
    memory.write(written_at, len.to_le_bytes())?;
    effects.print(level, &String::from_utf8_lossy(&written), limits)?;
    Ok(SUCCESS)
}

/// Returns the length of these bytes without an incomplete character at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(4).position(|byte| byte & 0xc0 != 0x80);
    let begin = last.map_or(bytes.len(), |last| bytes.len() - 1 - last);
    match str::from_utf8(&bytes[begin..]) {
        Err(error) if error.error_len().is_none() => begin,
        _ => bytes.len(),
    }
}

/// Writes that there are no arguments and no environment: both the count and the size are 0.
fn nothing_sizes(mut caller: Caller<'_, State>, count_at: u32, size_at: u32) -> Result<i32, Error> {
    let (mut memory, _) = GuestMemory::of(&mut caller, 8)?;
    memory.write(count_at, 0_u32.to_le_bytes())?;
    memory.write(size_at, 0_u32.to_le_bytes())?;
    Ok(SUCCESS)
}

fn nothing(mut caller: Caller<'_, State>, _pointers: u32, _bytes: u32) -> i32 {
    charge(&mut caller, 0);
    SUCCESS
}

fn sched_yield(mut caller: Caller<'_, State>) -> i32 {
    charge(&mut caller, 0);
    SUCCESS
}

fn proc_exit(code: i32) -> Result<(), Error> {
    Err(TrapReason::Exited { code }.into())
}

/// The rest of preview 1: name, parameters, and the error number that it answers with.
const UNSUPPORTED: [(&str, &[ValType], i32); 36] = [
    ("fd_advise", &[I32, I64, I64, I32], BADF),
    ("fd_allocate", &[I32, I64, I64], BADF),
    ("fd_close", &[I32], BADF),
    ("fd_datasync", &[I32], BADF),
    ("fd_fdstat_get", &[I32, I32], BADF),
    ("fd_fdstat_set_flags", &[I32, I32], BADF),
    ("fd_fdstat_set_rights", &[I32, I64, I64], BADF),
    ("fd_filestat_get", &[I32, I32], BADF),
    ("fd_filestat_set_size", &[I32, I64], BADF),
    ("fd_filestat_set_times", &[I32, I64, I64, I32], BADF),
    ("fd_pread", &[I32, I32, I32, I64, I32], BADF),
    ("fd_prestat_dir_name", &[I32, I32, I32], BADF),
    ("fd_prestat_get", &[I32, I32], BADF),
    ("fd_pwrite", &[I32, I32, I32, I64, I32], BADF),
    ("fd_read", &[I32, I32, I32, I32], BADF),
    ("fd_readdir", &[I32, I32, I32, I64, I32], BADF),
    ("fd_renumber", &[I32, I32], BADF),
    ("fd_seek", &[I32, I64, I32, I32], BADF),
    ("fd_sync", &[I32], BADF),
    ("fd_tell", &[I32, I32], BADF),
    ("path_create_directory", &[I32, I32, I32], BADF),
    ("path_filestat_get", &[I32, I32, I32, I32, I32], BADF),
    ("path_filestat_set_times", &[I32, I32, I32, I32, I64, I64, I32], BADF),
    ("path_link", &[I32, I32, I32, I32, I32, I32, I32], BADF),
    ("path_open", &[I32, I32, I32, I32, I32, I64, I64, I32, I32], BADF),
    ("path_readlink", &[I32, I32, I32, I32, I32, I32], BADF),
    ("path_remove_directory", &[I32, I32, I32], BADF),
    ("path_rename", &[I32, I32, I32, I32, I32, I32], BADF),
    ("path_symlink", &[I32, I32, I32, I32, I32], BADF),
    ("path_unlink_file", &[I32, I32, I32], BADF),
    ("poll_oneoff", &[I32, I32, I32, I32], NOSYS),
    ("proc_raise", &[I32], NOSYS),
    ("sock_accept", &[I32, I32, I32], BADF),
    ("sock_recv", &[I32, I32, I32, I32, I32, I32], BADF),
    ("sock_send", &[I32, I32, I32, I32, I32], BADF),
    ("sock_shutdown", &[I32, I32], BADF),
];
