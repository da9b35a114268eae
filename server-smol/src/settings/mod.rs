//! How a server behaves.

mod check;
mod give_way;
mod room_ids;
mod shutdown;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

pub use self::{
    room_ids::{GeneratedIds, RoomIds},
    shutdown::ShutdownPolicy,
};
use crate::{admin_address::AdminAddress, memory::default_total, reactor::ClockSource};

/// How a [`Server`](crate::Server) behaves. Each setting has a `with_…` method there.
///
/// What bounds something has a range, a constant here. The values are [checked](Self::check) before a server starts.
/// Those that have their defaults count as not set: they give way to those that are set, where these leave them less.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The address to listen on. Default: `0.0.0.0`, every interface.
    pub ip: IpAddr,

    /// The port to listen on; 0 lets the system choose. Default: 8080.
    pub port: u16,

    /// How often a client is sent a WebSocket ping. Zero sends none. Default: 30 s, short enough for the
    /// idle limits of common proxies.
    pub heartbeat_interval: Duration,

    /// How long a client may be silent, pongs included, before its connection is dropped. Zero waits
    /// forever. Default: 120 s.
    ///
    /// Clients that vanish without a word are found only by this.
    pub heartbeat_timeout: Duration,

    /// A directory that is served at `/`. Default: none.
    pub static_files: Option<PathBuf>,

    /// Who may create rooms, and how they are named. Default: [`RoomIds::Implicit`].
    pub room_ids: RoomIds,

    /// What happens to a room that nobody is in. Default: [`ShutdownPolicy::Never`].
    pub shutdown: ShutdownPolicy,

    /// How long a room has no event before it hibernates: of its guest only what has changed is kept until the next
    /// event, which takes a little longer. Nobody notices otherwise. Zero: none ever does. Default: 10 s.
    ///
    /// A room that has had an event is looked at again as long after that, so it may take twice the time. Native
    /// services never hibernate.
    pub hibernate_after: Duration,

    /// How much memory the rooms may have together that are awake, in bytes. Default: 256 MiB. Beyond it, those that have
    /// been idle for longest hibernate at once.
    ///
    /// It bounds what rooms can take that are opened faster than they become idle. Each thread has its share of it. Rooms
    /// that have changed most of their memory stay as they are, and nothing hibernates where
    /// [`hibernate_after`](Self::hibernate_after) is zero.
    pub awake_memory: usize,

    /// How much memory guests, clients and requests may make the server hold together, in bytes. Default: half of what the
    /// machine has, or the control group (Linux) that the process is in.
    ///
    /// Each thread has its share of it. What would be more than that is answered in this order: idle rooms hibernate, the
    /// client with the largest outbox is closed (1013), new messages, rooms and connections are refused (1013, 503), the rooms
    /// end that have been empty for longest, and the room that wants the memory fails (1011). It protects the process, which
    /// the system would end: the program itself and its libraries take some MB beside it.
    pub total_memory: usize,

    /// How long a client may take to finish a message that it has begun. It is looked at that often, so that it may take twice
    /// the time. Zero: as long as it likes. Default: 30 s.
    ///
    /// What has come of a message takes memory.
    pub message_timeout: Duration,

    /// How long a client may take nothing of what waits for it. It is looked at that often, so that it may take twice the
    /// time. Zero: as long as it likes. Default: 30 s.
    ///
    /// What waits takes memory.
    pub outbox_timeout: Duration,

    /// How many connections there may be at a time, those of requests and pages counted in. Default: 10,000. Where there
    /// are as many, the one makes place that has asked for nothing for longest; where all of them have, whoever wants to be one
    /// client more is turned away, with 503.
    ///
    /// Anybody may connect, and each connection takes memory: it bounds what strangers can make the server hold.
    pub max_connections: usize,

    /// How many connections there may be at a time from one IPv4 address, or from one IPv6 network of 64 bits. Others are
    /// answered with 503. Default: none, as many as there may be at all.
    ///
    /// It keeps one client from taking all places. Behind a proxy all clients come from the proxy's address, as they do
    /// from that of a school or a mobile network: so it is the operator's to set, or the proxy's.
    pub max_connections_per_address: Option<usize>,

    /// How many static files may be on their way to clients at a time. Default: 64. Who wants one more is told to come again
    /// (503).
    ///
    /// Each has an open file, and a piece of it in memory.
    pub max_downloads: usize,

    /// How many rooms there may be at a time. Default: 100,000. Who wants one more is turned away, with 1013 or 503.
    ///
    /// Anybody may open rooms, and each takes memory: it bounds what strangers can make the server hold.
    pub max_rooms: usize,

    /// How many rooms may be created in a second from one IPv4 address, or from one IPv6 network of 64 bits; ten times as many
    /// at once. 0: as many as anybody likes. Default: 1,000. Who wants one more is turned away, with 1013 or 429.
    ///
    /// Rooms that nobody is in make place for new ones: it bounds how fast one client can have others' rooms end. Behind a
    /// proxy all clients have its address, and share this.
    pub room_rate: u32,

    /// The largest message that a client may send, in bytes. Default: 1 MiB. A larger one closes its
    /// connection with 1009.
    ///
    /// It bounds what one client can make the server hold.
    pub message_size: usize,

    /// How many bytes may wait for a client that does not read them, with 64 for each message on top.
    /// Default: 8 MiB. A client beyond it is closed with 1013, so this is also the largest message that a room can
    /// send.
    ///
    /// It bounds what a slow client can make the server hold; nobody else notices.
    pub outbox_size: usize,

    /// Where the operator reaches the server: a Unix socket, or a loopback address. Default: none.
    ///
    /// Whoever reaches it sees the ids of all rooms, and may create and end rooms. A Unix socket is its user's alone; a
    /// loopback address is everybody's who is on this machine, but not of pages in their browsers.
    pub admin: Option<AdminAddress>,

    /// The headers of a client's request that its room may
    /// [ask for](stateroom_core::StateroomContext::client_info), whatever the case of their names. Default:
    /// `origin`, `user-agent` and `accept-language`.
    ///
    /// It keeps cookies and passwords, which browsers send along by themselves, from rooms that have no business with
    /// them.
    pub client_headers: Vec<String>,

    /// How many threads run rooms. A room and its connections stay on one of them. Default: 1.
    ///
    /// More than one pays off where the one is busy and there are cores left.
    pub threads: usize,

    /// Whether the time of each pass of the event loop is measured, for the operator's status. Default: no, as it takes
    /// a system call for each.
    #[doc(hidden)]
    pub measure_passes: bool,

    /// How long a pass of the event loop may go on with work, and then with writing, before it looks at the sockets again.
    /// Default: 0.3 ms. More makes some clients wait for others; it is for tools that make the server slow to count what it
    /// does.
    #[doc(hidden)]
    pub pass_time: Duration,

    /// Where the time comes from.
    pub(crate) clock: ClockSource,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8080,
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(120),
            static_files: None,
            room_ids: RoomIds::default(),
            shutdown: ShutdownPolicy::default(),
            hibernate_after: Duration::from_secs(10),
            awake_memory: 256 << 20,
            total_memory: default_total().max(8 << 20),
            message_timeout: Duration::from_secs(30),
            outbox_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            max_connections_per_address: None,
            max_downloads: 64,
            max_rooms: 100_000,
            room_rate: 1_000,
            message_size: 1 << 20,
            outbox_size: 8 << 20,
            admin: None,
            client_headers: ["origin", "user-agent", "accept-language"].map(String::from).into(),
            threads: 1,
            measure_passes: false,
            pass_time: Duration::from_micros(300),
            clock: ClockSource::System,
        }
    }
}
