use alloc::{string::String, vec::Vec};
use core::fmt;

use stateroom_core::{MessagePayload, MessageRecipient};

use crate::{Effect, Effects, Room, Step, reader::Reader};

use super::{RecordingError, digest::Digest, varint};

/// The outcome of an event. Two runs with the same effects have the same [checksum](Self::effects).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Says if it took effect, was refused, or failed.
    pub result: EventResult,
    /// The checksum of its effects, except log lines.
    pub effects: u32,
    /// Its last request for the timer: a delay in milliseconds, or 0 to cancel it. `None` if there was none.
    pub timer: Option<u32>,
    /// The fuel that it used. It depends on the size of slices.
    pub fuel: u64,
}

/// The end of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventResult {
    /// It has taken effect.
    Done,
    /// The guest had no space for the message.
    Refused,
    /// It failed, and the room is broken. The text is that of the [`Trap`](crate::Trap).
    Trapped(String),
}

/// The longest text of a trap in a record, in bytes.
const REASON_SIZE: usize = 2 << 10;

impl Room {
    /// Returns the outcome of the last event, or `None` while it is suspended. Call it before the effects are
    /// [carried out](stateroom_core::engine::Engine::advance), and before the room [hibernates](Self::hibernate).
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        let result = match self.last() {
            Ok(Step::Suspended) => return None,
            Ok(Step::Done) => EventResult::Done,
            Ok(Step::Refused) => EventResult::Refused,
            Err(trap) => {
                let mut reason = alloc::format!("{trap}");
                reason.truncate(reason.floor_char_boundary(REASON_SIZE));
                EventResult::Trapped(reason)
            }
        };
        let effects = self.effects();
        let timer = effects.timer();
        Some(Outcome { result, effects: checksum(effects), timer, fuel: self.fuel_used() })
    }
}

impl Outcome {
    /// Returns true if the result, the effects and the timer are equal. Ignores the fuel.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        (&self.result, self.effects, self.timer) == (&other.result, other.effects, other.timer)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let result = match self.result {
            EventResult::Done => 0,
            EventResult::Refused => 1,
            EventResult::Trapped(_) => 2,
        };
        out.push(result | u8::from(self.timer.is_some()) << 2);
        self.timer.iter().for_each(|ms| varint::put((*ms).into(), out));
        out.extend(self.effects.to_le_bytes());
        varint::put(self.fuel, out);
        if let EventResult::Trapped(reason) = &self.result {
            varint::put_bytes(reason.as_bytes(), out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, RecordingError> {
        let flags = reader.byte()?;
        let ms = |reader: &mut Reader<'_>| {
            u32::try_from(varint::read(reader)?).map_err(|_| RecordingError::Damaged)
        };
        let timer = if flags & 4 != 0 { Some(ms(reader)?) } else { None };
        let (effects, fuel) = (reader.u32()?, varint::read(reader)?);
        let result = match flags & !4 {
            0 => EventResult::Done,
            1 => EventResult::Refused,
            2 => EventResult::Trapped(varint::read_text(reader)?.into()),
            _ => return Err(RecordingError::Damaged),
        };
        Ok(Self { result, effects, timer, fuel })
    }
}

impl fmt::Display for EventResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Refused => f.write_str("refused"),
            Self::Trapped(reason) => write!(f, "failed: {reason}"),
        }
    }
}

/// Returns the checksum of the effects that clients or the timer notice.
fn checksum(effects: Effects<'_>) -> u32 {
    let mut digest = Digest::default();
    let mut put = |kind: u8, recipient: Option<MessageRecipient>, number: u32, data: &[u8]| {
        let (who, client) = match recipient {
            None => (0, 0),
            Some(MessageRecipient::Broadcast) => (1, 0),
            Some(MessageRecipient::Client(client)) => (2, client.0),
            Some(MessageRecipient::EveryoneExcept(client)) => (3, client.0),
        };
        digest.add(u64::from(kind) | who << 8 | u64::from(client) << 32);
        digest.add(u64::from(number) | (data.len() as u64) << 32);
        digest.add_bytes(data);
    };
    for effect in effects {
        match effect {
            Effect::Send { recipient, payload: MessagePayload::Text(text) } => {
                put(0, Some(recipient), 0, text.as_bytes());
            }
            Effect::Send { recipient, payload: MessagePayload::Bytes(bytes) } => {
                put(1, Some(recipient), 0, bytes);
            }
            Effect::SetTimer { ms } => put(2, None, ms, &[]),
            Effect::CancelTimer => put(2, None, 0, &[]),
            Effect::Close { recipient, code, reason } => {
                put(3, Some(recipient), code.into(), reason.as_bytes());
            }
            Effect::Log { .. } => {}
        }
    }
    digest.finish()
}
