use stateroom_host_min::{Effect, LogLevel, MessagePayload, MessageRecipient, OwnedEvent};

/// The number of bytes of a message that are shown.
const SHOWN: usize = 200;

/// Describes an event.
pub(super) fn describe_event(event: &OwnedEvent) -> String {
    match event {
        OwnedEvent::Init => "the room begins".to_owned(),
        OwnedEvent::Connect(client, info) => {
            let info: String = info.iter().map(|(key, value)| format!(", {key}: {}", text(value))).collect();
            format!("client {} connects{info}", client.0)
        }
        OwnedEvent::Disconnect(client) => format!("client {} disconnects", client.0),
        OwnedEvent::Text(client, message) => format!("client {} sends {}", client.0, text(message)),
        OwnedEvent::Bytes(client, message) => format!("client {} sends {}", client.0, bytes(message)),
        OwnedEvent::Timer => "the timer is due".to_owned(),
    }
}

/// Describes an effect.
pub(super) fn describe_effect(effect: &Effect<'_>) -> String {
    match *effect {
        Effect::Send { recipient, payload } => {
            let payload = match payload {
                MessagePayload::Text(message) => text(message),
                MessagePayload::Bytes(message) => bytes(message),
            };
            format!("to {}: {payload}", clients(recipient))
        }
        Effect::SetTimer { ms } => format!("timer in {ms} ms"),
        Effect::CancelTimer => "no timer".to_owned(),
        Effect::Close { recipient, code, reason } => {
            format!("closes {} with {code} {reason:?}", clients(recipient))
        }
        Effect::Log { level, text: line } => format!("log, {}: {}", name(level), text(line)),
        _ => format!("{effect:?}"),
    }
}

fn clients(recipient: MessageRecipient) -> String {
    match recipient {
        MessageRecipient::Broadcast => "everyone".to_owned(),
        MessageRecipient::Client(client) => format!("client {}", client.0),
        MessageRecipient::EveryoneExcept(client) => format!("everyone except client {}", client.0),
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

fn text(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN);
    format!("{:?}{}", &text[..end], more(text.len() - end))
}

fn bytes(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let digits: Vec<_> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[{}]{}", digits.join(" "), more(bytes.len() - shown.len()))
}

/// Says how many bytes are not shown.
fn more(bytes: usize) -> String {
    if bytes == 0 { String::new() } else { format!(" … (+{bytes} bytes)") }
}

#[cfg(test)]
mod tests {
    use stateroom_host_min::ClientId;

    use super::*;

    #[test]
    fn events_and_effects_are_described_in_a_line() {
        let info = vec![("query:name".to_owned(), "Ada \"L\"".to_owned())];
        let connect = OwnedEvent::Connect(ClientId(3), info);
        assert_eq!(describe_event(&connect), r#"client 3 connects, query:name: "Ada \"L\"""#);
        let message = OwnedEvent::Bytes(ClientId(1), vec![0, 255]);
        assert_eq!(describe_event(&message), "client 1 sends [00 ff]");
        let long = OwnedEvent::Text(ClientId(1), "é".repeat(120));
        assert_eq!(describe_event(&long), format!("client 1 sends \"{}\" … (+40 bytes)", "é".repeat(100)));
        let recipient = MessageRecipient::EveryoneExcept(ClientId(2));
        let send = Effect::Send { recipient, payload: MessagePayload::Text("a\nb") };
        assert_eq!(describe_effect(&send), r#"to everyone except client 2: "a\nb""#);
        let close = Effect::Close { recipient: ClientId(2).into(), code: 4000, reason: "out" };
        assert_eq!(describe_effect(&close), r#"closes client 2 with 4000 "out""#);
    }
}
