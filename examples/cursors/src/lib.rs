//! A room in which everyone sees the cursors of all others.
#![no_std]

use stateroom_sdk_core::{embedded_io::Write, *};

/// The number of cursors that a room shows. Further clients watch until one is free.
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

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
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

/// Returns the message that says where cursors are.
fn at<'a>(positions: impl IntoIterator<Item = (&'a ClientId, &'a Position)>) -> Message {
    let mut message = Message::new();
    write_at(&mut message, positions).expect("a message has space for all cursors");
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

/// Returns the message that says that a cursor is gone.
fn gone(client: ClientId) -> [u8; 5] {
    let [a, b, c, d] = client.0.to_le_bytes();
    [GONE, a, b, c, d]
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Cursors>()
}

#[cfg(test)]
mod tests;
