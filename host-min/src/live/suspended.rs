use alloc::vec::Vec;

use super::calls::Paused;
use crate::interface::Call;

/// Where an event stopped that has used up its slice.
pub(super) enum Suspended {
    /// Before anything has run; what comes then.
    Construction(Option<Pending>),
    /// In one of the functions that come before the first event; which one, and what comes then.
    Startup(usize, Paused<()>, Option<Pending>),
    /// While the guest looks for a place for data.
    Malloc(Paused<u32>, Pending),
    /// In the export of this name.
    Call(&'static str, Paused<()>),
    /// Behind it, before all data has been [cleared](super::Live::clear).
    Clearing,
}

/// What an event comes down to, with a copy of its data.
pub(super) struct Pending {
    pub(super) call: Call,
    pub(super) data: Vec<u8>,
}

impl Suspended {
    /// How many bytes of the event it keeps.
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

/// As how many bytes the stack of a suspended call counts: what the engine begins with.
pub(super) const STACK: usize = 1 << 10;
