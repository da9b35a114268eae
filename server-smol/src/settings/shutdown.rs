use std::{str::FromStr, time::Duration};

use super::Settings;

/// The time at which an empty room ends.
///
/// A room that was created with `POST` waits for its first client for a minute, or for the time of
/// [`After`](Self::After) if that is longer. After that the policy applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ShutdownPolicy {
    /// It ends with the server. Until then it keeps its state and its timer. `never`.
    #[default]
    Never,
    /// It ends when its last client leaves. `immediate`.
    Immediate,
    /// It ends when it has been empty for this long. `after:<seconds>`.
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
