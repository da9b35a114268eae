/// The purpose of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be served: as small as possible.
    Release,
    /// To be tried by its author: with overflow checks, and with messages for panics.
    Trial,
}

impl Purpose {
    /// Returns the build profile, given here so that an author's `Cargo.toml` needs none. It has a name of its own, so
    /// it leaves the author's other builds alone.
    pub(crate) fn profile(self) -> Vec<String> {
        let (name, checks): (_, &[_]) = match self {
            // The author's own release profile may ask for them, and they bring the words of panics along.
            Self::Release => ("guest", &["debug-assertions=false"]),
            Self::Trial => ("guest-dev", &["debug-assertions=true", "overflow-checks=true"]),
        };
        let mut arguments = vec![format!("--profile={name}")];
        for setting in PROFILE.iter().chain(checks) {
            arguments.extend(["--config".to_owned(), format!("profile.{name}.{setting}")]);
        }
        arguments
    }
}

const PROFILE: [&str; 6] = [
    r#"inherits="release""#,
    // Rooms are many and small: size is memory in every one of them, and the way over the network.
    r#"opt-level="z""#,
    r#"lto="fat""#,
    "codegen-units=1",
    // A panic ends the room either way; unwinding would be dead weight.
    r#"panic="abort""#,
    "strip=true",
];
