#[cfg(feature = "wasm")]
use stateroom_core::settings::{SettingProblem, SettingsError};
#[cfg(feature = "wasm")]
use stateroom_host_min::Limits;

use super::Settings;

impl Settings {
    /// Lowers the settings that are not set, if there is not enough memory for them.
    pub(super) fn give_way(&mut self, is_set: &dyn Fn(&str) -> bool) {
        let share = self.share();
        if !is_set("awake_memory") {
            self.awake_memory = self.awake_memory.min(self.total_memory);
        }
        if !is_set("outbox_size") {
            self.outbox_size = self.outbox_size.min(share);
        }
        if !is_set("session_buffer") {
            self.session_buffer = self.session_buffer.min(self.outbox_size);
        }
        if !is_set("message_size") {
            self.message_size = self.message_size.min(share);
        }
    }
}

/// Settings of a server for guests.
#[cfg(feature = "wasm")]
impl Settings {
    /// Returns a copy of these settings, adjusted to the limits of guests.
    ///
    /// This changes only settings that equal their default. `message_size` becomes the `message_size` of the
    /// guests. `outbox_size` becomes at least twice their `effect_bytes`, so that a client can wait for the
    /// messages of two events.
    ///
    /// [`Server::serve_guests`](crate::Server::serve_guests) does this itself. A program that
    /// [starts](crate::Server::start) a server of guests must call it.
    ///
    /// ```
    /// use stateroom_host_min::Limits;
    /// use stateroom_server_smol::{Server, Settings};
    ///
    /// let mut limits = Limits::default();
    /// (limits.message_size, limits.effect_bytes) = (3 << 20, 6 << 20);
    /// let settings = Settings::default().for_guests(&limits)?;
    /// assert_eq!((settings.message_size, settings.outbox_size), (3 << 20, 12 << 20));
    /// let server = Server::from(settings);
    /// # Ok::<(), stateroom_server_smol::SettingsError>(())
    /// ```
    ///
    /// # Errors
    /// The limits and the settings contradict each other. The error lists everything that is wrong.
    pub fn for_guests(&self, limits: &Limits) -> Result<Self, SettingsError> {
        let (defaults, default_limits) = (Self::default(), Limits::default());
        let is_set = |name: &str| self.is_set(name, &defaults);
        let mut settings = self.clone();
        settings.give_way(&is_set);
        let too_large = if is_set("message_size") {
            let taken = ("Limits::message_size", limits.message_size as u64);
            let why = "guests take no larger message";
            SettingProblem::exceeds(("message_size", self.message_size as u64), 1, taken, why)
        } else {
            settings.message_size = limits.message_size;
            None
        };
        if !is_set("outbox_size") {
            settings.outbox_size = settings.outbox_size.max(limits.effect_bytes.saturating_mul(2));
        }
        // Only limits that were set must fit the memory: few rooms use the whole default.
        let is_limited = |name: &str| match name {
            "memory" => limits.memory != default_limits.memory,
            "effect_bytes" => limits.effect_bytes != default_limits.effect_bytes,
            _ => limits.message_size != default_limits.message_size,
        };
        let together = settings.problems_with_guests(limits, &|_| true);
        let shares = settings.problems_with_shares(limits, &is_limited);
        SettingsError::check(
            settings.problems(&is_set).into_iter().chain(together).chain(shares).chain([too_large]),
        )?;
        Ok(settings)
    }

    /// Adjusts these settings and the limits of guests to each other. Only values that are not set are
    /// changed.
    ///
    /// `is_set` is called with the name of a field of [`Settings`] or [`Limits`], and returns true if its
    /// value was set. `message_size` is set to that of `limits`. This is for programs that know which values
    /// were set, for example because they read a file.
    ///
    /// # Errors
    /// The values that are set contradict each other, or are out of their ranges. The error lists everything
    /// that is wrong.
    pub fn fit(&mut self, limits: &mut Limits, is_set: impl Fn(&str) -> bool) -> Result<(), SettingsError> {
        self.give_way(&is_set);
        self.give_way_to_guests(limits, &is_set);
        let guests = limits.check().err();
        let guests = guests.iter().flat_map(|error| error.problems().iter().cloned().map(Some));
        let together = self.problems_with_guests(limits, &is_set);
        let shares = self.problems_with_shares(limits, &is_set);
        SettingsError::check(guests.chain(self.problems(&is_set)).chain(together).chain(shares))
    }

