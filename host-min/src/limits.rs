use core::ops::RangeInclusive;

use stateroom_core::settings::{SettingProblem, SettingsError};

/// Limits of a module and its rooms. Each protects the host and the other rooms from a module that is faulty
/// or malicious.
///
/// Each limit has a range, which is the constant of the same name. Values outside it are
/// [refused](Self::check).
///
/// ```
/// use stateroom_host_min::Limits;
///
/// let mut limits = Limits::default();
/// limits.memory = 1 << 20;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest module, in bytes. Default: 16 MiB. Most guests have a few KB. Some contain 2 MB of debug
    /// sections.
    ///
    /// This limits the time and memory that loading takes.
    pub module_size: usize,

    /// The largest linear memory of a room, in bytes. Default: 32 MiB. If a guest grows its memory beyond
    /// this, `memory.grow` fails as if there were no memory left.
    pub memory: usize,

    /// The largest number of elements in a table. Default: 10,000. A table holds a guest's function pointers.
    /// The size of a table cannot change.
    pub table_elements: usize,

    /// The maximum depth of calls. Default: 1,000. Deeper recursion traps.
    pub call_depth: usize,

    /// The largest message to a guest, in bytes. Default: 1 MiB. It is also the largest line for the log, and
    /// the largest number of random bytes in one call. A message that a guest sends is limited only by
    /// [`effect_bytes`](Self::effect_bytes), because an answer often contains a received message and more
    /// data.
    pub message_size: usize,

    /// The maximum number of effects of one event. Default: 10,000.
    pub effects: usize,

    /// The maximum size of the messages, close reasons and log lines of one event together, in bytes.
    /// Default: 4 MiB, half of the data that may wait for a client of the server.
    ///
    /// This limits the memory that one event can take in the host before its messages are sent.
    pub effect_bytes: usize,

    /// The maximum computation of a guest while its module is loaded, in units of fuel. Default: 50 million,
    /// about 50 ms. Then its `start` function and its `_initialize` run in a trial instance, so this limits
    /// the time of loading. In each new room they are a part of the first event.
    ///
    /// One unit is about one instruction. An optimised build runs 1,000 to 2,500 million units a second on a
    /// machine of 2026, and a tenth of that on a small machine.
    pub startup_fuel: u64,

    /// The maximum computation of a guest in one event, in units of fuel. Default: 6,000 million, a few
    /// seconds. An event that needs more traps.
    pub fuel: u64,

    /// The computation of a guest in one slice, in units of fuel. After a slice the host can run other rooms.
    /// Default: 20,000, about 0.02 ms.
    ///
    /// Suspending a guest takes as long as about 500 units. A thread that runs rooms with large slices needs
    /// more [native stack](crate#native-stack).
    pub slice: u64,
}

/// The ranges of the values, in the units of the fields.
impl Limits {
    /// From 1 byte to 4 GiB.
    pub const MODULE_SIZE: RangeInclusive<u64> = 1..=ADDRESSABLE;
    /// From 1 byte to 4 GiB, as much as a guest can address.
    pub const MEMORY: RangeInclusive<u64> = 1..=ADDRESSABLE;
    /// From 0 to 4,294,967,295.
    pub const TABLE_ELEMENTS: RangeInclusive<u64> = 0..=COUNTABLE;
    /// From 1 to 100,000. Each call takes 32 bytes in addition to its variables, which have their own limit.
    pub const CALL_DEPTH: RangeInclusive<u64> = 1..=100_000;
    /// From 1 byte to 4 GiB.
    pub const MESSAGE_SIZE: RangeInclusive<u64> = 1..=ADDRESSABLE;
    /// From 1 to 4,294,967,295.
    pub const EFFECTS: RangeInclusive<u64> = 1..=COUNTABLE;
    /// From 1 byte to 4 GiB.
    pub const EFFECT_BYTES: RangeInclusive<u64> = 1..=ADDRESSABLE;
    /// At least 1.
    pub const STARTUP_FUEL: RangeInclusive<u64> = 1..=u64::MAX;
    /// At least 1.
    pub const FUEL: RangeInclusive<u64> = 1..=u64::MAX;
    /// From 1 to 10 million, which is 10 ms or more. See [native stack](crate#native-stack) for the maximum.
    // The reason is in `module/pieces.rs`, at `grow`.
    pub const SLICE: RangeInclusive<u64> = 1..=10_000_000;
}

/// The largest size that a guest can address.
const ADDRESSABLE: u64 = 4 << 30;

/// The largest number that a guest can count to.
const COUNTABLE: u64 = u32::MAX as u64;

