//! A picture that everyone paints, a few pixels at a time.
#![no_std]

use stateroom_sdk_core::*;

const SIDE: usize = 32;
const COLOURS: u8 = 16;

/// The number of clients that paint. Further clients watch.
const CAPACITY: usize = 64;

/// Ten pixels at once, and then one a second.
type Brush = TokenBucket<10, 1_000>;

#[stateroom_wasm]
struct Pixels {
    /// A colour for each pixel, row after row.
    picture: [u8; SIDE * SIDE],
    brushes: heapless::LinearMap<ClientId, Brush, CAPACITY>,
}

impl Default for Pixels {
    fn default() -> Self {
        Self {
            picture: [0; SIDE * SIDE],
            brushes: heapless::LinearMap::new(),
        }
    }
}

impl StateroomService for Pixels {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, &self.picture[..]);
        // Who finds no place is told when it wants to paint.
        let _ = self.brushes.insert(client, Brush::new());
    }

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        let Some(&[x, y, colour]) = message.bytes() else {
            return;
        };
        let (column, row) = (usize::from(x), usize::from(y));
        if column >= SIDE || row >= SIDE || colour >= COLOURS {
            return;
        }
        let may = match self.brushes.get_mut(&client) {
            Some(brush) => brush.take(ctx.now_ms()),
            None => Err(u64::MAX),
        };
        match may {
            Ok(()) => {
                self.picture[row * SIDE + column] = colour;
                ctx.send_message(MessageRecipient::Broadcast, message);
            }
            Err(wait_ms) => {
                let wait_ms = u16::try_from(wait_ms).unwrap_or(u16::MAX);
                ctx.send_message(client, wait_ms.to_le_bytes());
            }
        }
    }

    fn disconnect(&mut self, client: ClientId, _: &impl StateroomContext) {
        self.brushes.remove(&client);
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Pixels>()
}

#[cfg(test)]
mod tests;
