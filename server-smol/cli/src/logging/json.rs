use std::{
    fmt::{Arguments, Write as _},
    time::SystemTime,
};

use ::log::{
    Level,
    kv::{Error, Key, Source, Value, VisitSource},
};

use super::{escape::is_format, line::shown};

/// Makes a line of the log: an object with the time (UTC, RFC 3339), the level, the message and what it is about.
pub(crate) fn line(level: Level, message: &Arguments<'_>, about: &dyn Source, is_of_guest: bool) -> String {
    line_at(SystemTime::now(), level, message, about, is_of_guest)
}

fn line_at(
    time: SystemTime,
    level: Level,
    message: &Arguments<'_>,
    about: &dyn Source,
    is_of_guest: bool,
) -> String {
    let time = humantime::format_rfc3339_millis(time);
    let mut line = format!(r#"{{"time":"{time}","level":""#);
    line.extend(level.as_str().chars().map(|character| character.to_ascii_lowercase()));
    line.push_str(r#"","message":"#);
    push(&mut line, &shown(message));
    // It says nothing against that.
    let _ = about.visit(&mut Fields(&mut line));
    if is_of_guest {
        line.push_str(r#","guest":true"#);
    }
    line.push_str("}\n");
    line
}

/// Adds each pair to the object.
struct Fields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        // No other library can replace what the line begins with.
        if matches!(key.as_str(), "time" | "level" | "message" | "guest") {
            return Ok(());
        }
        self.0.push(',');
        push(self.0, key.as_str());
        self.0.push(':');
        match value.to_u64() {
            Some(number) => _ = write!(self.0, "{number}"),
            None => push(self.0, &value.to_string()),
        }
        Ok(())
    }
}

/// Adds a string of JSON. Characters that would control a terminal, or change how others look, are escaped.
fn push(line: &mut String, text: &str) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            _ if character.is_control() || is_format(character) => {
                let units = &mut [0; 2];
                for unit in character.encode_utf16(units) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            _ => line.push(character),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at_noon(message: &Arguments<'_>, about: &dyn Source, is_of_guest: bool) -> String {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_millis(1_709_208_000_007);
        line_at(noon, Level::Warn, message, about, is_of_guest)
    }

    #[test]
    fn a_line_is_an_object_with_the_fields_that_are_known() {
        let about: &[(&str, Value<'_>)] =
            &[("connection", "c7".into()), ("room", "a\"b".into()), ("client", 3_u32.into())];
        assert_eq!(
            at_noon(&format_args!("it ends"), &about, true),
            "{\"time\":\"2024-02-29T12:00:00.007Z\",\"level\":\"warn\",\"message\":\"it ends\",\
             \"connection\":\"c7\",\"room\":\"a\\\"b\",\"client\":3,\"guest\":true}\n"
        );
    }

    #[test]
    fn nothing_that_clients_say_leaves_its_string() {
        let hostile = "\"}\n{\"level\":\"error\u{1b}[2J\u{202e}\u{e0041}\\";
        let line = at_noon(&format_args!("{hostile}"), &[("room", hostile), ("level", "error")], false);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.is_ascii(), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&object["level"], &object["room"]), (&"warn".into(), &hostile.into()));
        assert_eq!(object["message"], "\"}\n{\"level\":\"error\\u{1b}[2J\\u{202e}\\u{e0041}\\");
    }
}
