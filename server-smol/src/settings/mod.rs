//! The settings of a server.

mod allowed_origin;
#[cfg(feature = "built-in")]
mod built_in;
mod check;
mod durability;
mod give_way;
#[cfg(feature = "built-in")]
mod notices;
mod open_files;
#[cfg(feature = "built-in")]
mod playground;
mod recordings;
mod room_ids;
mod shutdown;
mod subprotocol;
#[cfg(feature = "proxy")]
mod trusted_proxy;
mod upgrade;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

#[cfg(feature = "built-in")]
pub(crate) use self::notices::NoticeReceiver;
#[cfg(feature = "built-in")]
pub(crate) use self::open_files::EVENT_STREAMS;
pub(crate) use self::open_files::{OPERATOR_NEWCOMERS, OPERATOR_REQUESTS};
#[cfg(feature = "proxy")]
pub use self::trusted_proxy::TrustedProxy;
pub use self::{
    allowed_origin::AllowedOrigin,
    durability::Durability,
    recordings::Recordings,
    room_ids::{GeneratedIds, RoomIds},
    shutdown::ShutdownPolicy,
    subprotocol::Subprotocol,
    upgrade::Upgrade,
};
#[cfg(feature = "built-in")]
pub use self::{built_in::BuiltIn, notices::Notices, playground::Playground};
#[cfg(feature = "rooms")]
use crate::admin_token::AdminToken;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{
    admin_address::AdminAddress, listen::ListenAddress, memory::default_total, reactor::ClockSource,
};

