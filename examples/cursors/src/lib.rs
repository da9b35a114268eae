//! Everyone sees where everyone else's mouse is.
#![no_std]

use stateroom_sdk_core::{embedded_io::Write, *};

/// How many cursors a room shows. Clients beyond that watch, until a place becomes free.
const CAPACITY: usize = 32;

/// `x` and `y`, each a little-endian `u16`. The room keeps them as they come: what they mean is between the
/// clients.
type Position = [u8; 4];

// The first byte of a message says what follows.
const AT: u8 = 0;
const GONE: u8 = 1;
const FULL: u8 = 2;

/// Any message of this room: at most the positions of all cursors.
type Message = heapless::Vec<u8, { 1 + CAPACITY * (size_of::<u32>() + size_of::<Position>()) }>;

#[stateroom_wasm]
#[derive(Default)]
struct Cursors {
    positions: heapless::LinearMap<ClientId, Position, CAPACITY>,
}

impl StateroomService for Cursors {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, at(&self.positions));
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let Some(Ok(position)) = message.bytes().map(Position::try_from) else {
            return;
        };
        if self.positions.insert(client, position).is_ok() {
            let others = MessageRecipient::EveryoneExcept(client);
            ctx.send_message(others, at([(&client, &position)]));
        } else {
            ctx.send_message(client, [FULL]);
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if self.positions.remove(&client).is_some() {
            ctx.send_message(MessageRecipient::Broadcast, gone(client));
        }
    }
}

/// The message that says where cursors are.
fn at<'a>(positions: impl IntoIterator<Item = (&'a ClientId, &'a Position)>) -> Message {
    let mut message = Message::new();
    write_at(&mut message, positions).expect("a message has room for all cursors");
    message
}

/// Writes [`AT`], then an id and a position for each cursor.
fn write_at<'a, W: Write>(
    out: &mut W,
    positions: impl IntoIterator<Item = (&'a ClientId, &'a Position)>,
) -> Result<(), W::Error> {
    out.write_all(&[AT])?;
    for (client, position) in positions {
        out.write_all(&client.0.to_le_bytes())?;
        out.write_all(position)?;
    }
    Ok(())
}

/// The message that says that a cursor is gone.
fn gone(client: ClientId) -> [u8; 5] {
    let [a, b, c, d] = client.0.to_le_bytes();
    [GONE, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_positions_are_laid_out_as_documented() {
        let (near, far) = ((ClientId(1), [1, 2, 3, 4]), (ClientId(0x0102), [5, 6, 7, 8]));
        let message = at([(&near.0, &near.1), (&far.0, &far.1)]);
        assert_eq!(message, [AT, 1, 0, 0, 0, 1, 2, 3, 4, 2, 1, 0, 0, 5, 6, 7, 8]);
        assert_eq!(at([]), [AT]);
        assert_eq!(gone(ClientId(0x0102)), [GONE, 2, 1, 0, 0]);
    }

    #[test]
    fn a_message_has_room_for_all_cursors() {
        let (client, position) = (ClientId(u32::MAX), [255; 4]);
        assert!(at(core::iter::repeat_n((&client, &position), CAPACITY)).is_full());
    }
}
