use std::{fmt, sync::Arc};

use stateroom_tests::Frame;

use crate::http::upgrade;

/// The plan for each connection of a swarm.
pub(crate) struct Plan {
    /// The first bytes of a connection, by its number. Connections that are made anew have numbers of their own.
    pub(super) begin: Box<dyn Fn(usize) -> Vec<u8> + Send>,
    /// True if it waits for a WebSocket before it sends more.
    pub(super) is_client: bool,
    pub(super) says: Arc<[u8]>,
    pub(super) is_repeating: bool,
    pub(super) is_reading: bool,
    pub(super) is_returning: bool,
    pub(super) is_from_one_address: bool,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("is_client", &self.is_client).finish_non_exhaustive()
    }
}

impl Plan {
    /// Joins a room, and reads what it is told.
    pub(crate) fn joining(room: impl Fn(usize) -> String + Send + 'static) -> Self {
        Self {
            begin: Box::new(move |number| upgrade(&room(number)).into_bytes()),
            is_client: true,
            ..Self::silent()
        }
    }

    /// Connects, and reads.
    pub(crate) fn silent() -> Self {
        Self {
            begin: Box::new(|_| Vec::new()),
            is_client: false,
            says: Arc::new([]),
            is_repeating: false,
            is_reading: true,
            is_returning: false,
            is_from_one_address: false,
        }
    }

    /// Sends these bytes when it is up.
    pub(crate) fn saying(self, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { says: bytes.into(), ..self }
    }

    /// Sends the same bytes over and over, as fast as possible, in large pieces.
    pub(crate) fn repeating(self, bytes: &[u8]) -> Self {
        let times = ((64 << 10) / bytes.len().max(1)).max(1);
        Self { is_repeating: true, ..self.saying(bytes.repeat(times)) }
    }

    /// Reads nothing, and has little room for what it does not read.
    pub(crate) fn deaf(self) -> Self {
        Self { is_reading: false, ..self }
    }

    /// Comes back at once when it has been ended.
    pub(crate) fn returning(self) -> Self {
        Self { is_returning: true, ..self }
    }

    /// Lets all connections come from one address, not from several.
    pub(crate) fn all_from_one_address(self) -> Self {
        Self { is_from_one_address: true, ..self }
    }
}

/// Returns a text message as a client sends it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    Frame::text(text).masked()
}
