use std::{
    env,
    io::{self, IsTerminal as _},
    sync::OnceLock,
};

use clap::ValueEnum;

/// The choice of colours on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// The choice, and whether stderr has colours because of it.
static CHOSEN: OnceLock<(Color, bool)> = OnceLock::new();

/// Makes a choice for the process, before anything is printed.
pub(crate) fn choose(color: Color) {
    let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // Fails only if there is one already, and there is one command line.
    let _ = CHOSEN.set((color, color.is_on(no_color, io::stderr().is_terminal())));
}

/// Returns true if what goes to stderr has colours.
pub(crate) fn is_on() -> bool {
    CHOSEN.get().is_some_and(|(_, is_on)| *is_on)
}

/// Returns the choice in the words of cargo, if there is one.
pub(crate) fn for_cargo() -> Option<&'static str> {
    match CHOSEN.get()?.0 {
        Color::Always => Some("always"),
        Color::Never => Some("never"),
        Color::Auto => None,
    }
}

/// Colours the word at the beginning of a line of the log, if it is a warning or an error.
pub(crate) fn paint(line: &str) -> String {
    // Colours of the terminal's own palette.
    for (word, code) in [("ERROR", 31), ("error", 31), ("WARN", 33)] {
        if let Some(rest) = line.strip_prefix(word) {
            return format!("\x1b[1;{code}m{word}\x1b[0m{rest}");
        }
    }
    line.to_owned()
}

/// Returns a text without the sequences that colour it (ECMA-48, section 8.3.117).
pub(crate) fn without(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let plain = parts.next().unwrap_or_default().to_owned();
    parts.fold(plain, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

impl Color {
    fn is_on(self, no_color: bool, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && !no_color,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_coloured_and_nothing_else_is() {
        assert_eq!(paint("WARN  a WARN\n"), "\x1b[1;33mWARN\x1b[0m  a WARN\n");
        assert_eq!(paint("ERROR a\n"), "\x1b[1;31mERROR\x1b[0m a\n");
        assert_eq!(paint("error: a\n"), "\x1b[1;31merror\x1b[0m: a\n");
        assert_eq!(paint("INFO  error\n"), "INFO  error\n");
    }

    #[test]
    fn colours_can_be_taken_away() {
        assert_eq!(without("\x1b[1m\x1b[38;5;9merror\x1b[0m: a [m]\n"), "error: a [m]\n");
        assert_eq!(without("plain"), "plain");
    }

    #[test]
    fn a_choice_wins_over_the_environment_and_that_over_the_terminal() {
        for (color, no_color, is_terminal, expected) in [
            (Color::Auto, false, true, true),
            (Color::Auto, true, true, false),
            (Color::Auto, false, false, false),
            (Color::Always, true, false, true),
            (Color::Never, false, true, false),
        ] {
            assert_eq!(color.is_on(no_color, is_terminal), expected, "{color:?}");
        }
    }
}
