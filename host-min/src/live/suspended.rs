use alloc::vec::Vec;

use super::calls::Paused;
use crate::interface::Call;

/// The point at which an event stopped because its slice was used up.
pub(super) enum Suspended {
    /// Before anything has run, with the call that follows.
    Construction(Option<Pending>),
    /// In one of the functions that come before the first event, with its index and the call that follows.
    Startup(usize, Paused<()>, Option<Pending>),
    /// In the guest's allocator, which looks for space for data.
    Malloc(Paused<u32>, Pending),
    /// In the export of this name.
    Call(&'static str, Paused<()>),
    /// After the export, before all data has been [cleared](super::Live::clear).
    Clearing,
}

/// A call into the guest, with a copy of its data.
pub(super) struct Pending {
    pub(super) call: Call,
    pub(super) data: Vec<u8>,
}

impl Suspended {
    /// Returns the number of bytes of the event that it keeps.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Construction(pending) | Self::Startup(_, _, pending) => {
                pending.as_ref().map_or(0, |pending| pending.data.capacity())
            }
            Self::Malloc(_, pending) => pending.data.capacity(),
            Self::Call(..) | Self::Clearing => 0,
        }
    }
}

/// The number of bytes that count as the stack of a suspended call. The engine begins with this size.
pub(super) const STACK: usize = 1 << 10;
