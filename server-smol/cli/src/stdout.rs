use std::{
    fmt::Display,
    io::{self, Write as _},
};

use crate::logging::escaped;

/// Prints a line. The reader of the output may be gone. That must not cause a panic.
#[cfg(any(feature = "auth", feature = "dev"))]
pub(crate) fn say(line: impl Display) {
    // What was logged before comes before it.
    log::logger().flush();
    // A module's own words may be among it.
    let _ = writeln!(io::stdout(), "{}", escaped(&line.to_string()));
}

/// Prints a line of a result. Returns an error if it cannot be written, unless its reader is gone.
#[cfg(feature = "rooms")]
pub(crate) fn print(line: impl Display) -> anyhow::Result<()> {
    log::logger().flush();
    let mut stdout = io::stdout();
    match writeln!(stdout, "{}", escaped(&line.to_string())).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
