use anyhow::{Result, anyhow};

use stateroom_host_min::Limits;
use stateroom_server_smol::{Part, SettingProblem, Settings};

use super::{ALL, Bounds, Limit};

/// The limits that were set, ordered by their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chosen(Vec<(&'static str, Choice)>);

#[derive(Debug, Clone, PartialEq)]
struct Choice {
    value: u64,
    origin: Origin,
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// A file and a line of it, as `stateroom.toml:3`.
    File(String),
}

impl Chosen {
    pub(crate) fn choose(&mut self, limit: &Limit, value: u64, origin: Origin) {
        self.put(limit.key, Choice { value, origin });
    }

    fn put(&mut self, key: &'static str, choice: Choice) {
        self.0.retain(|(other, _)| *other != key);
        let index = self.0.partition_point(|(other, _)| *other < key);
        self.0.insert(index, (key, choice));
    }

    fn get(&self, limit: &Limit) -> Option<&Choice> {
        self.0.iter().find(|(key, _)| *key == limit.key).map(|(_, choice)| choice)
    }

    /// Returns true if a limit was set.
    pub(crate) fn has(&self, limit: &Limit) -> bool {
        self.get(limit).is_some()
    }

    /// Merges two sets of choices. A choice in `others` is used if there is none here.
    pub(crate) fn over(&self, others: &Self) -> Self {
        let mut all = others.clone();
        for (key, choice) in &self.0 {
            all.put(key, choice.clone());
        }
        all
    }

    /// Returns the values of all limits: those that were chosen, and defaults that are
    /// [adjusted](Settings::fit) to them. `settings` has the server's settings that are not limits.
    ///
    /// # Errors
    /// They contradict each other. The message lists everything that is wrong.
    pub(crate) fn bounds(&self, settings: Settings) -> Result<Bounds> {
        let mut bounds = Bounds { settings, guest: Limits::default() };
        for limit in ALL {
            if let Some(choice) = self.get(limit) {
                limit.set(&mut bounds, choice.value);
            }
        }
        let is_set = |field: &str| Limit::with_field(field).is_none_or(|limit| self.has(limit));
        match bounds.settings.fit(&mut bounds.guest, is_set) {
            Ok(()) => Ok(bounds),
            Err(error) => {
                let problems: Vec<_> = error.problems().iter().map(|problem| self.words(problem)).collect();
                Err(anyhow!(problems.join("\n       ")))
            }
        }
    }

    /// Describes a problem, with the name of the flag or key that set the value.
    fn words(&self, problem: &SettingProblem) -> String {
        if let SettingProblem::Exceeds { name, value, part, other, limit, why } = problem
            && let (Some(small), Some(large)) = (Limit::with_field(name), Limit::with_field(other))
        {
            return format!(
                "{} is {}, more than {}{}, which is {}: {why}; lower the one or raise the other",
                self.place(small),
                small.show(*value),
                Part(*part),
                self.place(large),
                large.show(*limit),
            );
        }
        #[cfg(any(feature = "auth", feature = "proxy", feature = "tls"))]
        return crate::problem::words(problem);
        #[cfg(not(any(feature = "auth", feature = "proxy", feature = "tls")))]
        problem.to_string()
    }

    /// Returns the place where the value of a limit was set.
    fn place(&self, limit: &Limit) -> String {
        match self.get(limit) {
            None => format!("the default of `--{}`", limit.flag()),
            Some(Choice { origin: Origin::Flag, .. }) => format!("`--{}`", limit.flag()),
            Some(Choice { origin: Origin::File(place), .. }) => format!("`{}` ({place})", limit.key),
        }
    }

