use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::{
    admin_address::AdminAddress,
    listen::ListenAddress,
    reactor::{ClockSource, VirtualClock},
    settings::{AllowedOrigin, Durability, Recordings, RoomIds, ShutdownPolicy, Subprotocol, Upgrade},
};

use super::Server;
#[cfg(feature = "rooms")]
use crate::admin_token::AdminToken;

/// Methods that set what is in [`Settings`](crate::Settings).
impl Server {
    /// Sets the address to listen on.
    pub fn with_ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.settings.ip = ip.into();
        self
    }

    /// Sets the port to listen on; 0 lets the system choose.
    pub fn with_port(mut self, port: u16) -> Self {
        self.settings.port = port;
        self
    }

    /// Adds an address to listen on, in place of those of [`with_ip`](Self::with_ip) and [`with_port`](Self::with_port).
    pub fn with_listen(mut self, address: ListenAddress) -> Self {
        self.settings.listen.push(address);
        self
    }

    /// Sets whether other processes may listen on the same ports.
    pub fn with_reuse_port(mut self, reuse: bool) -> Self {
        self.settings.reuse_port = reuse;
        self
    }

    /// Sets the certificate with which the server speaks TLS. `serve_guests` reads it again with SIGHUP; other programs call
    /// [`Tls::reload`](crate::Tls::reload) of a clone.
    #[cfg(feature = "tls")]
    pub fn with_tls(mut self, tls: Option<crate::tls::Tls>) -> Self {
        self.settings.tls = tls;
        self
    }

    /// Sets the port on which clients are led to the one for TLS.
    #[cfg(feature = "tls")]
    pub fn with_redirect_http(mut self, port: Option<u16>) -> Self {
        self.settings.redirect_http = port;
        self
    }

    /// Sets how often clients are pinged; zero sends no pings.
    pub fn with_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.heartbeat_interval = interval;
        self
    }

    /// Sets how long a client may be silent before its connection is dropped; zero waits forever.
    pub fn with_heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.settings.heartbeat_timeout = timeout;
        self
    }

    /// Sets the time in which the server ends when it is told to; see [`Settings::drain`](crate::Settings::drain).
    pub fn with_drain(mut self, time: Duration) -> Self {
        self.settings.drain = time;
        self
    }

    /// Sets the directory that is served at `/`.
    pub fn with_static_files(mut self, directory: Option<PathBuf>) -> Self {
        self.settings.static_files = directory;
        self
    }

    /// Sets whether `index.html` is the page for all paths of pages that do not exist.
    pub fn with_single_page(mut self, single_page: bool) -> Self {
        self.settings.single_page = single_page;
        self
    }

    /// Sets the files of the program that are served at `/_/`.
    #[cfg(feature = "built-in")]
    pub fn with_built_in(mut self, files: &'static [crate::settings::BuiltIn]) -> Self {
        self.settings.built_in = files;
        self
    }

    /// Sets the page at `/_/` that shows what happens in rooms.
    #[cfg(feature = "built-in")]
    pub fn with_playground(mut self, playground: Option<crate::settings::Playground>) -> Self {
        self.settings.playground = playground;
        self
    }

    /// Sets who may create rooms, and how they are named.
    pub fn with_room_ids(mut self, room_ids: RoomIds) -> Self {
        self.settings.room_ids = room_ids;
        self
    }

    /// Sets what happens to a room that nobody is in.
    pub fn with_shutdown(mut self, shutdown: ShutdownPolicy) -> Self {
        self.settings.shutdown = shutdown;
        self
    }

    /// Sets how long a room has no event before it hibernates; zero: none ever does.
    pub fn with_hibernate_after(mut self, delay: Duration) -> Self {
        self.settings.hibernate_after = delay;
        self
    }

    /// Sets how much memory the rooms may have together that are awake, in bytes.
    pub fn with_awake_memory(mut self, bytes: usize) -> Self {
        self.settings.awake_memory = bytes;
        self
    }

    /// Sets how much memory guests, clients and requests may take together, in bytes.
    pub fn with_total_memory(mut self, bytes: usize) -> Self {
        self.settings.total_memory = bytes;
        self
    }

    /// Sets how long a client may take to finish a message; zero: as long as it likes.
    pub fn with_message_timeout(mut self, timeout: Duration) -> Self {
        self.settings.message_timeout = timeout;
        self
    }

    /// Sets how long a client may take nothing of what waits for it; zero: as long as it likes.
    pub fn with_outbox_timeout(mut self, timeout: Duration) -> Self {
        self.settings.outbox_timeout = timeout;
        self
    }

    /// Sets how many connections there may be at a time.
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// Sets how many connections there may be from one address at a time, if they are to be counted.
    pub fn with_max_connections_per_address(mut self, connections: Option<usize>) -> Self {
        self.settings.max_connections_per_address = connections;
        self
    }

    /// Sets how many WebSockets may be asked for in a second from one address; 0 is no limit. See [`Settings::join_rate`](crate::Settings::join_rate).
    pub fn with_join_rate(mut self, joins: u32) -> Self {
        self.settings.join_rate = joins;
        self
    }

    /// Sets how many clients a room may have at a time, if they are to be counted.
    pub fn with_max_clients_per_room(mut self, clients: Option<usize>) -> Self {
        self.settings.max_clients_per_room = clients;
        self
    }

    /// Sets how many messages a client may send in a second on a connection; 0 is no limit. See
    /// [`Settings::message_rate`](crate::Settings::message_rate).
    pub fn with_message_rate(mut self, messages: u32) -> Self {
        self.settings.message_rate = messages;
        self
    }

    /// Sets how many bytes a client may send in a second on a connection; 0 is no limit. See [`Settings::byte_rate`](crate::Settings::byte_rate).
    pub fn with_byte_rate(mut self, bytes: u32) -> Self {
        self.settings.byte_rate = bytes;
        self
    }

    /// Sets the proxies that say for which client they send a request; see [`Settings::trusted_proxies`](crate::Settings::trusted_proxies).
    #[cfg(feature = "proxy")]
    pub fn with_trusted_proxies(
        mut self,
        proxies: impl IntoIterator<Item = crate::settings::TrustedProxy>,
    ) -> Self {
        self.settings.trusted_proxies = proxies.into_iter().collect();
        self
    }

    /// Sets whether the connections of trusted proxies begin with a header of the PROXY protocol; see
    /// [`Settings::proxy_protocol`](crate::Settings::proxy_protocol).
    #[cfg(feature = "proxy")]
    pub fn with_proxy_protocol(mut self, is_used: bool) -> Self {
        self.settings.proxy_protocol = is_used;
        self
    }

    /// Sets how many downloads there may be at a time.
    pub fn with_max_downloads(mut self, downloads: usize) -> Self {
        self.settings.max_downloads = downloads;
        self
    }

    /// Sets how many rooms there may be at a time.
    pub fn with_max_rooms(mut self, rooms: usize) -> Self {
        self.settings.max_rooms = rooms;
        self
    }

    /// Sets how many rooms may be created in a second from one address; 0 is no limit.
    pub fn with_room_rate(mut self, rooms: u32) -> Self {
        self.settings.room_rate = rooms;
        self
    }

    /// Sets the largest message that a client may send, in bytes.
    pub fn with_message_size(mut self, bytes: usize) -> Self {
        self.settings.message_size = bytes;
        self
    }

    /// Sets how many bytes may wait for a client that does not read them.
    pub fn with_outbox_size(mut self, bytes: usize) -> Self {
        self.settings.outbox_size = bytes;
        self
    }

    /// Sets how long a resumable session waits for another connection; zero: not at all. See [`Settings::resume`](crate::Settings::resume).
    pub fn with_resume(mut self, time: Duration) -> Self {
        self.settings.resume = time;
        self
    }

    /// Sets how many bytes of sent messages are kept for a client with a resumable session.
    pub fn with_session_buffer(mut self, bytes: usize) -> Self {
        self.settings.session_buffer = bytes;
        self
    }

    /// Sets where the operator reaches the server; see [`Settings::admin`](crate::Settings::admin).
    pub fn with_admin(mut self, address: Option<AdminAddress>) -> Self {
        self.settings.admin = address;
        self
    }

    /// Sets the token that requests of the operator need; see [`Settings::admin_token`](crate::Settings::admin_token).
    #[cfg(feature = "rooms")]
    pub fn with_admin_token(mut self, token: Option<AdminToken>) -> Self {
        self.settings.admin_token = token;
        self
    }

    /// Sets the origins whose pages may use the rooms; see [`Settings::allowed_origins`](crate::Settings::allowed_origins).
    pub fn with_allowed_origins(mut self, origins: impl IntoIterator<Item = AllowedOrigin>) -> Self {
        self.settings.allowed_origins = origins.into_iter().collect();
        self
    }

    /// Sets who may enter and create rooms.
    #[cfg(feature = "auth")]
    pub fn with_access(mut self, access: Option<crate::access::Access>) -> Self {
        self.settings.access = access;
        self
    }

    /// Lets rooms see one more header of their clients' requests.
    pub fn with_client_header(mut self, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if !self.settings.client_headers.contains(&name) {
            self.settings.client_headers.push(name);
        }
        self
    }

    /// Adds a subprotocol, after those that the server prefers to it; see [`Settings::subprotocols`](crate::Settings::subprotocols).
    pub fn with_subprotocol(mut self, subprotocol: Subprotocol) -> Self {
        self.settings.subprotocols.push(subprotocol);
        self
    }

    /// Sets the size of the smallest message to a client that is compressed; see [`Settings::compress_from`](crate::Settings::compress_from).
    #[cfg(feature = "compression")]
    pub fn with_compression(mut self, from: Option<usize>) -> Self {
        self.settings.compress_from = from;
        self
    }

    /// Sets whether the clients of a room that fails are told why, and those whose messages are too large are told the limit.
    pub fn with_show_failures(mut self, show: bool) -> Self {
        self.settings.show_failures = show;
        self
    }

    /// Sets what of the events of rooms is recorded.
    pub fn with_recordings(mut self, recordings: Recordings) -> Self {
        self.settings.recordings = recordings;
        self
    }

    /// Sets what happens to a room whose program is replaced, if nothing else is possible.
    pub fn with_upgrade(mut self, upgrade: Upgrade) -> Self {
        self.settings.upgrade = upgrade;
        self
    }

    /// Sets the directory in which rooms are kept.
    pub fn with_data(mut self, directory: Option<PathBuf>) -> Self {
        self.settings.data = directory;
        self
    }

    /// Sets how large the journal of the rooms on disk may become, in bytes.
    pub fn with_journal_size(mut self, bytes: u64) -> Self {
        self.settings.journal_size = bytes;
        self
    }

    /// Sets how safely rooms are kept.
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Sets how long events may wait before the disk is told to keep them, with [`Durability::Lazy`].
    pub fn with_sync_delay(mut self, delay: Duration) -> Self {
        self.settings.sync_delay = delay;
        self
    }

    /// Sets how many threads run rooms.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads;
        self
    }

    /// Makes the server use `clock` in place of the system's clock: for tests, which need not wait then.
    pub fn with_clock(mut self, clock: VirtualClock) -> Self {
        self.settings.clock = ClockSource::Virtual(clock);
        self
    }
}
