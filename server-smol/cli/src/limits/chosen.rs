use std::collections::BTreeMap;

use anyhow::{Result, anyhow};

use super::{ALL, Bounds, EFFECT_BYTES, FUEL, Limit, MEMORY, MESSAGE_SIZE, OUTBOX_SIZE, SLICE};

/// The limits that somebody has set, by their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chosen(BTreeMap<&'static str, Choice>);

#[derive(Debug, Clone, PartialEq)]
struct Choice {
    value: u64,
    origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// A file and a line of it, as `stateroom.toml:3`.
    File(String),
}

impl Chosen {
    pub(crate) fn choose(&mut self, limit: &Limit, value: u64, origin: Origin) {
        self.0.insert(limit.key, Choice { value, origin });
    }

    /// Answers whether a limit is among them.
    pub(crate) fn has(&self, limit: &Limit) -> bool {
        self.0.contains_key(limit.key)
    }

    /// These, and of `others` those that are not among them.
    pub(crate) fn over(&self, others: &Self) -> Self {
        let mut all = others.clone();
        all.0.extend(self.0.clone());
        all
    }

    /// The values of all limits: those that were chosen, and defaults that give way to them.
    ///
    /// # Errors
    /// They contradict one another. The message names everything that is wrong.
    pub(crate) fn bounds(&self) -> Result<Bounds> {
        let mut bounds = Bounds::default();
        for limit in ALL {
            if let Some(choice) = self.0.get(limit.key) {
                limit.set(&mut bounds, choice.value);
            }
        }
        self.give_way(&mut bounds);
        self.check(&bounds)?;
        Ok(bounds)
    }

    /// Makes the defaults fit to what was chosen, where there is but one way.
    fn give_way(&self, bounds: &mut Bounds) {
        let chosen = |limit: &Limit| self.0.contains_key(limit.key);
        let Bounds { guest, outbox_size, .. } = bounds;
        let half_outbox = if chosen(&OUTBOX_SIZE) { *outbox_size / 2 } else { usize::MAX };
        if !chosen(&SLICE) {
            guest.slice = guest.slice.min(guest.fuel);
        }
        if !chosen(&MESSAGE_SIZE) {
            let together = if chosen(&EFFECT_BYTES) { guest.effect_bytes } else { half_outbox };
            guest.message_size = guest.message_size.min(guest.memory).min(together);
        }
        if !chosen(&EFFECT_BYTES) {
            let twice = guest.message_size.saturating_mul(2);
            guest.effect_bytes = guest.effect_bytes.max(twice).min(half_outbox).max(guest.message_size);
        }
        if !chosen(&OUTBOX_SIZE) {
            *outbox_size = (*outbox_size).max(guest.effect_bytes.saturating_mul(2));
        }
    }

    fn check(&self, bounds: &Bounds) -> Result<()> {
        let mut problems = Vec::new();
        let mut at_most = |small: &Limit, part: u64, large: &Limit, why: &str| {
            let (value, limit) = (small.of(bounds), large.of(bounds));
            if value > limit / part {
                let half = if part == 2 { "half of " } else { "" };
                problems.push(format!(
                    "{} is {}, more than {half}{}, which is {}: {why}; lower the one or raise the other",
                    self.place(small),
                    small.show(value),
                    self.place(large),
                    large.show(limit),
                ));
            }
        };
        at_most(&SLICE, 1, &FUEL, "a slice is a part of what an event may compute");
        at_most(&MESSAGE_SIZE, 1, &MEMORY, "a room has to have room for a message");
        if self.0.contains_key(EFFECT_BYTES.key) {
            at_most(&MESSAGE_SIZE, 1, &EFFECT_BYTES, "an event has to be able to send a message");
            at_most(
                &EFFECT_BYTES,
                2,
                &OUTBOX_SIZE,
                "what an event sends has to find room while a client reads",
            );
        } else {
            at_most(&MESSAGE_SIZE, 2, &OUTBOX_SIZE, "a message has to find room while a client reads");
        }
        if problems.is_empty() { Ok(()) } else { Err(anyhow!(problems.join("\n       "))) }
    }

    /// Where somebody finds the value of a limit.
    fn place(&self, limit: &Limit) -> String {
        match self.0.get(limit.key) {
            None => format!("the default of `--{}`", limit.flag()),
            Some(Choice { origin: Origin::Flag, .. }) => format!("`--{}`", limit.flag()),
            Some(Choice { origin: Origin::File(place), .. }) => format!("`{}` ({place})", limit.key),
        }
    }

    /// The table `[limits]` of a `stateroom.toml`; nothing where nothing was chosen.
    #[cfg(feature = "dev")]
    pub(crate) fn to_toml(&self) -> Option<String> {
        let mut toml = "[limits]\n".to_owned();
        for limit in ALL {
            if let Some(Choice { value, .. }) = self.0.get(limit.key) {
                toml += &format!("{} = \"{}\"\n", limit.key, limit.show(*value));
            }
        }
        Some(toml).filter(|_| !self.0.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows from flags, given as `key value`.
    fn bounds(flags: &[(&Limit, &str)]) -> Result<Bounds, String> {
        let mut chosen = Chosen::default();
        for (limit, text) in flags {
            chosen.choose(limit, limit.read(text).unwrap(), Origin::Flag);
        }
        chosen.bounds().map_err(|error| error.to_string())
    }

    /// The values of some limits that follow from flags.
    fn values<const N: usize>(flags: &[(&Limit, &str)], limits: [&Limit; N]) -> [String; N] {
        let bounds = bounds(flags).unwrap();
        limits.map(|limit| limit.show(limit.of(&bounds)))
    }

    #[test]
    fn without_a_choice_the_defaults_hold() {
        assert_eq!(bounds(&[]), Ok(Bounds::default()));
    }

    #[test]
    fn every_limit_can_be_set_to_its_default() {
        for limit in ALL {
            let default = limit.show(limit.of(&Bounds::default()));
            assert_eq!(bounds(&[(limit, &default)]), Ok(Bounds::default()), "{}", limit.key);
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
        let all = bounds(&[(&SLICE, "7M"), (&FUEL, "6M"), (&MESSAGE_SIZE, "64MiB")]).unwrap_err();
        assert_eq!(all.lines().count(), 2, "{all}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let (mut flags, mut file) = (Chosen::default(), Chosen::default());
        flags.choose(&SLICE, 1_000, Origin::Flag);
        file.choose(&SLICE, 2_000, Origin::File("p/stateroom.toml:3".into()));
        file.choose(&FUEL, 500, Origin::File("p/stateroom.toml:4".into()));
        let message = flags.over(&file).bounds().unwrap_err().to_string();
        assert!(message.contains("`--max-slice` is 1k, more than `fuel` (p/stateroom.toml:4), which is 500"));
        flags.choose(&FUEL, 1_000, Origin::Flag);
        let bounds = flags.over(&file).bounds().unwrap();
        assert_eq!((bounds.guest.slice, bounds.guest.fuel), (1_000, 1_000));
    }
}