    fn give_way_to_guests(&mut self, limits: &mut Limits, is_set: &dyn Fn(&str) -> bool) {
        let share = self.share();
        let half_outbox = if is_set("outbox_size") { self.outbox_size } else { share } / 2;
        if !is_set("slice") {
            limits.slice = limits.slice.min(limits.fuel);
        }
        if !is_set("memory") {
            limits.memory = limits.memory.min(share);
        }
        if !is_set("message_size") {
            let together = if is_set("effect_bytes") { limits.effect_bytes } else { half_outbox };
            limits.message_size = limits.message_size.min(limits.memory).min(together);
        }
        if !is_set("effect_bytes") {
            let twice = limits.message_size.saturating_mul(2);
            limits.effect_bytes = limits.effect_bytes.max(twice).min(half_outbox).max(limits.message_size);
        }
        if !is_set("outbox_size") {
            self.outbox_size = self.outbox_size.max(limits.effect_bytes.saturating_mul(2));
        }
        self.message_size = limits.message_size;
    }

    /// Returns the limits of guests that exceed other limits or settings.
    fn problems_with_guests(
        &self,
        limits: &Limits,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Vec<Option<SettingProblem>> {
        let message = ("message_size", limits.message_size as u64);
        let effects = ("effect_bytes", limits.effect_bytes as u64);
        let outbox = ("outbox_size", self.outbox_size as u64);
        let at_most = SettingProblem::exceeds;
        let memory = ("memory", limits.memory as u64);
        let mut problems = vec![at_most(message, 1, memory, "a room needs space for a message")];
        if is_set("effect_bytes") {
            let why = "what an event sends has to find room while a client reads";
            problems.push(at_most(message, 1, effects, "an event has to be able to send a message"));
            problems.push(at_most(effects, 2, outbox, why));
        } else {
            problems.push(at_most(message, 2, outbox, "a message has to find room while a client reads"));
        }
        problems
    }

    /// Returns the limits that were set to more than the memory of a thread.
    fn problems_with_shares(
        &self,
        limits: &Limits,
        is_set: &dyn Fn(&str) -> bool,
    ) -> Vec<Option<SettingProblem>> {
        // The messages of two events may wait for a client.
        let all = [
            ("memory", limits.memory, 1),
            ("effect_bytes", limits.effect_bytes, 2),
            ("message_size", limits.message_size, 2),
        ];
        let set = all.into_iter().filter(|(name, ..)| is_set(name));
        set.map(|(name, value, times)| self.exceeds_share(name, value, times)).collect()
    }
}

#[cfg(all(test, feature = "wasm"))]
mod tests {
    use super::*;

    const SETTINGS: fn() -> Settings = || Settings { total_memory: 1 << 30, ..Settings::default() };

    #[test]
    fn settings_follow_the_limits_of_guests() {
        let follow = |change: fn(&mut Limits)| {
            let mut limits = Limits::default();
            change(&mut limits);
            SETTINGS().for_guests(&limits).map(|settings| (settings.message_size, settings.outbox_size))
        };
        assert_eq!(follow(|_| ()), Ok((1 << 20, 8 << 20)));
        assert_eq!(follow(|limits| limits.message_size = 100), Ok((100, 8 << 20)));
        assert_eq!(follow(|limits| limits.effect_bytes = 6 << 20), Ok((1 << 20, 12 << 20)));
        let error = follow(|limits| (limits.effect_bytes, limits.memory) = (1_000, 2_000)).unwrap_err();
        assert_eq!(error.problems().len(), 2, "a message fits neither: {error}");
    }

    #[test]
    fn settings_that_contradict_the_limits_of_guests_are_named() {
        let mut settings = SETTINGS();
        (settings.message_size, settings.outbox_size) = (2 << 20, 1 << 20);
        let error = settings.for_guests(&Limits::default()).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 2, "{error}");
        for part in [
            "`message_size` is 2097152, more than `Limits::message_size`, which is 1048576",
            "`effect_bytes` is 4194304, more than half of `outbox_size`, which is 1048576",
        ] {
            assert!(error.contains(part), "{error}");
        }
        let limits = |memory| {
            let mut limits = Limits::default();
            limits.memory = memory;
            limits
        };
        let small = Settings { total_memory: 16 << 20, ..Settings::default() };
        assert!(
            small.for_guests(&limits(64 << 20)).unwrap_err().to_string().contains("there would be no memory")
        );
        assert!(small.for_guests(&Limits::default()).is_ok(), "few rooms take as much as they may");
    }

    #[test]
    fn whatever_fits_a_server_takes() {
        for threads in [1, 2, 16, 256] {
            for total in [8 << 20, 20 << 20, 1 << 30] {
                let settings = Settings { total_memory: total, threads, ..Settings::default() };
                let fitting = settings.for_guests(&Limits::default()).unwrap();
                assert_eq!(fitting.check(), Ok(()), "{threads} threads, {total} bytes");
                let (mut settings, mut limits) = (settings.clone(), Limits::default());
                settings.fit(&mut limits, |name| ["threads", "total_memory"].contains(&name)).unwrap();
                assert_eq!(settings.check(), Ok(()), "{threads} threads, {total} bytes");
                let again = settings.for_guests(&limits).unwrap();
                let sizes = |settings: &Settings| (settings.awake_memory, settings.message_size);
                assert_eq!(sizes(&again), sizes(&settings));
            }
        }
    }
}
