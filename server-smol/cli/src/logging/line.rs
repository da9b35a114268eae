use std::fmt::{self, Arguments, Write};

use ::log::{
    Level,
    kv::{Key, Source},
};

use super::escape::escaped;

/// The maximum length of a message in bytes, before escaping. Some messages are long, such as those of
/// compilers.
const LONGEST: usize = 16 << 10;

/// Makes a line of the log. The id of the connection comes first, if it is about one.
pub(crate) fn line(level: Level, message: &Arguments<'_>, about: &dyn Source) -> String {
    let message = indented(&shown(message));
    match about.get(Key::from("connection")) {
        Some(connection) => format!("{level:<5} {connection} {message}\n"),
        None => format!("{level:<5} {message}\n"),
    }
}

/// Makes the line that the process ends with when it has failed.
pub(crate) fn last_line(message: &Arguments<'_>) -> String {
    format!("error: {}\n", shown(message))
}

/// Formats a message, cuts it and escapes it.
pub(super) fn shown(message: &Arguments<'_>) -> String {
    let mut beginning = Beginning::default();
    // Only a `Display` that fails by itself makes it fail. Then what it said before is shown.
    let _ = beginning.write_fmt(*message);
    let mut shown = escaped(&beginning.text);
    if beginning.rest > 0 {
        let _ = write!(shown, " … (+{} bytes)", beginning.rest);
    }
    shown
}

/// Makes sure that no part of a message looks like a separate line.
fn indented(message: &str) -> String {
    message.replace('\n', "\n      ")
}

/// The beginning of a text, and the number of bytes that were cut off.
#[derive(Debug, Default)]
struct Beginning {
    text: String,
    rest: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        // What comes behind something that was cut is not shown.
        let space = if self.rest == 0 { LONGEST - self.text.len() } else { 0 };
        let (head, rest) = more.split_at(more.floor_char_boundary(space));
        self.text.push_str(head);
        self.rest += rest.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_forge_lines_or_command_the_terminal() {
        let nothing: &[(&str, &str)] = &[];
        let line = |level, message: &Arguments<'_>| line(level, message, &nothing);
        assert_eq!(line(Level::Info, &format_args!("a\nERROR b\n")), "INFO  a\n      ERROR b\n");
        assert_eq!(line(Level::Error, &format_args!("\u{1b}[2J\u{202e}")), "ERROR \\u{1b}[2J\\u{202e}\n");
        assert_eq!(last_line(&format_args!("a\r")), "error: a\n");
    }

    #[test]
    fn the_id_of_the_connection_comes_first() {
        let about: &[(&str, &str)] = &[("room", "lobby"), ("connection", "c17")];
        assert_eq!(line(Level::Debug, &format_args!("it ends"), &about), "DEBUG c17 it ends\n");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "é".repeat(LONGEST / 2);
        assert_eq!(last_line(&format_args!("{long}")), format!("error: {long}\n"));
        let cut = last_line(&format_args!("a{long}{}", "b"));
        assert_eq!(cut, format!("error: a{} … (+3 bytes)\n", &long[2..]));
    }
}