    /// Returns true if the same limits were set to the same values, here and there.
    #[cfg(feature = "dev")]
    pub(crate) fn has_values_of(&self, other: &Self) -> bool {
        let values = |(key, choice): &(&'static str, Choice)| (*key, choice.value);
        self.0.iter().map(values).eq(other.0.iter().map(values))
    }

    /// Returns the table `[limits]` of a `stateroom.toml`, or `None` if no limit was set.
    #[cfg(feature = "dev")]
    pub(crate) fn to_toml(&self) -> Option<String> {
        let mut toml = "[limits]\n".to_owned();
        for limit in ALL {
            if let Some(Choice { value, .. }) = self.get(limit) {
                toml += &format!("{} = \"{}\"\n", limit.key, limit.show(*value));
            }
        }
        Some(toml).filter(|_| !self.0.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{
        AWAKE_MEMORY, CONNECTIONS, CONNECTIONS_PER_ADDRESS, EFFECT_BYTES, FUEL, MEMORY, MESSAGE_SIZE,
        OUTBOX_SIZE, SLICE, TOTAL_MEMORY,
    };

    /// Returns the settings on a machine with 2 GiB.
    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.total_memory = 1 << 30;
        settings
    }

    /// Returns what follows from flags, given as `key value`.
    fn bounds(flags: &[(&Limit, &str)]) -> Result<Bounds, String> {
        let mut chosen = Chosen::default();
        for (limit, text) in flags {
            chosen.choose(limit, limit.read(text).unwrap(), Origin::Flag);
        }
        chosen.bounds(settings()).map_err(|error| error.to_string())
    }

    /// Returns the values of all limits.
    fn all(bounds: &Bounds) -> Vec<(&'static str, Option<u64>)> {
        ALL.iter().map(|limit| (limit.key, limit.of(bounds))).collect()
    }

    fn defaults() -> Bounds {
        Bounds { settings: settings(), guest: Limits::default() }
    }

    /// Returns the values of some limits that follow from flags.
    fn values<const N: usize>(flags: &[(&Limit, &str)], limits: [&Limit; N]) -> [String; N] {
        let bounds = bounds(flags).unwrap();
        limits.map(|limit| limit.show(limit.of(&bounds).unwrap()))
    }

    #[test]
    fn without_a_choice_the_defaults_hold() {
        assert_eq!(all(&bounds(&[]).unwrap()), all(&defaults()));
    }

    #[test]
    fn every_limit_can_be_set_to_its_default() {
        for limit in ALL {
            let Some(default) = limit.of(&defaults()) else { continue };
            let default = limit.show(default);
            assert_eq!(all(&bounds(&[(limit, &default)]).unwrap()), all(&defaults()), "{}", limit.key);
        }
    }

    #[test]
    fn defaults_give_way() {
        let sizes = [&MESSAGE_SIZE, &EFFECT_BYTES, &OUTBOX_SIZE];
        assert_eq!(values(&[(&MESSAGE_SIZE, "16MiB")], sizes), ["16MiB", "32MiB", "64MiB"]);
        assert_eq!(values(&[(&MESSAGE_SIZE, "1KiB")], sizes), ["1KiB", "4MiB", "8MiB"]);
        assert_eq!(values(&[(&EFFECT_BYTES, "64KiB")], sizes), ["64KiB", "64KiB", "8MiB"]);
        assert_eq!(values(&[(&EFFECT_BYTES, "6MiB")], sizes), ["1MiB", "6MiB", "12MiB"]);
        assert_eq!(values(&[(&OUTBOX_SIZE, "1MiB")], sizes), ["512KiB", "512KiB", "1MiB"]);
        assert_eq!(values(&[(&MEMORY, "64KiB")], sizes), ["64KiB", "4MiB", "8MiB"]);
        assert_eq!(values(&[(&FUEL, "10k")], [&FUEL, &SLICE]), ["10k", "10k"]);
        let sizes = [&AWAKE_MEMORY, &MEMORY, &MESSAGE_SIZE, &EFFECT_BYTES, &OUTBOX_SIZE];
        let small = values(&[(&TOTAL_MEMORY, "8MiB")], sizes);
        assert_eq!(small, ["8MiB", "8MiB", "1MiB", "4MiB", "8MiB"]);
        let threads = |count| {
            let mut settings = settings();
            settings.threads = count;
            let mut chosen = Chosen::default();
            chosen.choose(&TOTAL_MEMORY, 8 << 20, Origin::Flag);
            let bounds = chosen.bounds(settings).unwrap();
            sizes.map(|limit| limit.show(limit.of(&bounds).unwrap()))
        };
        assert_eq!(threads(8), ["8MiB", "1MiB", "512KiB", "512KiB", "1MiB"]);
    }

    #[test]
    fn choices_that_contradict_one_another_are_told() {
        let told = |flags: &[(&Limit, &str)], parts: &[&str]| {
            let message = bounds(flags).unwrap_err();
            for part in parts {
                assert!(message.contains(part), "`{part}` is not in: {message}");
            }
        };
        told(
            &[(&SLICE, "1M"), (&FUEL, "100k")],
            &[
                "`--max-slice` is 1M, more than `--max-fuel`, which is 100k",
                "lower the one or raise the other",
            ],
        );
        told(
            &[(&MESSAGE_SIZE, "64MiB")],
            &["64MiB, more than the default of `--max-memory`, which is 32MiB"],
        );
        told(&[(&MESSAGE_SIZE, "2MiB"), (&EFFECT_BYTES, "1MiB")], &["more than `--max-effect-bytes`"]);
        told(&[(&EFFECT_BYTES, "2MiB"), (&OUTBOX_SIZE, "3MiB")], &["more than half of `--max-outbox-size`"]);
        told(
            &[(&MESSAGE_SIZE, "2MiB"), (&OUTBOX_SIZE, "3MiB")],
            &["`--max-message-size` is 2MiB, more than half"],
        );
        let total = (&TOTAL_MEMORY, "16MiB");
        told(
            &[total, (&AWAKE_MEMORY, "32MiB")],
            &["`--max-awake-memory` is 32MiB, more than `--max-total-memory`"],
        );
        told(&[total, (&MEMORY, "32MiB")], &["`--max-memory` is 32MiB, more than `--max-total-memory`"]);
        told(&[total, (&OUTBOX_SIZE, "32MiB")], &["`--max-outbox-size` is 32MiB, more than `--max-total"]);
        told(&[total, (&EFFECT_BYTES, "9MiB")], &["is 9MiB, more than half of `--max-total-memory`"]);
        told(
            &[(&CONNECTIONS_PER_ADDRESS, "20"), (&CONNECTIONS, "10")],
            &["`--max-connections-per-address` is 20, more than `--max-connections`, which is 10"],
        );
        assert!(bounds(&[(&CONNECTIONS_PER_ADDRESS, "20k")]).is_ok(), "only one of them is set");
        told(&[(&MEMORY, "2GiB")], &["more than the default of `--max-total-memory`, which is 1GiB"]);
        let all = bounds(&[(&SLICE, "7M"), (&FUEL, "6M"), (&MESSAGE_SIZE, "64MiB")]).unwrap_err();
        assert_eq!(all.lines().count(), 2, "{all}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let (mut flags, mut file) = (Chosen::default(), Chosen::default());
        flags.choose(&SLICE, 1_000, Origin::Flag);
        file.choose(&SLICE, 2_000, Origin::File("p/stateroom.toml:3".into()));
        file.choose(&FUEL, 500, Origin::File("p/stateroom.toml:4".into()));
        let message = flags.over(&file).bounds(settings()).unwrap_err().to_string();
        assert!(message.contains("`--max-slice` is 1k, more than `fuel` (p/stateroom.toml:4), which is 500"));
        flags.choose(&FUEL, 1_000, Origin::Flag);
        let bounds = flags.over(&file).bounds(settings()).unwrap();
        assert_eq!((bounds.guest.slice, bounds.guest.fuel), (1_000, 1_000));
    }
}
