//! The settings of a server.

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

/// The settings of a [`Server`](crate::Server). It has a `with_…` method for each of them.
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

    /// The time between two WebSocket pings of a client. Zero sends none. Default: 30 s, short enough for the idle
    /// limits of common proxies.
    pub heartbeat_interval: Duration,

    /// The time after which the connection of a silent client is dropped. Pongs count as signs of life. Zero waits
    /// forever. Default: 120 s.
    ///
    /// Clients that vanish without a word are found only by this.
    pub heartbeat_timeout: Duration,

    /// A directory that is served at `/`. Default: none.
    pub static_files: Option<PathBuf>,

    /// The way in which rooms are created and named. Default: [`RoomIds::Implicit`].
    pub room_ids: RoomIds,

    /// The end of a room that nobody is in. Default: [`ShutdownPolicy::Never`].
    pub shutdown: ShutdownPolicy,

    /// The time without events after which a room hibernates. Then only what its guest has changed is kept until the
    /// next event, which takes a little longer. Nobody notices otherwise. Zero: no room hibernates. Default: 10 s.
    ///
    /// A room that has had an event is looked at again as long after that, so it may take twice the time. Native
    /// services never hibernate.
    pub hibernate_after: Duration,

    /// The memory that rooms may have together while they are awake, in bytes. Default: 256 MiB. Beyond it, the rooms
    /// that have been idle for longest hibernate at once.
    ///
    /// It bounds what rooms can take that are opened faster than they become idle. Each thread has its share of it. Rooms
    /// that have changed most of their memory stay as they are, and nothing hibernates where
    /// [`hibernate_after`](Self::hibernate_after) is zero.
    pub awake_memory: usize,

    /// The memory that guests, clients and requests may take together, in bytes. Default: half of the memory of the
    /// machine, or of the control group (Linux) that the process is in.
    ///
    /// Each thread has its share of it. What would be more than that is answered in this order: idle rooms hibernate, the
    /// client with the largest outbox is closed (1013), new messages, rooms and connections are refused (1013, 503), the rooms
    /// end that have been empty for longest, and the room that wants the memory fails (1011). It protects the process, which
    /// the system would end: the program itself and its libraries take some MB beside it.
    pub total_memory: usize,

    /// The time that a client has to finish a message that it has begun. The server checks it at this interval, so a
    /// client may take twice the time. Zero: no limit. Default: 30 s.
    ///
    /// What has come of a message takes memory.
    pub message_timeout: Duration,

    /// The time for which a client may take nothing of its waiting data. The server checks it at this interval, so a
    /// client may take twice the time. Zero: no limit. Default: 30 s.
    ///
    /// What waits takes memory.
    pub outbox_timeout: Duration,

    /// The maximum number of connections at a time, with those of requests and pages. Default: 10,000. At the
    /// maximum, the connection that has asked for nothing for longest is closed to make space. If all of them have
    /// asked for something, a further client gets a 503.
    ///
    /// Anybody may connect, and each connection takes memory: it bounds what strangers can make the server hold.
    pub max_connections: usize,

    /// The maximum number of connections at a time from one IPv4 address, or from one IPv6 network of 64 bits. Others
    /// get a 503. Default: none, only [`max_connections`](Self::max_connections) holds.
    ///
    /// It keeps one client from taking all places. Behind a proxy all clients come from the proxy's address, as they do
    /// from that of a school or a mobile network: so it is the operator's to set, or the proxy's.
    pub max_connections_per_address: Option<usize>,

    /// The maximum number of static files that are on their way to clients at a time. Default: 64. A client that
    /// wants one more gets a 503, and is told to try again.
    ///
    /// Each has an open file, and a piece of it in memory.
    pub max_downloads: usize,

    /// The maximum number of rooms at a time. Default: 100,000. A client that wants one more is closed with 1013, or
    /// gets a 503.
    ///
    /// Anybody may open rooms, and each takes memory: it bounds what strangers can make the server hold.
    pub max_rooms: usize,

    /// The maximum number of rooms that are created in a second from one IPv4 address, or from one IPv6 network of 64
    /// bits; ten times as many at once. 0: no limit. Default: 1,000. A client that wants one more is closed with
    /// 1013, or gets a 429.
    ///
    /// Empty rooms end if new ones need space: this bounds how fast one client can end the rooms of others. Behind a
    /// proxy all clients have its address, and share this.
    pub room_rate: u32,

    /// The largest message that a client may send, in bytes. Default: 1 MiB. A larger one closes its
    /// connection with 1009.
    ///
    /// It bounds what one client can make the server hold.
    pub message_size: usize,

    /// The maximum number of bytes that wait for a client that does not read them, with 64 more for each message.
    /// Default: 8 MiB. A client beyond it is closed with 1013, so this is also the largest message that a room can
    /// send.
    ///
    /// It bounds what a slow client can make the server hold; nobody else notices.
    pub outbox_size: usize,

    /// The operator's address: a Unix socket, or a loopback address. Default: none.
    ///
    /// A client of this address sees the ids of all rooms, and may create and end rooms. Only the user that runs the
    /// server can open a Unix socket. Everybody on this machine can reach a loopback address, but pages in their
    /// browsers cannot.
    pub admin: Option<AdminAddress>,

    /// The headers of a client's request that its room may
    /// [ask for](stateroom_core::StateroomContext::client_info), whatever the case of their names. Default:
    /// `origin`, `user-agent` and `accept-language`.
    ///
    /// It keeps cookies and passwords, which browsers send along by themselves, from rooms that have no business with
    /// them.
    pub client_headers: Vec<String>,

    /// The number of threads that run rooms. A room and its connections stay on one of them. Default: 1.
    ///
    /// More than one pays off where the one is busy and there are cores left.
    pub threads: usize,

    /// True if the time of each pass of the event loop is measured, for the operator's status. Default: false, as it
    /// takes a system call for each.
    #[doc(hidden)]
    pub measure_passes: bool,

    /// The time that a pass of the event loop may spend on work, and then on writing, before it looks at the sockets
    /// again. Default: 0.3 ms. A longer time makes some clients wait for others. It is for tools that make the server
    /// slow, to count what it does.
    #[doc(hidden)]
    pub pass_time: Duration,

    /// The source of the time.
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
