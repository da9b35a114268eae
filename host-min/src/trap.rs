use alloc::{boxed::Box, string::String};
use core::{error::Error, fmt};

use stateroom_core::abi::CLOSE_REASON_SIZE;
use wasmi::TrapCode;

use crate::imports::Fault;

/// The error of an event that failed. Its room is broken and handles no further events. None of the event's
/// effects happen, except that its log lines are written.
#[derive(Clone, PartialEq, Eq)]
pub struct Trap(Box<Inner>);

/// The contents. They are on the heap, so that the result of an event is small.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    during: &'static str,
    reason: TrapReason,
}

impl Trap {
    pub(crate) fn new(during: &'static str, reason: TrapReason) -> Self {
        Self(Box::new(Inner { during, reason }))
    }

    /// Returns the guest's export that was running; `start` is its start function.
    #[must_use]
    pub fn during(&self) -> &'static str {
        self.0.during
    }

    /// Returns what went wrong.
    #[must_use]
    pub fn reason(&self) -> &TrapReason {
        &self.0.reason
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest failed in `{}`: {}", self.during(), self.reason())
    }
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { during, reason } = &*self.0;
        f.debug_struct("Trap").field("during", during).field("reason", reason).finish()
    }
}

impl Error for Trap {}

/// The reason of a trap in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapReason {
    /// It executed `unreachable`. A panic ends with this.
    Unreachable,
    /// It executed `unreachable` after its memory could not grow because of its limit, in the same event. A failed allocation ends
    /// with this.
    MemoryFull {
        /// The size that the memory would have had, in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It panicked: it executed `unreachable` after its last log line, which was the message of a panic. This line is not among
    /// the effects of the event.
    Panicked {
        /// The place and the message. Of more than 1 KiB together, the end is cut off, and it says how much.
        message: String,
    },
    /// It reached outside its memory.
    MemoryAccess,
    /// Its calls nest too deeply, or have too many variables.
    StackOverflow,
    /// It asked for memory within its limits, but the system has no more.
    OutOfMemory,
    /// The engine stopped it for another reason, such as a division by zero.
    Wasm(String),
    /// It computed for longer than an event may.
    OutOfFuel {
        /// The limit that it reached, in units of fuel.
        limit: u64,
    },
    /// It passed an address and a length to an import that are not in its memory.
    OutOfBounds {
        /// The address.
        at: u32,
        /// The length in bytes.
        len: u32,
        /// The size of the guest's memory in bytes.
        memory: usize,
    },
    /// It passed bytes as text that are not UTF-8.
    NotUtf8,
    /// It wrote a log line, or asked for random bytes, beyond the limit of one call.
    MessageTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It asked for more effects than one event may have.
    TooManyEffects {
        /// The limit.
        limit: usize,
    },
    /// Its messages, close reasons and log lines of one event are together larger than the limit.
    TooManyEffectBytes {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It closed a connection with a code that is not for applications.
    CloseCode {
        /// The code.
        code: u32,
    },
    /// It closed a connection with a reason that does not fit into a close frame.
    CloseReasonTooLong {
        /// Its size in bytes.
        size: usize,
    },
    /// It passed bytes to `stateroom_send` that are not a valid message to the host. The text is the reason.
    Malformed(String),
    /// It had no space for the data of an event that is not a message: the room's id, or any other event in a
    /// module made for Stateroom 0.4.
    AllocFailed {
        /// The size of the data in bytes.
        size: usize,
    },
    /// It called `stateroom.save` outside of `stateroom_save`.
    NotSaving,
    /// It saved a state that is larger than a room's memory may be.
    StateTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// It called `proc_exit`.
    Exited {
        /// The code that it passed.
        code: i32,
    },
    /// It called AssemblyScript's `abort`.
    Aborted {
        /// The message that it passed, with file, line and column.
        message: String,
    },
}

impl TrapReason {
    /// Returns the kind as a word in lower case, such as `out_of_fuel`, for statistics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::MemoryFull { .. } => "memory_full",
            Self::Panicked { .. } => "panicked",
            Self::MemoryAccess => "memory_access",
            Self::StackOverflow => "stack_overflow",
            Self::OutOfMemory => "out_of_memory",
            Self::Wasm(_) => "wasm",
            Self::OutOfFuel { .. } => "out_of_fuel",
            Self::OutOfBounds { .. } => "out_of_bounds",
            Self::NotUtf8 => "not_utf8",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::TooManyEffects { .. } => "too_many_effects",
            Self::TooManyEffectBytes { .. } => "too_many_effect_bytes",
            Self::CloseCode { .. } => "close_code",
            Self::CloseReasonTooLong { .. } => "close_reason_too_long",
            Self::Malformed(_) => "malformed",
            Self::AllocFailed { .. } => "alloc_failed",
            Self::NotSaving => "not_saving",
            Self::StateTooLarge { .. } => "state_too_large",
            Self::Exited { .. } => "exited",
            Self::Aborted { .. } => "aborted",
        }
    }
}