/// The settings of a [`Server`](crate::Server). It has a `with_…` method for each of them.
///
/// Each setting that is a limit has a range, which is a constant of this type. The values are
/// [checked](Self::check) before a server starts. A value that equals its default counts as not set, and may
/// be adjusted to the values that are set. All other values are used unchanged, or refused.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The address to listen on. Default: `0.0.0.0`, every interface.
    pub ip: IpAddr,

    /// The port to listen on; 0 lets the system choose. Default: 8080.
    pub port: u16,

    /// The addresses to listen on, in place of [`ip`](Self::ip) and [`port`](Self::port). Default: none, and those two are used.
    pub listen: Vec<ListenAddress>,

    /// True if other processes may listen on the same ports at the same time (`SO_REUSEPORT`). Default: false.
    ///
    /// So a new process can begin before the previous one ends. When this one is told to end, it accepts the connections that wait
    /// for it, and no others. Connections that begin in this very moment may be lost, which is not so with sockets that systemd
    /// keeps ([`ListenAddress::Systemd`]).
    pub reuse_port: bool,

    /// The certificate with which the server speaks TLS on its TCP sockets. It does not on Unix sockets, which are for programs on
    /// this machine. Default: none, and nobody speaks TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,

    /// A port on which clients that do not speak TLS are led to the one on which they do, at the same IP addresses (308). Static files
    /// below `/.well-known/acme-challenge/` are served there, too, so that programs can renew the certificate. Default: none.
    #[cfg(feature = "tls")]
    pub redirect_http: Option<u16>,

    /// The proxies that say for which client they send a request. Default: none.
    ///
    /// If a connection comes from one of them, its requests have the address in their headers `Forwarded` (RFC 7239) or
    /// `X-Forwarded-For`: the last one there that is no trusted proxy. This address counts for the limits of each address, and it is
    /// what rooms and the log see. If a request has both headers and they do not agree, or if one cannot be read, it
    /// gets a 400. A proxy must set or append to at least one of the two headers, because its clients can send both.
    #[cfg(feature = "proxy")]
    pub trusted_proxies: Vec<TrustedProxy>,

    /// True if the connections of [trusted proxies](Self::trusted_proxies) begin with a header of the PROXY protocol, version 2,
    /// which has the address of the client. Others do not, and one without it is closed. Default: false.
    #[cfg(feature = "proxy")]
    pub proxy_protocol: bool,

    /// The time between two WebSocket pings to a client. Zero: no pings. Default: 30 s. This is shorter than
    /// the idle timeouts of common proxies.
    pub heartbeat_interval: Duration,

    /// The time after which the connection of a client that sends nothing is closed. Answers to pings count.
    /// Zero: no limit. Default: 120 s.
    ///
    /// Only this finds clients that have disappeared without closing their connection.
    pub heartbeat_timeout: Duration,

    /// The time in which the server ends when it is told to. Default: 2 s, the minimum.
    ///
    /// Its last two seconds are for the clients to answer. In the time before that, the server closes clients in small batches, one
    /// room after the other, so that they do not all connect to another server in the same moment. Those who have not been closed
    /// yet are served as always. Nobody else can come. Rooms on disk ([`data`](Self::data)) are closed at once, as no other server can
    /// have them before this one has ended.
    pub drain: Duration,

    /// A directory that is served at `/`. Default: none.
    pub static_files: Option<PathBuf>,

    /// Answers a path of a page that does not exist with the page `index.html`: the script in it knows the pages.
    /// Paths of files (`/app.js`), and requests that do not ask for `text/html`, get a 404. Default: false.
    pub single_page: bool,

    /// Files of the program that are served at `/_/`. They come before those of
    /// [`static_files`](Self::static_files). Default: none.
    #[cfg(feature = "built-in")]
    pub built_in: &'static [BuiltIn],

    /// The page at `/_/` that shows what happens in rooms. Default: none.
    #[cfg(feature = "built-in")]
    pub playground: Option<Playground>,

    /// The way in which rooms are created and named. Default: [`RoomIds::Implicit`].
    pub room_ids: RoomIds,

    /// The time at which an empty room ends. Default: [`ShutdownPolicy::Never`].
    pub shutdown: ShutdownPolicy,

    /// The time without events after which a room hibernates. The server then keeps only the memory that the
    /// guest has changed. The next event takes a little longer; there is no other effect. Zero: no room
    /// hibernates. Default: 10 s.
    ///
    /// Rooms are checked at this interval, so a room may stay awake for twice the time. Native services never
    /// hibernate.
    pub hibernate_after: Duration,

    /// The memory of all rooms that are awake, in bytes. Default: 256 MiB. If they have more, the rooms that
    /// have been idle for longest hibernate at once.
    ///
    /// This limits the memory of rooms that are opened faster than they become idle. Each thread has an equal
    /// share of it. Rooms that have changed most of their memory stay awake. If
    /// [`hibernate_after`](Self::hibernate_after) is zero, no room hibernates.
    pub awake_memory: usize,

    /// The memory that guests, clients and requests may take together, in bytes. Default: half of the memory
    /// of the machine, or of the control group (Linux) that the process is in.
    ///
    /// Each thread has an equal share of it. Buffers, connections and new rooms are charged before the memory
    /// is allocated. A running room is charged after each slice. It can exceed its charge by what one slice
    /// allocates. When a charge does not fit, the server takes these steps in this order, until it fits:
    ///
    /// 1. Idle rooms hibernate, and messages that are kept for resumable sessions are forgotten.
    /// 2. The client with the largest outbox is closed (1013).
    /// 3. A new message from a client, a new room or a new connection is refused (1013, 503).
    /// 4. If a running room wants memory, the rooms that have been empty for longest are ended.
    /// 5. The running room that wants the memory fails (1011).
    ///
    /// Without this limit, the system would kill a process that takes too much memory. The program itself and
    /// its libraries take a few MB in addition.
    pub total_memory: usize,

    /// The time for a client to finish a message that it has begun. The server checks this at the same
    /// interval, so a client may take twice the time. Zero: no limit. Default: 30 s.
    ///
    /// The part of a message that has arrived takes memory.
    pub message_timeout: Duration,

    /// The time for which a client may read none of its waiting data. The server checks this at the same
    /// interval, so a client may take twice the time. Zero: no limit. Default: 30 s.
    ///
    /// The waiting data takes memory.
    pub outbox_timeout: Duration,

    /// The maximum number of connections at a time, including those for requests and pages. Default: 10,000.
    /// When the limit is reached, the connection that has sent no request for longest is closed. If there is
    /// none, the new client gets a 503.
    ///
    /// Anybody may connect, and each connection takes memory. This limits the memory that untrusted clients
    /// can use.
    pub max_connections: usize,

    /// The maximum number of connections at a time from one IPv4 address, or from one IPv6 network of 64
    /// bits. Further clients get a 429. Default: none, only [`max_connections`](Self::max_connections) is
    /// used.
    ///
    /// This prevents one client from using all connections. The clients of a school or a mobile network share an
    /// address. So do those of a proxy, unless it is [trusted](Self::trusted_proxies): of the connections of such a
    /// proxy, only WebSockets are counted. So there is no default, and the operator decides.
    pub max_connections_per_address: Option<usize>,

    /// The maximum number of requests for a WebSocket in a second from one IPv4 address, or from one IPv6 network of
    /// 64 bits; ten times as many at once. 0: no limit, which is the default. One more gets a 429.
    ///
    /// This limits how often one client can make rooms wake, and how many tokens it can try with WebSockets. Clients that share an
    /// address share the limit.
    pub join_rate: u32,

    /// The maximum number of clients in a room at a time, those included whose resumable session waits. Default: none.
    /// One more is closed with 1013.
    ///
    /// A message to all clients of a room costs as much time as there are clients.
    pub max_clients_per_room: Option<usize>,

    /// The maximum number of static files that are being sent to clients at a time. Default: 64. A request
    /// for one more gets a 503 with `Retry-After`.
    ///
    /// Each takes an open file, and the memory for a piece of it.
    pub max_downloads: usize,

    /// The maximum number of rooms at a time. Default: 100,000. When the limit is reached, the room that has
    /// been empty for longest is ended. If no room is empty, the new room is refused: its client is closed
    /// with 1013, or gets a 503.
    ///
    /// Anybody may open rooms, and each takes memory. This limits the memory that untrusted clients can use.
    pub max_rooms: usize,

    /// The maximum number of rooms that are created in a second from one IPv4 address, or from one IPv6
    /// network of 64 bits; ten times as many at once. 0: no limit. Default: 1,000. A client that wants one
    /// more is closed with 1013, or gets a 429.
    ///
    /// Empty rooms are ended if new ones need space. This limits how fast one client can end the rooms of
    /// others. Behind a proxy all clients have the proxy's address, and share this limit, unless the proxy is
    /// [trusted](Self::trusted_proxies).
    pub room_rate: u32,

    /// The maximum number of messages, and of pings, that a client may send in a second on one connection; ten times
    /// as many at once. 0: no limit, which is the default. A client that sends one more is closed with 1008.
    ///
    /// This limits the processor time that one client can use. Others are not affected in any case: the server
    /// handles the messages of all clients in turns. If the server does not read for a while, for example because the
    /// room is busy, the time counts for the client.
    pub message_rate: u32,

    /// The maximum number of bytes that a client may send in a second on one connection, with the heads of their
    /// frames; ten times as many at once, and at least two of the largest messages. 0: no limit, which is the
    /// default. A client that sends more is closed with 1008.
    pub byte_rate: u32,

    /// The largest message that a client may send, in bytes. Default: 1 MiB. A larger one closes its
    /// connection with 1009.
    ///
    /// This limits the memory that one client can use.
    pub message_size: usize,

    /// The maximum number of bytes that wait for a client that does not read them, plus 64 for each message.
    /// Default: 8 MiB. A client for which more would wait is closed with 1013. So this is also the largest
    /// message that a native service can send. For a guest, `effect_bytes` of its limits is smaller.
    ///
    /// This limits the memory that a slow client can use. It has no effect on other clients.
    pub outbox_size: usize,

    /// The time for which a resumable session waits for another connection after its connection is lost. Zero: no session waits.
    /// Default: 30 s.
    ///
    /// In this time, the room gets no `disconnect`. A client that resumes gets the messages that it has missed. Only clients that ask
    /// for it have resumable sessions.
    pub resume: Duration,

    /// The maximum number of bytes of sent messages that are kept for a client with a resumable session, until the client confirms
    /// them. Each message counts 64 bytes more. Default: 256 KiB. It is at most [`outbox_size`](Self::outbox_size).
    ///
    /// If there are more, the oldest messages are forgotten. A client that has not received these cannot resume its session.
    /// Messages are kept only while less than half of [`total_memory`](Self::total_memory) is used.
    pub session_buffer: usize,

    /// The operator's address: a Unix socket, or a loopback address. Default: none.
    ///
    /// A client of this address sees the ids of all rooms, and may create and end rooms. Only the user that
    /// runs the server can open a Unix socket. Everybody on this machine can reach a loopback address, but
    /// pages in their browsers cannot. With feature `rooms` and an [`admin_token`](Self::admin_token), it may be
    /// any other address, too.
    pub admin: Option<AdminAddress>,

    /// The token that requests to the operator's address need. Default: none, and they need none.
    ///
    /// The address does not speak TLS: whoever sees the traffic sees the token.
    #[cfg(feature = "rooms")]
    pub admin_token: Option<AdminToken>,

    /// The origins whose pages may open WebSockets, create rooms and read the status. Others get a 403. Default:
    /// [`AllowedOrigin::SAME_HOST`] alone, the host that the request is for. Requests without the header `Origin`, which are those of
    /// programs, are always allowed.
    ///
    /// Browsers let any page open a WebSocket to any server, and send the cookies of its visitor along. They tell the origin of the
    /// page, and leave it to the server to refuse it. A proxy in front of the server has to pass the header `Host` on.
    pub allowed_origins: Vec<AllowedOrigin>,

    /// Decides who may enter and create rooms, before they are opened or wake. Default: none, and everybody may who knows the id of a room.
    #[cfg(feature = "auth")]
    pub access: Option<crate::access::Access>,

    /// The headers of a client's request that its room may
    /// [ask for](stateroom_core::StateroomContext::client_info), whatever the case of their names. Default:
    /// `origin`, `user-agent` and `accept-language`.
    ///
    /// So rooms do not see cookies and passwords, which browsers send automatically.
    pub client_headers: Vec<String>,

    /// The subprotocols that the rooms speak, in the order in which the server prefers them. A client gets the first of them that it
    /// offers, and its room can [ask for](stateroom_core::StateroomContext::client_info) it. A client that offers only others gets a
    /// 400, and its room learns nothing of it. A client that offers none is let in. Default: none; the server selects none then,
    /// whatever a client offers.
    ///
    /// Browsers close a connection on which none of the offered subprotocols is selected.
    pub subprotocols: Vec<Subprotocol>,

    /// The size of the smallest message to a client that is compressed, in bytes, if the client agrees to that
    /// (permessage-deflate, RFC 7692). Such clients may also send compressed messages of any size. Default: none, no messages are
    /// compressed. Large messages, of more than 256 KiB, are not compressed in any case.
    ///
    /// Each message is compressed by itself. So a client takes no memory for it, and a message to many clients is compressed once.
    /// A thread takes 384 KiB.
    #[cfg(feature = "compression")]
    pub compress_from: Option<usize>,

    /// True if the clients of a room that fails are told why: the close reason is the beginning of the failure's words, of at
    /// most 123 bytes. Default: false, and the reason is `the room failed`. A client whose message is too large is told the limit,
    /// too, and the log has a line.
    ///
    /// The words may name files of the service's author, and anything that a panic says. Every page that can open a WebSocket to
    /// the server can read them.
    pub show_failures: bool,

    /// The recordings of the events of rooms with guests. Default: none.
    pub recordings: Recordings,

    /// Decides about a room whose program is replaced, if nothing else is possible. Default: [`Upgrade::Keep`].
    pub upgrade: Upgrade,

    /// The directory in which rooms are kept. They continue from there after the end of the process, however it ended. Only rooms with
    /// guests can be kept. Default: none, and all rooms are lost.
    ///
    /// Nothing that an event has caused is sent to clients before the event is on the disk. If the disk does not keep what it was
    /// given, the process ends with exit code 74.
    pub data: Option<PathBuf>,

    /// The maximum size of the journal in [`data`](Self::data), in bytes. If the rooms need more, they wait. Default: 1 GiB.
    pub journal_size: u64,

    /// Decides how safely the rooms in [`data`](Self::data) are kept. Default: [`Durability::On`].
    pub durability: Durability,

    /// The time for which events may wait before the disk is told to keep them, with [`Durability::Lazy`]. Default: 1 s.
    pub sync_delay: Duration,

    /// The number of threads that run rooms. A room and its connections stay on one of them. Default: 1.
    ///
    /// More threads help if one thread is busy and there are free cores.
    pub threads: usize,

    /// True if the time of each pass of the event loop is measured, for the operator's status. Default:
    /// false, because it takes a system call for each pass.
    #[doc(hidden)]
    pub measure_passes: bool,

    /// The time that a pass of the event loop may spend on work, and then on writing, before it looks at the
    /// sockets again. Default: 0.3 ms. With a longer time, some clients wait for others. It is for
    /// measurements with tools that make the server slow.
    #[doc(hidden)]
    pub pass_time: Duration,

    /// The source of the time.
    pub(crate) clock: ClockSource,
}

