use alloc::{string::String, vec::Vec};

use stateroom_core::{ClientId, MessagePayload};

use crate::{ClientInfo, Event, reader::Reader};

use super::{RecordingError, varint};

/// An [`Event`] that borrows nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnedEvent {
    /// See [`Event::Init`].
    Init,
    /// See [`Event::Connect`]. The pairs are keys and values of the client's information.
    Connect(ClientId, Vec<(String, String)>),
    /// See [`Event::Disconnect`].
    Disconnect(ClientId),
    /// See [`Event::Message`], with a text.
    Text(ClientId, String),
    /// See [`Event::Message`], with bytes.
    Bytes(ClientId, Vec<u8>),
    /// See [`Event::Timer`].
    Timer,
}

impl OwnedEvent {
    /// Passes the event to `with`, and returns its result.
    pub fn with<R>(&self, with: impl FnOnce(Event<'_>) -> R) -> R {
        let event = match self {
            Self::Init => Event::Init,
            Self::Connect(client, info) => {
                let info: Vec<_> = info.iter().map(|(key, value)| (&key[..], &value[..])).collect();
                return with(Event::Connect(*client, ClientInfo(&info)));
            }
            Self::Disconnect(client) => Event::Disconnect(*client),
            Self::Text(client, text) => Event::Message(*client, MessagePayload::Text(text)),
            Self::Bytes(client, bytes) => Event::Message(*client, MessagePayload::Bytes(bytes)),
            Self::Timer => Event::Timer,
        };
        with(event)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, RecordingError> {
        Ok(match reader.byte()? {
            INIT => Self::Init,
            CONNECT => {
                let (client, count) = (client(reader)?, varint::read(reader)?);
                let mut info = Vec::new();
                for _ in 0..count {
                    let (key, value) = (varint::read_text(reader)?, varint::read_text(reader)?);
                    info.push((key.into(), value.into()));
                }
                Self::Connect(client, info)
            }
            DISCONNECT => Self::Disconnect(client(reader)?),
            TEXT => Self::Text(client(reader)?, varint::read_text(reader)?.into()),
            BYTES => Self::Bytes(client(reader)?, varint::read_bytes(reader)?.into()),
            TIMER => Self::Timer,
            _ => return Err(RecordingError::Damaged),
        })
    }
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Init => Self::Init,
            Event::Connect(client, ClientInfo(info)) => Self::Connect(
                client,
                info.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            ),
            Event::Disconnect(client) => Self::Disconnect(client),
            Event::Message(client, MessagePayload::Text(text)) => Self::Text(client, text.into()),
            Event::Message(client, MessagePayload::Bytes(bytes)) => Self::Bytes(client, bytes.into()),
            Event::Timer => Self::Timer,
        }
    }
}

const INIT: u8 = 0;
const CONNECT: u8 = 1;
const DISCONNECT: u8 = 2;
const TEXT: u8 = 3;
const BYTES: u8 = 4;
const TIMER: u8 = 5;

fn client(reader: &mut Reader<'_>) -> Result<ClientId, RecordingError> {
    u32::try_from(varint::read(reader)?).map(ClientId).map_err(|_| RecordingError::Damaged)
}

/// Reads the sender of an event, if the event is a message.
pub(super) fn read_sender(reader: &mut Reader<'_>) -> Result<Option<ClientId>, RecordingError> {
    let is_message = matches!(reader.byte()?, TEXT | BYTES);
    is_message.then(|| client(reader)).transpose()
}

/// Returns the data of a message. All other events have none.
pub(super) fn data<'a>(event: &Event<'a>) -> &'a [u8] {
    match *event {
        Event::Message(_, MessagePayload::Text(text)) => text.as_bytes(),
        Event::Message(_, MessagePayload::Bytes(bytes)) => bytes,
        _ => &[],
    }
}

/// Writes an event.
pub(super) fn put(event: &Event<'_>, out: &mut Vec<u8>) {
    let mut head = |kind: u8, client: Option<ClientId>| {
        out.push(kind);
        client.iter().for_each(|client| varint::put(client.0.into(), out));
    };
    match event {
        Event::Init => head(INIT, None),
        Event::Connect(client, ClientInfo(info)) => {
            head(CONNECT, Some(*client));
            varint::put(info.len() as u64, out);
            for (key, value) in *info {
                varint::put_bytes(key.as_bytes(), out);
                varint::put_bytes(value.as_bytes(), out);
            }
        }
        Event::Disconnect(client) => head(DISCONNECT, Some(*client)),
        Event::Message(client, payload) => {
            let kind = if matches!(payload, MessagePayload::Text(_)) { TEXT } else { BYTES };
            head(kind, Some(*client));
            varint::put_bytes(data(event), out);
        }
        Event::Timer => head(TIMER, None),
    }
}
