use std::{
    fmt::Display,
    io::{self, Write as _},
};

use crate::logging::escaped;

/// Prints a line. The reader of the output may be gone. That must not cause a panic.
pub(crate) fn say(line: impl Display) {
    // What was logged before comes before it.
    log::logger().flush();
    // A module's own words may be among it.
    let _ = writeln!(io::stdout(), "{}", escaped(&line.to_string()));
}