impl Limits {
    /// The number of limits.
    pub(crate) const COUNT: usize = 10;

    /// Returns all limits as numbers, in the order of the fields.
    pub(crate) fn values(&self) -> [u64; Self::COUNT] {
        [
            self.module_size as u64,
            self.memory as u64,
            self.table_elements as u64,
            self.call_depth as u64,
            self.message_size as u64,
            self.effects as u64,
            self.effect_bytes as u64,
            self.startup_fuel,
            self.fuel,
            self.slice,
        ]
    }

    /// Returns the smaller value of each limit.
    #[must_use]
    pub fn lowest(&self, other: &Self) -> Self {
        let (values, others) = (self.values(), other.values());
        // All values come from limits of this machine.
        Self::from_values(core::array::from_fn(|index| values[index].min(others[index]))).unwrap_or(*self)
    }

    /// Returns limits with these [values](Self::values). Returns `None` if one is too large for this machine.
    pub(crate) fn from_values(values: [u64; Self::COUNT]) -> Option<Self> {
        let [module, memory, elements, depth, message, effects, bytes, startup_fuel, fuel, slice] = values;
        let size = |value: u64| usize::try_from(value).ok();
        Some(Self {
            module_size: size(module)?,
            memory: size(memory)?,
            table_elements: size(elements)?,
            call_depth: size(depth)?,
            message_size: size(message)?,
            effects: size(effects)?,
            effect_bytes: size(bytes)?,
            startup_fuel,
            fuel,
            slice,
        })
    }

    /// Checks that each limit is in its range, and that a slice is not more than the fuel of an event.
    /// [`Program::load`](crate::Program::load) does this.
    ///
    /// # Errors
    /// The error lists everything that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        let ranges = [
            ("module_size", Self::MODULE_SIZE),
            ("memory", Self::MEMORY),
            ("table_elements", Self::TABLE_ELEMENTS),
            ("call_depth", Self::CALL_DEPTH),
            ("message_size", Self::MESSAGE_SIZE),
            ("effects", Self::EFFECTS),
            ("effect_bytes", Self::EFFECT_BYTES),
            ("startup_fuel", Self::STARTUP_FUEL),
            ("fuel", Self::FUEL),
            ("slice", Self::SLICE),
        ];
        let values = self.values();
        let in_range = ranges
            .iter()
            .zip(values)
            .map(|((name, range), value)| SettingProblem::out_of_range(name, value, range));
        let why = "a slice is a part of what an event may compute";
        let slice = SettingProblem::exceeds(("slice", self.slice), 1, ("fuel", self.fuel), why);
        SettingsError::check(in_range.chain([slice]))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_size: 16 << 20,
            memory: 32 << 20,
            table_elements: 10_000,
            call_depth: 1_000,
            message_size: 1 << 20,
            effects: 10_000,
            effect_bytes: 4 << 20,
            startup_fuel: 50_000_000,
            fuel: 6_000_000_000,
            slice: 20_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;
    use crate::{LoadError, Program};

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn the_ends_of_each_range_are_allowed_and_what_is_beyond_is_not() {
        let mut limits = Limits::default();
        let check = |change: &dyn Fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            limits.check().map_err(|error| error.to_string())
        };
        for depth in [1, 100_000] {
            assert_eq!(check(&|limits| limits.call_depth = depth), Ok(()));
        }
        for depth in [0, 100_001] {
            let said = alloc::format!("`call_depth` is {depth}, and has to be from 1 to 100000");
            assert_eq!(check(&|limits| limits.call_depth = depth), Err(said));
        }
        assert_eq!(check(&|limits| limits.slice = 10_000_000), Ok(()));
        assert!(check(&|limits| limits.slice = 10_000_001).is_err());
        assert_eq!(check(&|limits| limits.table_elements = 0), Ok(()));
        assert_eq!(check(&|limits| limits.fuel = u64::MAX), Ok(()));
        (limits.memory, limits.fuel, limits.effects) = (0, 10, 0);
        assert_eq!(limits.check().unwrap_err().problems().len(), 3, "memory, effects, and a slice of 20,000");
    }

    #[test]
    fn a_program_is_not_loaded_with_limits_that_cannot_be() {
        let mut limits = Limits::default();
        (limits.slice, limits.fuel) = (1_000, 100);
        let error = Program::load(b"", limits).unwrap_err();
        assert!(matches!(error, LoadError::Limits(_)));
        let said = "`slice` is 1000, more than `fuel`, which is 100: a slice is a part of what an event may compute; \
                    lower the one or raise the other";
        assert_eq!(error.to_string(), said);
    }
}
