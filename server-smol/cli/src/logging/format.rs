use std::fmt::Arguments;

use ::log::{Level, kv::Source};

#[cfg(feature = "log-json")]
use super::json;
use super::line;

/// The form in which lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "log-json", derive(clap::ValueEnum))]
pub(crate) enum Format {
    /// `LEVEL message`, with the id of the connection before the message.
    #[default]
    Text,
    /// An object of JSON for each line.
    #[cfg(feature = "log-json")]
    Json,
}

impl Format {
    /// Makes a line with what it is about.
    pub(super) fn line(
        self,
        level: Level,
        message: &Arguments<'_>,
        about: &dyn Source,
        is_of_guest: bool,
    ) -> String {
        #[cfg(not(feature = "log-json"))]
        let _ = is_of_guest;
        match self {
            Self::Text => line::line(level, message, about),
            #[cfg(feature = "log-json")]
            Self::Json => json::line(level, message, about, is_of_guest),
        }
    }

    /// Makes a line of the log itself.
    pub(super) fn own_line(self, level: Level, message: &Arguments<'_>) -> String {
        self.line(level, message, &<[(&str, &str); 0]>::default(), false)
    }

    /// Makes the line that the process ends with when it has failed.
    pub(super) fn last_line(self, message: &Arguments<'_>) -> String {
        match self {
            Self::Text => line::last_line(message),
            #[cfg(feature = "log-json")]
            Self::Json => self.own_line(Level::Error, message),
        }
    }
}
