/// The purpose of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A module to serve: as small as possible.
    Release,
    /// A module for its author to try: with overflow checks and panic messages.
    Trial,
}

impl Purpose {
    /// Returns the build profile. It is defined here, so that an author's `Cargo.toml` needs none. It has its
    /// own name, so it does not affect the author's other builds.
    pub(crate) fn profile(self) -> Vec<String> {
        let (name, checks): (_, &[_]) = match self {
            // The author's own release profile may ask for them, and they bring panic messages with them.
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
