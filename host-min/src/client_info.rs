use alloc::{boxed::Box, string::String, vec::Vec};

use stateroom_core::ClientId;

/// Information about a client's connection, as keys and values. The guest reads them with
/// `stateroom.client_info` while it handles [`Event::Connect`](crate::Event::Connect).
///
/// The host decides which keys there are; [`StateroomContext::client_info`] lists those of this project's
/// server.
///
/// ```
/// use stateroom_host_min::{ClientId, ClientInfo, Event};
///
/// let event = Event::Connect(ClientId(1), ClientInfo(&[("query:name", "Ada"), ("address", "::1")]));
/// ```
///
/// [`StateroomContext::client_info`]: stateroom_core::StateroomContext::client_info
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientInfo<'a>(pub &'a [(&'a str, &'a str)]);

impl ClientInfo<'_> {
    /// No information.
    pub const NONE: ClientInfo<'static> = ClientInfo(&[]);
}

/// The client whose `connect` runs, and a copy of the information about its connection. A copy is needed
/// because the event may be suspended, and the borrowed data does not exist until it continues.
#[derive(Debug)]
pub(crate) struct Newcomer {
    client: ClientId,
    /// Keys and values, one after the other. Most are short, and there may be thousands.
    text: String,
    /// The end of each key and of its value.
    ends: Vec<(usize, usize)>,
}

impl Newcomer {
    /// Copies the information. Returns `None` if there is none.
    pub(crate) fn new(client: ClientId, info: ClientInfo<'_>) -> Option<Box<Self>> {
        let ClientInfo(pairs) = info;
        if pairs.is_empty() {
            return None;
        }
        let size = pairs.iter().map(|(key, value)| key.len() + value.len()).sum();
        let mut newcomer =
            Self { client, text: String::with_capacity(size), ends: Vec::with_capacity(pairs.len()) };
        for (key, value) in pairs {
            newcomer.text.push_str(key);
            let key_end = newcomer.text.len();
            newcomer.text.push_str(value);
            newcomer.ends.push((key_end, newcomer.text.len()));
        }
        Some(Box::new(newcomer))
    }

    pub(crate) fn get(&self, client: ClientId, key: &str) -> Option<&str> {
        if client != self.client {
            return None;
        }
        let mut begin = 0;
        for &(key_end, end) in &self.ends {
            if self.text[begin..key_end] == *key {
                return Some(&self.text[key_end..end]);
            }
            begin = end;
        }
        None
    }

    /// Returns its size in bytes.
    pub(crate) fn held(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.ends.capacity() * size_of::<(usize, usize)>()
    }

    /// Returns the cost of a search through all of it, as a number of bytes.
    pub(crate) fn cost(&self) -> u32 {
        u32::try_from(self.text.len() + 8 * self.ends.len()).unwrap_or(u32::MAX)
    }
}
