//! This project's additions to the documented interface.

use stateroom_sdk_core::{
    LogLevel,
    abi::{EXTENSIONS, LOG, NOW_MS, RANDOM},
};
use wasmi::{Caller, Error};

use super::Imports;
use crate::state::{GuestMemory, State, charge, fill_random, random_cost};

pub(super) fn define(imports: &mut Imports) -> Result<(), Error> {
    imports.add(EXTENSIONS, LOG, log)?;
    imports.add(EXTENSIONS, NOW_MS, now_ms)?;
    imports.add(EXTENSIONS, RANDOM, random)?;
    Ok(())
}

fn log(mut caller: Caller<'_, State>, level: u32, at: u32, len: u32) -> Result<(), Error> {
    let (memory, State { effects, limits, .. }) = GuestMemory::of(&mut caller, len)?;
    effects.log(LogLevel::from_u32(level), memory.text(at, len)?, limits)?;
    Ok(())
}

fn now_ms(mut caller: Caller<'_, State>) -> i64 {
    charge(&mut caller, 0);
    caller.data().now_ms.cast_signed()
}

fn random(mut caller: Caller<'_, State>, at: u32, len: u32) -> Result<(), Error> {
    let (mut memory, state) = GuestMemory::of(&mut caller, random_cost(len))?;
    fill_random(&mut memory, state, at, len)?;
    Ok(())
}
