use std::{io, net::SocketAddr};

use stateroom_tests::{Frame, Heard, Resumable, numbered};

use crate::{client::Client, seen::Seen};

/// A client that resumes its session when the server is back. It misses nothing, and says nothing twice.
#[derive(Debug)]
pub(crate) struct Returning {
    session: Resumable,
    room: String,
    /// The number of its own messages, and of those that it has heard of.
    sent: u64,
    heard: u64,
    /// The last count of the room that it has heard of.
    count: Option<u64>,
}

/// The number of its messages that may be on their way.
const AHEAD: u64 = 3;

impl Returning {
    pub(crate) fn new(number: usize) -> Self {
        let session = Resumable::new(format!("returning-client-number-{number}"));
        Self { session, room: format!("room-{number}"), sent: 0, heard: 0, count: None }
    }

    /// Returns how many times it has come back.
    pub(crate) fn resumptions(&self) -> usize {
        self.session.resumptions
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
                client.write(&numbered(self.sent))?;
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
        let is_new = self.session.id().is_none();
        let mut client = Client::connect(address, &self.room, Some(&self.session.attempt()))?;
        let Heard::Control(greeting) = client.message()? else { panic!("the first message is a greeting") };
        // If there is none, the server shuts down.
        let arrived = self.session.greet(&greeting).ok_or(io::ErrorKind::ConnectionReset)?;
        if let Some(id) = self.session.id().filter(|_| is_new) {
            seen.note_id(u32::try_from(id).expect("an id"), ids_before);
        }
        assert!((self.heard..=self.sent).contains(&arrived), "{greeting} {self:?}");
        for message in arrived + 1..=self.sent {
            client.write(&numbered(message))?;
        }
        Ok(client)
    }

    /// Waits for the next message.
    fn hear(&mut self, client: &mut Client, seen: &Seen) -> io::Result<()> {
        match client.message()? {
            Heard::Control(_) => return Ok(()),
            // It gets its id once, and before it has sent anything.
            Heard::Id(_) => assert_eq!((self.session.received(), self.count), (0, None)),
            Heard::Count { count, sender, message } => {
                assert!(
                    self.count.is_none_or(|last| count == last + 1),
                    "{count} after {:?}: it hears of each message of each client, once and in order",
                    self.count
                );
                self.count = Some(count);
                seen.note_count(count);
                if self.session.id() == Some(sender.into()) {
                    assert_eq!(message, self.heard + 1, "each of its messages counts once");
                    self.heard += 1;
                }
            }
            Heard::Blob => panic!("nobody has asked for it"),
        }
        match self.session.receive() {
            Some(confirmation) => client.write(&Frame::text(&confirmation)),
            None => Ok(()),
        }
    }
}
