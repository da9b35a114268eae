use std::{str::FromStr, time::Duration};

use super::Settings;

/// The end of a room that nobody is in.
///
/// A room that was created with `POST` and that nobody has entered yet has a minute, or the time of
/// [`After`](Self::After) if that is longer, before the policy applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ShutdownPolicy {
    /// It stays, with its state and its timer, until the server ends. `never`.
    #[default]
    Never,
    /// It ends with its last client. `immediate`.
    Immediate,
    /// It ends when nobody has come back for this long. `after:<seconds>`.
    After(Duration),
}

impl FromStr for ShutdownPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "immediate" => Ok(Self::Immediate),
            _ => text
                .strip_prefix("after:")
                .and_then(|seconds| seconds.parse().ok())
                .filter(|seconds| Settings::SECONDS.contains(seconds))
                .map(|seconds| Self::After(Duration::from_secs(seconds)))
                .ok_or_else(|| {
                    "is none of `never`, `immediate`, `after:<seconds>` (such as `after:60`, a year at most)"
                        .to_owned()
                }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_the_command_line_writes_it() {
        assert_eq!("never".parse(), Ok(ShutdownPolicy::Never));
        assert_eq!("immediate".parse(), Ok(ShutdownPolicy::Immediate));
        assert_eq!("after:5".parse(), Ok(ShutdownPolicy::After(Duration::from_secs(5))));
        assert!("after:-1".parse::<ShutdownPolicy>().unwrap_err().contains("after:60"));
        assert!("after:99999999999".parse::<ShutdownPolicy>().is_err());
        assert!("after".parse::<ShutdownPolicy>().is_err());
    }
}
