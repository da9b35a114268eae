//! A client on Aper's own client code that leaves the socket to the program that runs it. Each line of its input is
//! something that happens to it:
//!
//! - `text MESSAGE`: a message has come from the room,
//! - `note TEXT`, `bell MS`: its user adds a note, or has the bell ring at a time since the Unix epoch.
//!
//! To the beginning and to each of them it answers with lines that say what it does: `text MESSAGE` for a
//! message that it sends, `clock MS` for the time that the room told, and at last `shows NOTES`.

use std::io;

use aper_0_3::{Change, Notes};
use aper_stateroom::{StateProgramClient, StateProgramMessage};

fn main() {
    let mut client = StateProgramClient::<Notes>::default();
    show(&client);
    for line in io::stdin().lines() {
        let line = line.expect("input is text");
        let (what, rest) = line.split_once(' ').expect("what happens, and with what");
        let message = match what {
            "text" => {
                let message = serde_json::from_str(rest).expect("the room speaks Aper 0.3");
                let (StateProgramMessage::InitialState { timestamp, .. }
                | StateProgramMessage::Message { timestamp, .. }) = &message;
                println!("clock {}", timestamp.timestamp_millis());
                client.receive_message_from_server(message)
            }
            "note" => Some(push(&mut client, Change::Note(rest.to_owned()))),
            "bell" => Some(push(&mut client, Change::SetBell(rest.parse().expect("a time")))),
            _ => panic!("{what}: not known"),
        };
        if let Some(message) = message {
            println!("text {}", serde_json::to_string(&message).expect("it is data"));
        }
        show(&client);
    }
}

fn push(
    client: &mut StateProgramClient<Notes>,
    change: Change,
) -> aper::sync::messages::MessageToServer<Notes> {
    match client.push_transition(change) {
        Ok(message) => message,
        Err(never) => match never {},
    }
}

fn show(client: &StateProgramClient<Notes>) {
    match client.state() {
        Some(known) => println!("shows {}", known.state()),
        None => println!("shows nothing"),
    }
}
