//! The same through the server: its sockets, its clock and its timers.

use std::time::{SystemTime, UNIX_EPOCH};

use stateroom_tests::{Client, Message as Frame, TestServer};

use super::{
    Aper,
    replica::{Message, Replica},
};

/// An Aper client with a socket.
struct Online {
    replica: Replica,
    socket: Client,
}

impl Online {
    /// Joins a room, and waits until it knows what there is.
    #[track_caller]
    fn join(server: &TestServer, guest: Aper, room: &str) -> Self {
        let socket = server.client(room);
        let (replica, messages) = Replica::start(guest);
        let mut online = Self { replica, socket };
        // The room greets, and answers what it is asked.
        let answers = 1 + messages.len();
        online.send(messages);
        (0..answers).for_each(|_| online.hear());
        online
    }

    #[track_caller]
    fn user(&mut self, what: &str) {
        let messages = self.replica.user(what);
        self.send(messages);
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            match message {
                Message::Text(text) => self.socket.text(&text),
                Message::Binary(bytes) => self.socket.binary(&bytes),
            }
        }
    }

    /// Waits for a message.
    #[track_caller]
    fn hear(&mut self) {
        let messages = match self.socket.message() {
            Frame::Text(text) => self.replica.hears(&Message::Text(text)),
            Frame::Binary(bytes) => self.replica.hears(&Message::Binary(bytes)),
            other => panic!("{other:?}: not a message"),
        };
        self.send(messages);
    }

    /// Waits until all of that is to be seen; returns what is.
    #[track_caller]
    fn sees(&mut self, what: &[&str]) -> String {
        while !what.iter().all(|part| self.replica.shows().contains(part)) {
            self.hear();
        }
        self.replica.shows().to_owned()
    }
}

pub(crate) fn clients_on_sockets_converge(guest: Aper) {
    let server = TestServer::new(guest.program());
    let mut anna = Online::join(&server, guest, "notes");
    let mut bert = Online::join(&server, guest, "notes");
    anna.user("note apple");
    bert.user("note pear");
    let seen = anna.sees(&["apple", "pear"]);
    assert_eq!(bert.sees(&["apple", "pear"]), seen);
    assert_eq!(Online::join(&server, guest, "notes").replica.shows(), seen);
    assert_eq!(Online::join(&server, guest, "others").replica.shows(), "[] rung 0");
}

pub(crate) fn a_suspended_event_happens_by_the_servers_clock(guest: Aper) {
    let server = TestServer::new(guest.program());
    let mut anna = Online::join(&server, guest, "notes");
    let mut bert = Online::join(&server, guest, "notes");
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis();
    let due = now() + 500;
    anna.user(&format!("bell {due}"));
    anna.sees(&["rung 1"]);
    bert.sees(&["rung 1"]);
    assert!(now() >= due);
}

pub(crate) fn nonsense_ends_its_room_alone(guest: Aper) {
    let server = TestServer::new(guest.program());
    let mut anna = Online::join(&server, guest, "notes");
    let mut bert = Online::join(&server, guest, "others");
    anna.user("note apple");
    bert.user("note pear");
    // Both notes have been taken.
    anna.hear();
    bert.hear();
    anna.socket.text("nonsense");
    assert_eq!(anna.socket.closed(), 1011);
    assert_eq!(Online::join(&server, guest, "notes").replica.shows(), "[] rung 0");
    assert_eq!(Online::join(&server, guest, "others").replica.shows(), "[pear] rung 0");
}
