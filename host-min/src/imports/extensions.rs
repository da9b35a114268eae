//! This project's additions to the documented interface.

use stateroom_core::{
    ClientId, LogLevel, MessageRecipient,
    abi::{CLIENT_INFO, CLOSE, CLOSE_REASON_SIZE, EXTENSIONS, LOG, NOW_MS, RANDOM, SAVE},
};
use wasmi::{Caller, Error};

use super::Imports;
use crate::{
    TrapReason,
    operation::{Operation, PIECE, What},
    state::{GuestMemory, State, charge, random_cost},
};

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.add(EXTENSIONS, LOG, log)?;
    imports.add(EXTENSIONS, NOW_MS, now_ms)?;
    imports.add(EXTENSIONS, RANDOM, random)?;
    imports.add(EXTENSIONS, CLOSE, close)?;
    imports.add(EXTENSIONS, CLIENT_INFO, client_info)?;
    imports.add(EXTENSIONS, SAVE, save)?;
    Ok(())
}

fn log(mut caller: Caller<'_, State>, level: u32, at: u32, len: u32) -> Result<(), Error> {
    if len > PIECE {
        return Err(Operation::begin(caller, What::Log(LogLevel::from_u32(level)), at, len));
    }
    let (memory, State { effects, limits, .. }) = GuestMemory::of(&mut caller, len)?;
    effects.log(LogLevel::from_u32(level), memory.text(at, len)?, limits)?;
    Ok(())
}

fn now_ms(mut caller: Caller<'_, State>) -> i64 {
    charge(&mut caller, 0);
    caller.data().now_ms.cast_signed()
}

fn random(mut caller: Caller<'_, State>, at: u32, len: u32) -> Result<(), Error> {
    if len > PIECE {
        return Err(Operation::begin(caller, What::Random, at, len));
    }
    let (mut memory, state) = GuestMemory::of(&mut caller, random_cost(len))?;
    state.random.fill(memory.bytes_mut(at, len)?);
    Ok(())
}

fn close(mut caller: Caller<'_, State>, recipient: i32, code: u32, at: u32, len: u32) -> Result<(), Error> {
    let (memory, State { effects, limits, .. }) = GuestMemory::of(&mut caller, len)?;
    // Before all of it is looked through.
    let size = memory.bytes(at, len)?.len();
    if size > CLOSE_REASON_SIZE {
        return Err(TrapReason::CloseReasonTooLong { size }.into());
    }
    effects.close(MessageRecipient::decode_i32(recipient), code, memory.text(at, len)?, limits)?;
    Ok(())
}

fn save(mut caller: Caller<'_, State>, at: u32, len: u32) -> Result<(), Error> {
    if len > PIECE {
        return Err(Operation::begin(caller, What::Save, at, len));
    }
    let (memory, state) = GuestMemory::of(&mut caller, len)?;
    let bytes = memory.bytes(at, len)?;
    state.admit_saved(len as usize)?.extend_from_slice(bytes);
    Ok(())
}

/// Writes a value to the guest's buffer, if there is a value and it fits. Returns its length, or -1.
fn client_info(
    mut caller: Caller<'_, State>,
    client: u32,
    key_at: u32,
    key_len: u32,
    out_at: u32,
    out_cap: u32,
) -> Result<i32, Error> {
    let cost = caller.data().newcomer.as_ref().map_or(0, |newcomer| newcomer.cost());
    let (mut memory, state) = GuestMemory::of(&mut caller, cost.saturating_add(key_len))?;
    let key = memory.text(key_at, key_len)?;
    let value = state.newcomer.as_ref().and_then(|newcomer| newcomer.get(ClientId(client), key));
    // An invalid buffer is a mistake, even if it is not needed this time.
    let out = memory.bytes_mut(out_at, out_cap)?;
    let Some(value) = value else { return Ok(-1) };
    if let Some(out) = out.get_mut(..value.len()) {
        out.copy_from_slice(value.as_bytes());
    }
    // A longer one fits into no memory of which the guest could ask for more.
    Ok(i32::try_from(value.len()).unwrap_or(i32::MAX))
}
