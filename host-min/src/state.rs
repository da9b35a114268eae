use alloc::{boxed::Box, vec::Vec};

use chacha20::{
    ChaCha12Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use wasmi::{Caller, Memory};

use crate::{
    Limits, TrapReason, client_info::Newcomer, effects::Arena, growth::Growth, operation::Operation,
};

/// The host's state of one guest instance.
#[derive(Debug)]
pub(crate) struct State {
    /// Known once the module has been instantiated.
    pub(crate) memory: Option<Memory>,
    pub(crate) limits: Limits,
    pub(crate) growth: Growth,
    pub(crate) effects: Arena,
    /// The fuel that the guest owes for imports, beyond what its slice had.
    pub(crate) debt: u64,
    /// The time of the event that runs.
    pub(crate) now_ms: u64,
    /// The client whose `connect` runs, if the guest can ask about it.
    pub(crate) newcomer: Option<Box<Newcomer>>,
    pub(crate) random: Generator,
    /// The contents of its tables, if they can change: see [`Tables`](crate::tables::Tables).
    pub(crate) tables: Vec<Box<[u32]>>,
    /// The state that the guest has passed up to now, while it saves it.
    pub(crate) saved: Option<Vec<u8>>,
    /// The work of an import whose caller is suspended.
    pub(crate) operation: Option<Box<Operation>>,
}

impl State {
    pub(crate) fn new(limits: Limits, seed: [u8; 32]) -> Self {
        Self {
            memory: None,
            limits,
            growth: Growth::new(&limits),
            effects: Arena::default(),
            debt: 0,
            now_ms: 0,
            newcomer: None,
            random: Generator::Seed(seed),
            tables: Vec::new(),
            saved: None,
            operation: None,
        }
    }
}

impl State {
    /// Returns the saved state, to which this number of bytes may be added.
    pub(crate) fn admit_saved(&mut self, len: usize) -> Result<&mut Vec<u8>, TrapReason> {
        let limit = self.limits.memory;
        let saved = self.saved.as_mut().ok_or(TrapReason::NotSaving)?;
        let size = saved.len().saturating_add(len);
        if size > limit { Err(TrapReason::StateTooLarge { size, limit }) } else { Ok(saved) }
    }
}

/// The room's random numbers. They are the key stream of a stream cipher, so they can be used for secrets,
/// and depend only on the seed.
#[derive(Debug)]
pub(crate) enum Generator {
    /// A generator that has not been used yet, as in most rooms.
    Seed([u8; 32]),
    Running(Box<ChaCha12Rng>),
}

impl Generator {
    /// Creates a generator that has been used, and is at `position`.
    pub(crate) fn at(seed: [u8; 32], position: u128) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        random.set_word_pos(position);
        Self::Running(Box::new(random))
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        if let Self::Seed(seed) = self {
            *self = Self::at(*seed, 0);
        }
        if let Self::Running(random) = self {
            random.fill_bytes(bytes);
        }
    }
}

/// Returns the cost of `len` random bytes, as a number of bytes of other work.
pub(crate) fn random_cost(len: u32) -> u32 {
    len.saturating_mul(2)
}

/// The guest's memory as an import sees it. Every address and length that a guest passes is checked here.
pub(crate) struct GuestMemory<'a>(&'a mut [u8]);

/// The fuel that each call of an import costs the guest: about as much as the time that it takes.
const CALL: u64 = 50;

/// Charges the guest fuel for work on this number of bytes. Otherwise a loop with little fuel could make the
/// host work for any time.
pub(crate) fn charge(caller: &mut Caller<'_, State>, bytes: u32) {
    // If there is less fuel, the call is still made. Then the slice ends, and the rest is taken from the next
    // slice.
    let (fuel, cost) = (caller.get_fuel().unwrap_or(0), CALL + u64::from(bytes / 2));
    let left = fuel.saturating_sub(cost);
    caller.data_mut().debt += cost - (fuel - left);
    // It fails only if fuel is not metered, and `engine` turns this on.
    let _ = caller.set_fuel(left);
}

impl<'a> GuestMemory<'a> {
    /// Returns the memory of the calling guest, and charges for work on this number of bytes.
    pub(crate) fn of(
        caller: &'a mut Caller<'_, State>,
        bytes: u32,
    ) -> Result<(Self, &'a mut State), TrapReason> {
        charge(caller, bytes);
        // Nothing runs before it is known.
        let memory = caller.data().memory.ok_or_else(|| TrapReason::Wasm("it has no memory".into()))?;
        let (bytes, state) = memory.data_and_store_mut(caller);
        Ok((Self(bytes), state))
    }

    pub(crate) fn bytes(&self, at: u32, len: u32) -> Result<&[u8], TrapReason> {
        span(at, len).and_then(|span| self.0.get(span)).ok_or(TrapReason::OutOfBounds {
            at,
            len,
            memory: self.0.len(),
        })
    }

    pub(crate) fn bytes_mut(&mut self, at: u32, len: u32) -> Result<&mut [u8], TrapReason> {
        let error = TrapReason::OutOfBounds { at, len, memory: self.0.len() };
        span(at, len).and_then(|span| self.0.get_mut(span)).ok_or(error)
    }

    pub(crate) fn text(&self, at: u32, len: u32) -> Result<&str, TrapReason> {
        simdutf8::basic::from_utf8(self.bytes(at, len)?).map_err(|_| TrapReason::NotUtf8)
    }

    pub(crate) fn read_u32(&self, at: u32) -> Result<u32, TrapReason> {
        let bytes = self.bytes(at, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(crate) fn write<const N: usize>(&mut self, at: u32, bytes: [u8; N]) -> Result<(), TrapReason> {
        // Numbers, of at most eight bytes.
        self.bytes_mut(at, N as u32)?.copy_from_slice(&bytes);
        Ok(())
    }
}

/// Returns the address range of `len` bytes from `at`, or `None` if it overflows.
pub(crate) fn span(at: u32, len: u32) -> Option<core::ops::Range<usize>> {
    let begin = at as usize;
    Some(begin..begin.checked_add(len as usize)?)
}
