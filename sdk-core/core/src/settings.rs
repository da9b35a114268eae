//! The mistakes that settings can have. Hosts and servers have settings of their own, and report mistakes in the same
//! way.

use alloc::vec::Vec;
use core::{error::Error, fmt, ops::RangeInclusive};

/// All problems of some settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    problems: Vec<SettingProblem>,
}

/// One problem of a setting. Durations are in seconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingProblem {
    /// The setting cannot have this value.
    OutOfRange {
        /// The field.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The least that it can be.
        least: u64,
        /// The most that it can be; `u64::MAX` where there is no such thing.
        most: u64,
    },
    /// The setting is more than another one allows.
    Exceeds {
        /// The field.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The largest part of the other field that it can be: 1 is all of it, 2 is half.
        part: u64,
        /// The other field.
        other: &'static str,
        /// The other field's value.
        limit: u64,
        /// The reason why that is too much.
        why: &'static str,
    },
    /// The setting cannot be together with another one.
    Contradicts {
        /// The field.
        name: &'static str,
        /// The other field.
        other: &'static str,
        /// The reason, and what to do.
        why: &'static str,
    },
}

impl SettingsError {
    /// Returns all problems. There is at least one.
    #[must_use]
    pub fn problems(&self) -> &[SettingProblem] {
        &self.problems
    }

    /// Returns the problems that a check has found, as an error. A problem that was found twice is listed once.
    ///
    /// # Errors
    /// It has found problems.
    pub fn check(problems: impl IntoIterator<Item = Option<SettingProblem>>) -> Result<(), Self> {
        let mut found = Vec::new();
        for problem in problems.into_iter().flatten() {
            if !found.contains(&problem) {
                found.push(problem);
            }
        }
        if found.is_empty() { Ok(()) } else { Err(Self { problems: found }) }
    }
}

impl SettingProblem {
    /// Finds out whether a setting can have its value.
    #[must_use]
    pub fn out_of_range(name: &'static str, value: u64, range: &RangeInclusive<u64>) -> Option<Self> {
        let (least, most) = (*range.start(), *range.end());
        (!range.contains(&value)).then_some(Self::OutOfRange { name, value, least, most })
    }

    /// Finds out whether a setting is more than a part of another one, which it cannot be for the reason `why`. A setting is
    /// its name and its value; half of the other one is the part 2.
    #[must_use]
    pub fn exceeds(
        (name, value): (&'static str, u64),
        part: u64,
        (other, limit): (&'static str, u64),
        why: &'static str,
    ) -> Option<Self> {
        (value > limit / part).then_some(Self::Exceeds { name, value, part, other, limit, why })
    }
}

/// A [part](SettingProblem::Exceeds), formatted for use before the name of the whole.
#[derive(Debug, Clone, Copy)]
pub struct Part(pub u64);

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => Ok(()),
            2 => f.write_str("half of "),
            part => write!(f, "1/{part} of "),
        }
    }
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { name, value, least, most: u64::MAX } => {
                write!(f, "`{name}` is {value}, and has to be at least {least}")
            }
            Self::OutOfRange { name, value, least, most } => {
                write!(f, "`{name}` is {value}, and has to be from {least} to {most}")
            }
            Self::Exceeds { name, value, part, other, limit, why } => write!(
                f,
                "`{name}` is {value}, more than {}`{other}`, which is {limit}: {why}; lower the one or raise the other",
                Part(*part)
            ),
            Self::Contradicts { name, other, why } => write!(f, "`{name}` contradicts `{other}`: {why}"),
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let between = if index == 0 { "" } else { "\n" };
            write!(f, "{between}{problem}")?;
        }
        Ok(())
    }
}

impl Error for SettingsError {}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn everything_wrong_is_said_with_its_mend() {
        let outbox = |value| SettingProblem::exceeds(("effects", value), 2, ("outbox", 101), "it has to fit");
        let problems = [
            SettingProblem::out_of_range("slice", 0, &(1..=10)),
            SettingProblem::out_of_range("slice", 11, &(1..=10)),
            SettingProblem::out_of_range("slice", 10, &(1..=10)),
            SettingProblem::out_of_range("fuel", 0, &(1..=u64::MAX)),
            outbox(50),
            outbox(51),
            outbox(51),
        ];
        let error = SettingsError::check(problems).unwrap_err();
        assert_eq!(error.problems().len(), 4);
        assert_eq!(
            error.to_string(),
            "`slice` is 0, and has to be from 1 to 10\n\
             `slice` is 11, and has to be from 1 to 10\n\
             `fuel` is 0, and has to be at least 1\n\
             `effects` is 51, more than half of `outbox`, which is 101: it has to fit; lower the one or raise the other"
        );
        assert_eq!(SettingsError::check([outbox(50), None]), Ok(()));
    }
}
