use std::ops::AddAssign;

use smol::channel::Sender;

use crate::{
    admission::Permit,
    close::CloseReason,
    log_line::ConnectionId,
    reactor::AnyTransport,
    room::{ClientInfo, CreateRoomError, Renewals, RoomId, RoomStatus, SessionRequest},
};

#[cfg(feature = "metrics")]
use crate::metrics::Snapshot;
#[cfg(feature = "built-in")]
use crate::requests::EventSender;
#[cfg(feature = "rooms")]
use crate::room::{Action, Base, NotDone, NotImported, Presence};
#[cfg(feature = "compression")]
use crate::websocket::Agreement;

/// A request of the rest of the server to a worker.
pub(crate) enum Command {
    /// Create a room that does not exist.
    Create(RoomId, Sender<Result<(), CreateRoomError>>),
    /// Say whether a room exists.
    Exists(RoomId, Sender<Result<bool, String>>),
    /// End a room, and say whether there was one.
    Close(RoomId, Sender<Result<bool, String>>),
    /// Say what is known of a room.
    #[cfg(feature = "rooms")]
    Find(RoomId, Sender<Presence>),
    /// Do in a room what the operator wants, and say what has become of it.
    #[cfg(feature = "rooms")]
    Act(RoomId, Action, Sender<Result<usize, NotDone>>),
    /// Add a room that comes from elsewhere.
    #[cfg(feature = "rooms")]
    Import(RoomId, Base, Sender<Result<(), NotImported>>),
    /// Charge memory that another thread takes. Nothing if there is not so much.
    #[cfg(feature = "rooms")]
    Charge(usize, Sender<Option<RemoteCharge>>),
    /// Take over a connection that has asked for a room.
    Connect(RoomId, Arrival),
    /// Say how much there is.
    Count(Sender<Counts>),
    /// Return all counts since the start.
    #[cfg(feature = "metrics")]
    Measure(Sender<(Counts, Snapshot)>),
    /// Say which rooms there are behind the one of this id, so many at most, in the order of their ids.
    List(Option<RoomId>, usize, Sender<Vec<RoomStatus>>),
    /// Send records of what happens in a room.
    #[cfg(feature = "built-in")]
    Trace(RoomId, EventSender),
    /// Return the recording of a room, if there is one.
    Recording(RoomId, Sender<Option<Vec<u8>>>),
    /// Renew all rooms, and say what has become of them.
    Renew(Sender<Renewals>),
    /// End an empty room, if there are as many rooms as there may be.
    EndEmptyRoom,
    /// Say goodbye to all clients with this reason, and end.
    End(CloseReason),
}

/// Memory that another thread takes, charged until this is dropped.
#[cfg(feature = "rooms")]
pub(crate) struct RemoteCharge {
    pub(super) _until: Sender<()>,
}

/// A connection that has just become a WebSocket, on another thread.
pub(crate) struct Arrival {
    pub(crate) transport: AnyTransport,
    pub(crate) new_client: NewClient,
}

/// A client that comes with a new WebSocket.
pub(crate) struct NewClient {
    /// The id of its connection in the log.
    pub(crate) connection: ConnectionId,
    /// The bytes that have been read of the connection beyond the HTTP request.
    pub(crate) read_ahead: Vec<u8>,
    /// The information that its client has brought with it.
    pub(crate) info: Box<ClientInfo>,
    pub(crate) permit: Permit,
    /// Its request for a resumable session, if it has one.
    pub(crate) session: Option<Box<SessionRequest>>,
    /// Its agreement with the server about compressed messages, if there is one.
    #[cfg(feature = "compression")]
    pub(crate) compression: Option<Agreement>,
}

/// The counts of a thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) rooms: usize,
    pub(crate) hibernating_rooms: usize,
    /// The memory of the rooms that are awake, in bytes, like what follows.
    pub(crate) awake_memory: usize,
    pub(crate) memory: usize,
    pub(crate) peak_memory: usize,
    pub(crate) memory_limit: usize,
    pub(crate) clients: usize,
    #[cfg(feature = "metrics")]
    pub(crate) tasks: usize,
    /// The 99th percentile of the passes' times in microseconds, if they are measured.
    pub(crate) p99_pass: Option<u64>,
    pub(crate) longest_pass: u64,
}

impl AddAssign for Counts {
    /// Adds up what there is on several threads.
    fn add_assign(&mut self, other: Self) {
        self.rooms += other.rooms;
        self.hibernating_rooms += other.hibernating_rooms;
        self.awake_memory += other.awake_memory;
        self.memory += other.memory;
        self.peak_memory += other.peak_memory;
        self.memory_limit += other.memory_limit;
        self.clients += other.clients;
        #[cfg(feature = "metrics")]
        {
            self.tasks += other.tasks;
        }
        self.p99_pass = self.p99_pass.max(other.p99_pass);
        self.longest_pass = self.longest_pass.max(other.longest_pass);
    }
}
