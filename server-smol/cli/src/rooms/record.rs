use std::fmt::Write as _;

use serde_json::Value;

/// The most characters of a message, and of a reason, that are shown.
const SHOWN: usize = 60;

/// Returns an event of a stream as it is printed: the record of what has happened, or how many are missing. Returns `None` for
/// other events.
pub(super) fn shown(event: &str, data: &str, as_json: bool) -> Option<String> {
    match (event, as_json) {
        ("room", true) => Some(data.to_owned()),
        ("room", false) => serde_json::from_str(data).ok().map(|record| lines(&record)),
        ("dropped", true) => Some(format!("{{\"dropped\":{data}}}")),
        ("dropped", false) => {
            Some(format!("              {data} events are missing: this reader is too slow"))
        }
        _ => None,
    }
}

/// Returns the lines of a record: what has happened and what it took, and each of its effects.
fn lines(record: &Value) -> String {
    let mut lines = clock(record["time"].as_u64().unwrap_or_default());
    if let Some(state) = record["state"].as_str() {
        let _ = write!(lines, "  room {state}");
        if let Some(reason) = record["reason"].as_str() {
            let _ = write!(lines, ": {reason}");
        }
        return lines;
    }
    if let Some(does) = record["operator"].as_str() {
        let _ = write!(lines, "  operator  {does}");
        if let Some(code) = record["code"].as_u64() {
            let _ = write!(lines, " {code} {}", quoted(record["reason"].as_str().unwrap_or_default()));
        }
        let to = match record["client"].as_u64() {
            Some(client) => format!("client {client}"),
            None => format!("{} clients", record["clients"]),
        };
        let _ = write!(lines, "{} to {to}", message(&record["message"]));
        return lines;
    }
    let event = record["event"].as_str().unwrap_or("?");
    let _ = write!(lines, "  {event:<10}");
    if let Some(client) = record["client"].as_u64() {
        let _ = write!(lines, "  client {client}");
    }
    lines += &message(&record["message"]);
    if let Some(outcome) = record["outcome"].as_str().filter(|outcome| *outcome != "done") {
        let _ = write!(lines, "  {outcome}: {}", quoted(record["reason"].as_str().unwrap_or_default()));
    }
    if let Some(fuel) = record["fuel"].as_u64() {
        let _ = write!(lines, "  fuel {fuel}");
    }
    let _ = write!(lines, "  memory {}  {} µs", record["memory"], record["micros"]);
    for effect in record["effects"].as_array().into_iter().flatten() {
        let _ = write!(lines, "\n                {}", effect_words(effect));
    }
    if let Some(more) = record["more"].as_u64().filter(|more| *more > 0) {
        let _ = write!(lines, "\n                and {more} more");
    }
    lines
}

fn effect_words(effect: &Value) -> String {
    if let Some(ms) = effect["timer"].as_u64() {
        return if ms == 0 { "timer off".to_owned() } else { format!("timer {ms} ms") };
    }
    if let Some(level) = effect["log"].as_str() {
        return format!("log {level} {}", quoted(effect["text"].as_str().unwrap_or_default()));
    }
    if !effect["close"].is_null() {
        let reason = quoted(effect["reason"].as_str().unwrap_or_default());
        return format!("closes {}: {} {reason}", clients(&effect["close"]), effect["code"]);
    }
    format!("to {}{}", clients(&effect["send"]), message(&effect["message"]))
}

fn clients(recipient: &Value) -> String {
    match (recipient["client"].as_u64(), recipient["except"].as_u64()) {
        (Some(client), _) => format!("client {client}"),
        (_, Some(client)) => format!("everyone but client {client}"),
        _ => "everyone".to_owned(),
    }
}

/// Returns the beginning of a message and its size, after two spaces. Returns nothing if there is no message.
fn message(message: &Value) -> String {
    let Some(size) = message["size"].as_u64() else { return String::new() };
    let beginning = match (message["text"].as_str(), message["hex"].as_str()) {
        (Some(text), _) => quoted(text),
        (None, Some(hex)) => cut(hex),
        (None, None) => String::new(),
    };
    format!("  {beginning} ({size} bytes)")
}

fn quoted(text: &str) -> String {
    format!("{:?}", cut(text))
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Returns the time of day (UTC) of a time in milliseconds since 1970.
fn clock(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1_000, unix_ms % 1_000);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_with_its_effects() {
        let record = r#"{"time":1709208000007,"event":"message","client":2,"message":{"text":"a\"b","size":3},"outcome":"done",
            "fuel":120,"memory":65536,"micros":14,"more":2,"effects":[{"send":"everyone","message":{"hex":"00ff","size":2}},
            {"send":{"except":2},"message":{"text":"x","size":1}},{"close":{"client":2},"code":4000,"reason":"bye"},
            {"timer":500},{"timer":0},{"log":"info","text":"counted"}]}"#;
        let expected =
            "12:00:00.007  message     client 2  \"a\\\"b\" (3 bytes)  fuel 120  memory 65536  14 µs
                to everyone  00ff (2 bytes)
                to everyone but client 2  \"x\" (1 bytes)
                closes client 2: 4000 \"bye\"
                timer 500 ms
                timer off
                log info \"counted\"
                and 2 more";
        assert_eq!(shown("room", record, false).as_deref(), Some(expected));
        assert_eq!(shown("room", record, true).as_deref(), Some(record));
    }

    #[test]
    fn other_records_are_shown_in_a_line() {
        for (event, data, line) in [
            (
                "room",
                r#"{"time":0,"state":"ended","reason":"it was closed"}"#,
                "00:00:00.000  room ended: it was closed",
            ),
            ("room", r#"{"time":0,"state":"began"}"#, "00:00:00.000  room began"),
            (
                "room",
                r#"{"time":0,"operator":"message","message":{"text":"hi","size":2},"clients":3}"#,
                "00:00:00.000  operator  message  \"hi\" (2 bytes) to 3 clients",
            ),
            (
                "room",
                r#"{"time":0,"operator":"close","client":3,"code":1008,"reason":"no","clients":1}"#,
                "00:00:00.000  operator  close 1008 \"no\" to client 3",
            ),
            ("dropped", "7", "              7 events are missing: this reader is too slow"),
        ] {
            assert_eq!(shown(event, data, false).as_deref(), Some(line));
        }
        assert_eq!(shown("dropped", "7", true).as_deref(), Some(r#"{"dropped":7}"#));
        assert_eq!(shown("build", "{}", false), None);
    }

    #[test]
    fn a_long_message_is_cut() {
        let long = "é".repeat(100);
        assert_eq!(
            message(&serde_json::json!({ "text": long, "size": 200 })),
            format!("  \"{}…\" (200 bytes)", &long[..120])
        );
    }
}
