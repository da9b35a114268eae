use std::{io, net::SocketAddr};

use stateroom_tests::Frame;

use crate::{
    client::{Client, Message},
    seen::Seen,
};

/// A client that resumes its session when the server is back. It misses nothing, and says nothing twice.
#[derive(Debug)]
pub(crate) struct Returning {
    token: String,
    room: String,
    attempts: u64,
    /// Its id and the attempt with which its session began, since it has received a greeting.
    session: Option<(u64, u64)>,
    /// The number of messages that it has received, and of those that it has confirmed.
    received: u64,
    confirmed: u64,
    /// The number of its own messages, and of those that it has heard of.
    sent: u64,
    heard: u64,
    /// The last count of the room that it has heard of.
    count: Option<u64>,
    /// The number of times that it has come back.
    pub(crate) resumptions: usize,
}

/// The number of its messages that may be on their way.
const AHEAD: u64 = 3;

/// The number of messages that it receives before it confirms them.
const CONFIRMED: u64 = 200;

impl Returning {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            token: format!("returning-client-number-{number}"),
            room: format!("room-{number}"),
            attempts: 0,
            session: None,
            received: 0,
            confirmed: 0,
            sent: 0,
            heard: 0,
            count: None,
            resumptions: 0,
        }
    }

    /// Comes back, and sends messages until the connection ends.
    pub(crate) fn talk(&mut self, address: SocketAddr, seen: &Seen, ids_before: u32) {
        // The connection ends with the server.
        let _ = self.try_talk(address, seen, ids_before, u64::MAX);
    }

    /// Comes back, and waits until the room has got all of its messages.
    pub(crate) fn finish(&mut self, address: SocketAddr, seen: &Seen) {
        self.try_talk(address, seen, 0, self.sent + 1).expect("the server stays");
        assert_eq!(self.heard, self.sent, "each message counts once");
        let (count, _) = seen.greatest();
        assert_eq!(self.count, Some(count), "it has heard of all messages of all clients");
    }

    /// Sends messages until there were `most`, and the room has got them.
    fn try_talk(&mut self, address: SocketAddr, seen: &Seen, ids_before: u32, most: u64) -> io::Result<()> {
        let mut client = self.come(address, seen, ids_before)?;
        while self.heard < most {
            while self.sent < most && self.sent < self.heard + AHEAD {
                self.sent += 1;
                seen.note_sent();
                self.send(&mut client, self.sent)?;
            }
            self.hear(&mut client, seen)?;
        }
        // What others have said may still be on its way.
        while self.count < Some(seen.greatest().0) {
            self.hear(&mut client, seen)?;
        }
        Ok(())
    }

    fn come(&mut self, address: SocketAddr, seen: &Seen, ids_before: u32) -> io::Result<Client> {
        let attempt = self.attempts;
        self.attempts += 1;
        let begun = self.session.map_or(attempt, |(_, begun)| begun);
        let Self { token, received, .. } = self;
        let protocols = format!("stateroom.v1, stateroom.session.{token}.{received}.{attempt}.{begun}");
        let mut client = Client::connect(address, &self.room, Some(&protocols))?;
        let Message::Control(greeting) = client.message()? else { panic!("the first message is a greeting") };
        let greeting: serde_json::Value = serde_json::from_str(&greeting).expect("a greeting");
        if greeting["within"].is_u64() {
            // The server shuts down.
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let number = |field: &str| greeting[field].as_u64().expect("a number");
        let (id, arrived) = (number("client"), number("received"));
        match self.session {
            Some((known, _)) => {
                assert_eq!(greeting["resumed"], true, "{greeting} {self:?}");
                assert_eq!(id, known, "a client keeps its id");
                self.resumptions += 1;
            }
            None => {
                assert_eq!(greeting["resumed"], false, "{greeting}");
                seen.note_id(u32::try_from(id).expect("an id"), ids_before);
                self.session = Some((id, attempt));
            }
        }
        assert!((self.heard..=self.sent).contains(&arrived), "{greeting} {self:?}");
        self.confirmed = self.received;
        for message in arrived + 1..=self.sent {
            self.send(&mut client, message)?;
        }
        Ok(client)
    }

    fn send(&self, client: &mut Client, message: u64) -> io::Result<()> {
        client.write(&Frame::new(Frame::BINARY, message.to_le_bytes()))
    }

    /// Waits for the next message.
    fn hear(&mut self, client: &mut Client, seen: &Seen) -> io::Result<()> {
        match client.message()? {
            Message::Control(_) => return Ok(()),
            // It gets its id once, and before it has sent anything.
            Message::Id(_) => assert_eq!((self.received, self.count), (0, None)),
            Message::Count { count, sender, message } => {
                assert!(
                    self.count.is_none_or(|last| count == last + 1),
                    "{count} after {:?}: it hears of each message of each client, once and in order",
                    self.count
                );
                self.count = Some(count);
                seen.note_count(count);
                if self.session.is_some_and(|(id, _)| id == u64::from(sender)) {
                    assert_eq!(message, self.heard + 1, "each of its messages counts once");
                    self.heard += 1;
                }
            }
        }
        self.received += 1;
        if self.received - self.confirmed >= CONFIRMED {
            self.confirmed = self.received;
            client.write(&Frame::text(&format!("\0{}", self.received)))?;
        }
        Ok(())
    }
}