impl Settings {
    /// Returns true if rooms may start afresh while clients are in them.
    pub(crate) fn may_reset_rooms(&self) -> bool {
        self.recordings.memory > 0 || self.upgrade == Upgrade::Reset
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 8080,
            listen: Vec::new(),
            reuse_port: false,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            redirect_http: None,
            #[cfg(feature = "proxy")]
            trusted_proxies: Vec::new(),
            #[cfg(feature = "proxy")]
            proxy_protocol: false,
            heartbeat_interval: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(120),
            drain: Self::CLOSING,
            static_files: None,
            single_page: false,
            #[cfg(feature = "built-in")]
            built_in: &[],
            #[cfg(feature = "built-in")]
            playground: None,
            room_ids: RoomIds::default(),
            shutdown: ShutdownPolicy::default(),
            hibernate_after: Duration::from_secs(10),
            awake_memory: 256 << 20,
            total_memory: default_total().max(8 << 20),
            message_timeout: Duration::from_secs(30),
            outbox_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            max_connections_per_address: None,
            join_rate: 0,
            max_clients_per_room: None,
            max_downloads: 64,
            max_rooms: 100_000,
            room_rate: 1_000,
            message_rate: 0,
            byte_rate: 0,
            message_size: 1 << 20,
            outbox_size: 8 << 20,
            resume: Duration::from_secs(30),
            session_buffer: 256 << 10,
            admin: None,
            #[cfg(feature = "rooms")]
            admin_token: None,
            allowed_origins: vec![AllowedOrigin::SAME_HOST],
            #[cfg(feature = "auth")]
            access: None,
            client_headers: ["origin", "user-agent", "accept-language"].map(String::from).into(),
            subprotocols: Vec::new(),
            #[cfg(feature = "compression")]
            compress_from: None,
            show_failures: false,
            recordings: Recordings::default(),
            upgrade: Upgrade::default(),
            data: None,
            journal_size: 1 << 30,
            durability: Durability::default(),
            sync_delay: Duration::from_secs(1),
            threads: 1,
            measure_passes: false,
            pass_time: Duration::from_micros(300),
            clock: ClockSource::System,
        }
    }
}
