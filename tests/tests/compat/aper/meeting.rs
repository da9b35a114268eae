use std::collections::{BTreeMap, VecDeque};

use stateroom_host_min::{ClientInfo, Effect, Event, Room, Step, Trap};
use stateroom_sdk_core::{ClientId, MessageRecipient};

use super::{
    Aper,
    replica::{Message, Replica},
};

/// A room of an Aper service and the clients in it. Nothing happens by itself: a test says which message
/// arrives next, and what time it is.
pub(crate) struct Meeting {
    guest: Aper,
    room: Room,
    pub(crate) now_ms: u64,
    /// The time at which the room's timer is due.
    pub(crate) timer_ms: Option<u64>,
    clients: BTreeMap<ClientId, Client>,
    /// The number of clients that there have been.
    joined: u32,
    /// The log of the room in the last event.
    pub(crate) log: Vec<String>,
}

/// A client, and the messages that are under way.
struct Client {
    replica: Replica,
    to_room: VecDeque<Message>,
    from_room: VecDeque<Message>,
}

impl Meeting {
    /// Returns a room without clients, in November 2023.
    #[track_caller]
    pub(crate) fn new(guest: Aper) -> Self {
        let room = guest.program().room("notes", [7; 32]).expect("it starts");
        let mut meeting = Self {
            guest,
            room,
            now_ms: 1_700_000_000_000,
            timer_ms: None,
            clients: BTreeMap::new(),
            joined: 0,
            log: Vec::new(),
        };
        meeting.run(Event::Init);
        meeting
    }

    /// Lets a client come.
    #[track_caller]
    pub(crate) fn join(&mut self) -> ClientId {
        self.joined += 1;
        let id = ClientId(self.joined);
        let (replica, messages) = Replica::start(self.guest);
        self.clients.insert(id, Client { replica, to_room: messages.into(), from_room: VecDeque::new() });
        self.run(Event::Connect(id, ClientInfo::NONE));
        id
    }

    /// Removes a client. Messages that are under way from it and to it are lost.
    #[track_caller]
    pub(crate) fn leave(&mut self, id: ClientId) {
        self.clients.remove(&id).expect("it is there");
        self.run(Event::Disconnect(id));
    }

    /// Lets a client's user do something.
    #[track_caller]
    pub(crate) fn user(&mut self, id: ClientId, what: &str) {
        let client = self.client(id);
        client.to_room.extend(client.replica.user(what));
    }

    /// Returns what a client shows its user.
    pub(crate) fn shows(&self, id: ClientId) -> &str {
        self.clients[&id].replica.shows()
    }

    /// Returns what time it is in the room, as far as a client has been told.
    pub(crate) fn clock_ms(&self, id: ClientId) -> Option<u64> {
        self.clients[&id].replica.clock_ms()
    }

    /// Returns how many messages are under way to a client.
    pub(crate) fn waiting(&self, id: ClientId) -> usize {
        self.clients[&id].from_room.len()
    }

    /// Delivers the next message from a client, if there is one.
    #[track_caller]
    pub(crate) fn room_hears(&mut self, id: ClientId) -> bool {
        let Some(message) = self.client(id).to_room.pop_front() else { return false };
        self.run(Event::Message(id, message.payload()));
        true
    }

    /// Delivers the next message to a client, if there is one.
    #[track_caller]
    pub(crate) fn client_hears(&mut self, id: ClientId) -> bool {
        let client = self.client(id);
        let Some(message) = client.from_room.pop_front() else { return false };
        client.to_room.extend(client.replica.hears(&message));
        true
    }

    /// Delivers all messages that are under way, and those that are sent because of them.
    #[track_caller]
    pub(crate) fn settle(&mut self) {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        while ids.iter().any(|id| self.room_hears(*id) || self.client_hears(*id)) {}
    }

    /// Time passes, and the room's timer goes off if it is due.
    #[track_caller]
    pub(crate) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        if self.timer_ms.is_some_and(|at| at <= self.now_ms) {
            self.timer_ms = None;
            self.run(Event::Timer);
        }
    }

    #[track_caller]
    fn run(&mut self, event: Event<'_>) {
        self.try_run(event).unwrap_or_else(|trap| panic!("{trap}: {:?}", self.log));
    }

    /// Runs an event to its end, and does what it asks for.
    pub(crate) fn try_run(&mut self, event: Event<'_>) -> Result<(), Trap> {
        let mut step = self.room.handle(event, self.now_ms);
        while matches!(step, Ok(Step::Suspended)) {
            step = self.room.resume();
        }
        self.log.clear();
        for effect in self.room.effects() {
            match effect {
                Effect::Send { recipient, payload } => {
                    let everyone = self.clients.keys().copied();
                    let ids: Vec<_> = match recipient {
                        MessageRecipient::Broadcast => everyone.collect(),
                        MessageRecipient::Client(id) => vec![id],
                        MessageRecipient::EveryoneExcept(id) => {
                            everyone.filter(|other| *other != id).collect()
                        }
                    };
                    for id in ids {
                        let client = self.clients.get_mut(&id).expect("it writes to those who are there");
                        client.from_room.push_back(payload.into());
                    }
                }
                Effect::SetTimer { ms } => self.timer_ms = Some(self.now_ms + u64::from(ms)),
                Effect::CancelTimer => self.timer_ms = None,
                Effect::Log { text, .. } => self.log.push(text.to_owned()),
                _ => panic!("{effect:?}: not known"),
            }
        }
        assert_ne!(step?, Step::Refused);
        Ok(())
    }

    fn client(&mut self, id: ClientId) -> &mut Client {
        self.clients.get_mut(&id).expect("it is there")
    }
}
