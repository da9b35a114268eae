use std::time::Duration;

use crate::{stage::Passes, verdict::SPARE_PERCENT};

/// The size of an attack.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// As the page has it.
    #[default]
    Full,
    /// A quarter of that, against a quarter of the memory, and for a shorter time.
    Short,
}

impl Scale {
    /// Returns so many, or fewer in a short attack.
    pub(crate) fn many(self, full: usize) -> usize {
        match self {
            Self::Full => full,
            Self::Short => (full / 4).max(1),
        }
    }

    /// Returns how much memory the server is given (`--max-total-memory`), in bytes.
    pub(crate) fn memory(self) -> u64 {
        match self {
            Self::Full => 256 << 20,
            Self::Short => 64 << 20,
        }
    }

    /// Returns how much more than that the program may take, in bytes: a tenth, and where that is little, itself.
    pub(crate) fn spare(self) -> u64 {
        let tenth = self.memory() / 100 * SPARE_PERCENT;
        match self {
            Self::Full => tenth,
            Self::Short => tenth + (16 << 20),
        }
    }

    /// Returns the additional delay that 99 in 100 answers to the control client may have during an attack.
    pub(crate) fn later(self) -> Duration {
        match self {
            Self::Full => Duration::from_millis(5),
            // The machine may have other things to do meanwhile.
            Self::Short => Duration::from_millis(100),
        }
    }

    /// Returns the processor time that a pass of the event loop may take: 99 in 100 passes, and the longest one.
    pub(crate) fn passes(self) -> Passes {
        let [p99, longest] = match self {
            Self::Full => [Duration::from_micros(2_048), Duration::from_millis(20)],
            // There are few passes, in which the memory is touched for the first time. A page fault takes several times as long on some
            // virtual machines, and more if the machine has other things to do.
            Self::Short => [Duration::from_micros(16_384), Duration::from_millis(100)],
        };
        Passes { p99, longest }
    }

    /// Returns how long the innocent client is alone with the server.
    pub(crate) fn calm(self) -> Duration {
        match self {
            Self::Full => Duration::from_secs(2),
            Self::Short => Duration::from_millis(200),
        }
    }

    /// Returns how long an attack goes on that has no end of its own.
    pub(crate) fn storm(self) -> Duration {
        match self {
            Self::Full => Duration::from_secs(4),
            Self::Short => Duration::from_secs(1),
        }
    }
}
