//! The imports of the documented interface and of modules made for Stateroom 0.4, and the import that
//! AssemblyScript adds automatically.

use alloc::{format, string::String};

use stateroom_core::{
    MessageRecipient,
    abi::{self, ENV, SEND_BINARY, SEND_MESSAGE, SET_TIMER},
};
use wasmi::{Caller, Error};

use super::{Imports, Paused};
use crate::{
    TrapReason,
    bincode::{self, Malformed, Request},
    operation::{Operation, PIECE, What},
    state::{GuestMemory, State, charge},
};

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.add(ENV, SEND_MESSAGE, send_message)?;
    imports.add(ENV, SEND_BINARY, send_binary)?;
    imports.add(ENV, SET_TIMER, set_timer)?;
    imports.add(ENV, abi::recv::SEND, stateroom_send)?;
    imports.add(ENV, "abort", abort)?;
    Ok(())
}

fn send_message(mut caller: Caller<'_, State>, recipient: i32, at: u32, len: u32) -> Result<(), Error> {
    if len > PIECE {
        let what = What::SendText(MessageRecipient::decode_i32(recipient));
        return Err(Operation::begin(caller, what, at, len));
    }
    let (memory, State { effects, limits, .. }) = GuestMemory::of(&mut caller, len)?;
    let text = memory.text(at, len)?;
    effects.send_text(MessageRecipient::decode_i32(recipient), text, limits)?;
    Ok(())
}

fn send_binary(mut caller: Caller<'_, State>, recipient: i32, at: u32, len: u32) -> Result<(), Error> {
    if len > PIECE {
        let what = What::SendBytes(MessageRecipient::decode_i32(recipient));
        return Err(Operation::begin(caller, what, at, len));
    }
    let (memory, State { effects, limits, .. }) = GuestMemory::of(&mut caller, len)?;
    let bytes = memory.bytes(at, len)?;
    effects.send_bytes(MessageRecipient::decode_i32(recipient), bytes, limits)?;
    Ok(())
}

fn set_timer(mut caller: Caller<'_, State>, ms_delay: u32) -> Result<(), Error> {
    charge(&mut caller, 0);
    let State { effects, limits, .. } = caller.data_mut();
    effects.set_timer(ms_delay, limits)?;
    Ok(())
}

/// Takes one value from a guest made for Stateroom 0.4. This is the only import of that interface.
fn stateroom_send(mut caller: Caller<'_, State>, at: u32, len: u32) -> Result<(), Error> {
    let (memory, state) = GuestMemory::of(&mut caller, len)?;
    let State { effects, limits, .. } = state;
    match bincode::decode(memory.bytes(at, len)?).map_err(TrapReason::from)? {
        Request::Timer(ms) => effects.set_timer(ms, limits)?,
        Request::Send(recipient, is_text, span) if span.len() > PIECE as usize => {
            let what = if is_text { What::RecvText(recipient) } else { What::SendBytes(recipient) };
            // It lies within what the guest has passed.
            let (at, len) = (at + span.start as u32, span.len() as u32);
            Operation::begin_of(what, at, len, state)?;
            return Err(Paused.into());
        }
        Request::Send(recipient, is_text, span) => {
            let data = &memory.bytes(at, len)?[span];
            if is_text {
                let text =
                    simdutf8::basic::from_utf8(data).map_err(|_| TrapReason::from(Malformed::NotUtf8))?;
                effects.send_text(recipient, text, limits)?;
            } else {
                effects.send_bytes(recipient, data, limits)?;
            }
        }
    }
    Ok(())
}

/// The function that AssemblyScript calls to abort, with pointers to two of its strings, a line and a column.
fn abort(
    mut caller: Caller<'_, State>,
    message: u32,
    file: u32,
    line: u32,
    column: u32,
) -> Result<(), Error> {
    let (memory, _) = GuestMemory::of(&mut caller, 0)?;
    let message = assembly_script_string(&memory, message);
    let file = assembly_script_string(&memory, file);
    let message = format!("{message} ({file}:{line}:{column})");
    Err(TrapReason::Aborted { message }.into())
}

/// AssemblyScript keeps strings as UTF-16, with their size in bytes in the four bytes before them. What
/// cannot be read is left out: the guest is about to end anyway.
fn assembly_script_string(memory: &GuestMemory<'_>, at: u32) -> String {
    const LONGEST: u32 = 1024;
    let size = at.checked_sub(4).and_then(|at| memory.read_u32(at).ok());
    let bytes = size.and_then(|size| memory.bytes(at, size.min(LONGEST)).ok());
    let units = bytes.into_iter().flat_map(|bytes| bytes.chunks_exact(2));
    char::decode_utf16(units.map(|unit| u16::from_le_bytes([unit[0], unit[1]])))
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
