//! Lines of the log that are about a connection, a room or a client. These are also key-value pairs of the line
//! ([`log::kv`]), so that a logger can write them as fields of their own.

use std::{
    fmt::{self, Arguments},
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use log::{
    Level, Record,
    kv::{Error, Key, Source, Value, VisitSource},
};
use stateroom_core::ClientId;

/// The id of a connection in the log, from its arrival to its end: `c17`. No other connection of the process has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    /// Returns the id of the next connection.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// The address of a client, as lines of the log have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(
    /// The port is 0 if it is not known, because a proxy names the client.
    pub(crate) SocketAddr,
);

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A socket for IPv6 and IPv4 has addresses such as `::ffff:192.0.2.7`.
        match (self.0.ip().to_canonical(), self.0.port()) {
            (ip, 0) => ip.fmt(f),
            (ip, port) => SocketAddr::new(ip, port).fmt(f),
        }
    }
}

/// The connection, room and client that a line is about, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) address: Option<ClientAddress>,
    pub(crate) room: Option<&'a str>,
    pub(crate) client: Option<ClientId>,
}

impl<'a> About<'a> {
    pub(crate) fn connection(connection: ConnectionId) -> Self {
        Self { connection: Some(connection), ..Self::default() }
    }

    pub(crate) fn room(room: &'a str) -> Self {
        Self { room: Some(room), ..Self::default() }
    }

    /// Returns the same for a line that is also about a room.
    pub(crate) fn of_room(self, room: &'a str) -> Self {
        Self { room: Some(room), ..self }
    }

    /// Returns the same for a line that is also about a connection.
    pub(crate) fn of_connection(self, connection: ConnectionId) -> Self {
        Self { connection: Some(connection), ..self }
    }
}

impl Source for About<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        if let Some(connection) = &self.connection {
            visitor.visit_pair(Key::from("connection"), Value::from_display(connection))?;
        }
        if let Some(address) = &self.address {
            visitor.visit_pair(Key::from("address"), Value::from_display(address))?;
        }
        if let Some(room) = self.room {
            visitor.visit_pair(Key::from("room"), Value::from(room))?;
        }
        if let Some(ClientId(client)) = self.client {
            visitor.visit_pair(Key::from("client"), Value::from(client))?;
        }
        Ok(())
    }
}

/// Writes a line, which the caller knows to be wanted.
#[cold]
pub(crate) fn write(target: &str, level: Level, about: &About<'_>, line: Arguments<'_>) {
    let record = Record::builder().target(target).level(level).key_values(about).args(line).build();
    log::logger().log(&record);
}

/// Writes a line for those who look for an error, with what it is about before its words.
macro_rules! debug_about {
    ($about:expr, $($words:tt)+) => {
        if log::log_enabled!(log::Level::Debug) {
            $crate::log_line::write(module_path!(), log::Level::Debug, &$about, format_args!($($words)+));
        }
    };
}

pub(crate) use debug_about;

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects the pairs of a line.
    struct Pairs(Vec<String>);

    impl<'kvs> VisitSource<'kvs> for Pairs {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
            self.0.push(format!("{key}={value}"));
            Ok(())
        }
    }

    #[test]
    fn an_address_is_written_as_people_write_it() {
        for (address, text) in [
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[::ffff:192.0.2.7]:80", "192.0.2.7:80"),
            ("[2001:db8::7]:80", "[2001:db8::7]:80"),
            ("192.0.2.7:0", "192.0.2.7"),
            ("[2001:db8::7]:0", "2001:db8::7"),
        ] {
            assert_eq!(ClientAddress(address.parse().unwrap()).to_string(), text);
        }
    }

    #[test]
    fn a_line_has_what_is_known_as_pairs() {
        let pairs = |about: About<'_>| {
            let mut pairs = Pairs(Vec::new());
            about.visit(&mut pairs).expect("it fails never");
            pairs.0
        };
        assert!(pairs(About::default()).is_empty());
        let about = About {
            connection: Some(ConnectionId(17)),
            address: Some(ClientAddress(([127, 0, 0, 1], 5).into())),
            room: Some("lobby"),
            client: Some(ClientId(3)),
        };
        assert_eq!(pairs(about), ["connection=c17", "address=127.0.0.1:5", "room=lobby", "client=3"]);
    }

    #[test]
    fn no_two_connections_have_the_same_id() {
        let [first, second] = [(); 2].map(|()| ConnectionId::next());
        assert_ne!(first, second);
    }
}
