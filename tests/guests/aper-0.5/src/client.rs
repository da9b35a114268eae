//! A client on Aper's own client code that leaves the socket to the program that runs it. Each line of its input is
//! something that happens to it:
//!
//! - `binary MESSAGE`: a message has come from the room, in hexadecimal digits,
//! - `note TEXT`, `bell MS`: its user adds a note, or has the bell ring at a time since the Unix epoch.
//!
//! To the beginning and to each of them it answers with lines that say what it does: `binary MESSAGE` for a
//! message that it sends, `clock MS` for the time that the room told, and at last `shows NOTES`.

use std::{io, num::ParseIntError};

use aper::{
    connection::{ClientConnection, MessageToClient, MessageToServer},
    AperClient,
};
use aper_0_5::{Change, Notes};
use aper_stateroom::IntentEvent;
use chrono::Utc;

fn main() {
    let mut client = AperClient::<Notes>::new().connect(send, |_, _| {});
    show(&client);
    for line in io::stdin().lines() {
        let line = line.expect("input is text");
        let (what, rest) = line.split_once(' ').expect("what happens, and with what");
        match what {
            "binary" => {
                let bytes = from_hex(rest).expect("hexadecimal digits");
                let message: MessageToClient =
                    bincode::deserialize(&bytes).expect("the room speaks Aper 0.5");
                println!("clock {}", message.timestamp.timestamp_millis());
                client.receive(&message);
            }
            "note" => push(&mut client, Change::Note(rest.to_owned())),
            "bell" => push(&mut client, Change::SetBell(rest.parse().expect("a time"))),
            _ => panic!("{what}: not known"),
        }
        show(&client);
    }
}

fn push(client: &mut ClientConnection<Notes>, change: Change) {
    match client.apply(&IntentEvent::new(client.client_id, Utc::now(), change)) {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

fn send(message: MessageToServer) {
    let bytes = bincode::serialize(&message).expect("it is data");
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("binary {digits}");
}

fn show(client: &ClientConnection<Notes>) {
    println!("shows {}", client.state());
}

fn from_hex(digits: &str) -> Result<Vec<u8>, ParseIntError> {
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16)).collect()
}