impl fmt::Display for TrapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str(
                "it executed `unreachable`, as a panic does (in a build by `stateroom dev`, a panic says where and why)",
            ),
            Self::MemoryFull { size, limit } => {
                write!(f, "{}, and then it executed `unreachable`", growth_refused(*size, *limit))
            }
            Self::Panicked { message } => write!(f, "it panicked at {message}"),
            Self::MemoryAccess => f.write_str(
                "it reached outside its memory, as it also does if its stack is too small (`stack_size` under `[service]` in `stateroom.toml`)",
            ),
            Self::StackOverflow => f.write_str(
                "its stack is full: its calls nest too deeply (the limit `call_depth`), or have very many variables",
            ),
            Self::OutOfMemory => f.write_str(
                "there is not enough memory: this machine does not have as much left as the limit `memory` lets a room have",
            ),
            Self::Wasm(reason) => f.write_str(reason),
            Self::OutOfFuel { limit } => {
                write!(f, "it used up the {limit} units of fuel that it may use (the limit `fuel`)")
            }
            Self::OutOfBounds { at, len, memory } => {
                write!(f, "it passed {len} bytes at address {at}, but its memory has {memory} bytes")
            }
            Self::NotUtf8 => f.write_str("it passed bytes as text that are not UTF-8"),
            Self::MessageTooLarge { size, limit } => {
                write!(f, "it passed {size} bytes in one call; {limit} is the limit (`message_size`)")
            }
            Self::TooManyEffects { limit } => {
                write!(f, "it asked for more than {limit} effects in one event (the limit `effects`)")
            }
            Self::TooManyEffectBytes { limit } => {
                write!(f, "it sent more than {limit} bytes in one event (the limit `effect_bytes`)")
            }
            Self::CloseCode { code } => {
                write!(
                    f,
                    "it closed a connection with the code {code}; 1000 and 3000 to 4999 are for applications"
                )
            }
            Self::CloseReasonTooLong { size } => {
                write!(f, "it closed a connection with a reason of {size} bytes; {CLOSE_REASON_SIZE} fit")
            }
            Self::Malformed(reason) => {
                write!(f, "it passed bytes to `stateroom_send` that say nothing: {reason}")
            }
            Self::AllocFailed { size } => write!(f, "it has no space for an event with {size} bytes of data"),
            Self::NotSaving => f.write_str("it called `stateroom.save` outside of `stateroom_save`"),
            Self::StateTooLarge { size, limit } => {
                write!(f, "it saved a state of {size} bytes; {limit} is the limit (`memory`)")
            }
            Self::Exited { code } => write!(f, "it exited with code {code}"),
            Self::Aborted { message } => write!(f, "it aborted: {message}"),
        }
    }
}

/// Describes a memory that could not grow.
pub(crate) fn growth_refused(size: usize, limit: usize) -> String {
    alloc::format!("its memory could not grow to {size} bytes ({limit} is the limit `memory`)")
}

/// Returns the reason why the engine stopped, or `None` if it did not run.
pub(crate) fn reason(error: &wasmi::Error, fuel: u64) -> Option<TrapReason> {
    if let Some(Fault(reason)) = error.downcast_ref() {
        return Some(reason.clone());
    }
    Some(match error.as_trap_code()? {
        TrapCode::OutOfFuel => TrapReason::OutOfFuel { limit: fuel },
        TrapCode::UnreachableCodeReached => TrapReason::Unreachable,
        TrapCode::MemoryOutOfBounds => TrapReason::MemoryAccess,
        TrapCode::StackOverflow => TrapReason::StackOverflow,
        // The system has no memory. Growth beyond a limit is not a trap: see `growth.rs`.
        TrapCode::GrowthOperationLimited => TrapReason::OutOfMemory,
        code => TrapReason::Wasm(alloc::format!("{code}")),
    })
}
