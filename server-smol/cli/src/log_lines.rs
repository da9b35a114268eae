use std::{fmt::Write as _, io::Write as _};

use log::LevelFilter;

/// Whence come the lines that guests write.
const GUEST: &str = "stateroom::guest";

/// Sends the log to stderr as lines of `LEVEL message`. `RUST_LOG` overrides `level`.
///
/// There are no timestamps: whatever runs a server around the clock (systemd, a container) adds its own.
pub(crate) fn init(level: LevelFilter) {
    env_logger::Builder::new()
        // Dependencies are heard when something is wrong.
        .filter_level(level.min(LevelFilter::Warn))
        .filter_module("stateroom", level)
        .parse_default_env()
        .format(|out, record| {
            let message = printable(&record.args().to_string());
            let message = if record.target() == GUEST { joined(&message) } else { message };
            writeln!(out, "{:<5} {message}", record.level())
        })
        .init();
}

/// Messages may hold words of guests and clients. Those must not pass for lines of the log, nor command the
/// terminal.
fn printable(message: &str) -> String {
    escaped(message).replace('\n', "\n      ")
}

/// Rust writes a panic's words below its place. A guest's line comes escaped, and shows both beside each other.
fn joined(message: &str) -> String {
    let Some((before, panic)) = message.split_once(": \"panicked at ") else { return message.to_owned() };
    format!("{before}: \"panicked at {}", panic.replacen(":\\n", ": ", 1))
}

/// The message without the control characters in it, but for line breaks and tabs.
pub(crate) fn escaped(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for character in message.trim_end().chars() {
        match character {
            '\n' | '\t' => line.push(character),
            _ if character.is_control() => {
                let _ = write!(line, "{}", character.escape_default());
            }
            _ => line.push(character),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_has_its_place_and_its_words_beside_each_other() {
        for (line, shown) in [
            (
                "room a: \"panicked at src/lib.rs:1:2:\\nno\\nmore\"",
                "room a: \"panicked at src/lib.rs:1:2: no\\nmore\"",
            ),
            ("room a: \"it panicked at x:\\nno\"", "room a: \"it panicked at x:\\nno\""),
        ] {
            assert_eq!(joined(line), shown);
        }
    }

    #[test]
    fn a_message_cannot_forge_lines_or_command_the_terminal() {
        assert_eq!(printable("a\nERROR b\n"), "a\n      ERROR b");
        assert_eq!(printable("\u{1b}[2J\r\u{9b}é\t"), "\\u{1b}[2J\\r\\u{9b}é");
    }
}
