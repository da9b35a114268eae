use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::{ALL, Bounds, Chosen, Limit, Origin, Unit};

/// The flags of all limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct LimitArgs(Chosen);

impl LimitArgs {
    /// What the flags say, and what a file says where they say nothing.
    pub(crate) fn over(&self, file: &Chosen) -> Chosen {
        self.0.over(file)
    }
}

const HEADING: &str = "Limits";

fn argument(limit: &'static Limit) -> Arg {
    let Limit { key, what, why, unit, .. } = limit;
    let default = limit.show(limit.of(&Bounds::default()));
    let value_name = match (unit, key.ends_with("fuel") || *key == "slice") {
        (Unit::Bytes, _) => "SIZE",
        (Unit::Number, true) => "FUEL",
        (Unit::Number, false) => "NUMBER",
    };
    Arg::new(*key)
        .long(limit.flag())
        .aliases(limit.old_flag())
        .value_name(value_name)
        .value_parser(move |text: &str| {
            limit.read(text).ok_or_else(|| format!("is not {}", limit.expected()))
        })
        // Not a default of clap's: what is not given here may stand in a file.
        .help(format!("{what} [default: {default}]"))
        .long_help(format!("{what}\n\n{why}\n\n[default: {default}]"))
        .help_heading(HEADING)
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
