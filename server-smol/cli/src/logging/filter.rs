use std::{
    env,
    io::{self, Write as _},
};

use ::log::{LevelFilter, Metadata};

/// The environment variable with directives, separated by commas.
const VARIABLE: &str = "RUST_LOG";

/// The selection of lines: the beginnings of targets, and the levels of the lines that are printed. The longest beginning decides.
#[derive(Debug, PartialEq)]
pub(super) struct Filter(Vec<(String, LevelFilter)>);

impl Filter {
    /// Returns the filter for `level`, which [`VARIABLE`] overrides.
    pub(super) fn new(level: LevelFilter) -> Self {
        // Dependencies are heard when something is wrong.
        let mut filter =
            Self(vec![(String::new(), level.min(LevelFilter::Warn)), ("stateroom".to_owned(), level)]);
        for directive in env::var(VARIABLE).unwrap_or_default().split(',') {
            if !filter.add(directive.trim()) {
                let mend = "write a level, a target, or `target=level`";
                let _ = writeln!(
                    io::stderr(),
                    "warning: `{VARIABLE}` has `{directive}`, which is ignored: {mend}"
                );
            }
        }
        filter
    }

    /// Adds a level, a target of which all lines are printed, or `target=level`. Returns false if it is none of them.
    fn add(&mut self, directive: &str) -> bool {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (target.trim(), level.trim().parse()),
            None if directive.is_empty() => return true,
            None => directive
                .parse()
                .map_or((directive, Ok(LevelFilter::max())), |level| ("", Ok::<LevelFilter, _>(level))),
        };
        level.map(|level| self.0.push((target.to_owned(), level))).is_ok()
    }

    /// Returns the level of the most lines.
    pub(super) fn most(&self) -> LevelFilter {
        self.0.iter().map(|(_, level)| *level).max().unwrap_or(LevelFilter::Off)
    }

    /// Returns whether such a line is printed.
    pub(super) fn enabled(&self, line: &Metadata<'_>) -> bool {
        let fitting = self.0.iter().filter(|(target, _)| line.target().starts_with(target));
        // Of several with the same target, the last one.
        let level = fitting.max_by_key(|(target, _)| target.len()).map(|(_, level)| *level);
        level.is_some_and(|level| line.level() <= level)
    }
}

#[cfg(test)]
mod tests {
    use ::log::Level::{self, Debug, Error, Info, Trace, Warn};

    use super::*;

    /// Checks which lines are printed with these directives after those of the level `Info`.
    fn check(directives: &[&str], lines: &[(&str, Level, bool)]) {
        let mut filter =
            Filter(vec![(String::new(), LevelFilter::Warn), ("stateroom".to_owned(), LevelFilter::Info)]);
        for directive in directives {
            assert!(filter.add(directive), "{directive}");
        }
        for (target, level, is_printed) in lines {
            let line = Metadata::builder().target(target).level(*level).build();
            assert_eq!(filter.enabled(&line), *is_printed, "{directives:?} {target} {level}");
        }
    }

    #[test]
    fn the_longest_target_decides_and_then_the_last_one() {
        let plain = [("stateroom::serve", Info, true), ("stateroom", Debug, false), ("hyper", Info, false)];
        check(&[], &plain);
        check(&[""], &plain);
        check(&["hyper"], &[("hyper::proto", Trace, true), ("stateroom", Debug, false)]);
        check(&["trace"], &[("hyper", Trace, true), ("stateroom", Debug, false)]);
        check(
            &["stateroom=ERROR"],
            &[("stateroom", Error, true), ("stateroom", Warn, false), ("hyper", Warn, true)],
        );
        let guest = ["stateroom::guest=off", "stateroom = debug"];
        check(&guest, &[("stateroom::guest", Error, false), ("stateroom_server_smol", Debug, true)]);
        check(&["hyper=trace", "hyper=off"], &[("hyper", Error, false)]);
    }

    #[test]
    fn what_is_no_directive_is_told() {
        let mut filter = Filter(Vec::new());
        for wrong in ["stateroom=", "stateroom=loud", "a=b=info"] {
            assert!(!filter.add(wrong), "{wrong}");
        }
        assert_eq!(filter.most(), LevelFilter::Off);
        assert!(filter.add("hyper=debug") && filter.add("warn"));
        assert_eq!(filter.most(), LevelFilter::Debug);
    }
}
