use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::{ALL, Chosen, Limit, Origin};

/// The flags of all limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct LimitArgs(Chosen);

impl LimitArgs {
    /// Returns the values from the flags, and from a file if there is no flag.
    pub(crate) fn over(&self, file: &Chosen) -> Chosen {
        self.0.over(file)
    }

    /// Returns whether there is a flag.
    #[cfg(feature = "rooms")]
    pub(crate) fn is_any_set(&self) -> bool {
        ALL.into_iter().any(|limit| self.0.has(limit))
    }
}

fn argument(limit: &'static Limit) -> Arg {
    Arg::new(limit.key)
        .long(limit.flag())
        .aliases(limit.old_flag())
        .value_name(limit.value_name())
        .value_parser(move |text: &str| {
            limit.read(text).ok_or_else(|| format!("is not {}", limit.expected()))
        })
        // They have a page of their own. Nor is there a default of clap's: what is not given here may stand
        // in a file.
        .hide(true)
        // As a negative number is a bad value and no other flag.
        .allow_negative_numbers(true)
}

impl Args for LimitArgs {
    fn augment_args(command: Command) -> Command {
        ALL.into_iter().fold(command, |command, limit| command.arg(argument(limit)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for LimitArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for limit in ALL {
            if let Some(value) = matches.get_one(limit.key) {
                self.0.choose(limit, *value, Origin::Flag);
            }
        }
        Ok(())
    }
}
