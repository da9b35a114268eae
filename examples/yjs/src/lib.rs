//! A room for Yjs documents: what `y-websocket` clients expect of a server.

mod awareness;
mod check;
mod document;
mod wire;

use stateroom_sdk_core::*;

use crate::{
    awareness::Awareness,
    document::{Document, Refusal},
    wire::{Message, Reader},
};

/// The close code for a client whose message the room does not accept.
const NOT_ACCEPTED: u16 = 4400;
/// The close code for a client whose edit would make the document too large.
const TOO_LARGE: u16 = 4413;

#[stateroom_wasm]
#[derive(Default)]
struct Yjs {
    document: Document,
    awareness: Awareness,
}

impl StateroomService for Yjs {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, wire::step1(&self.document.state()));
        if let Some(states) = self.awareness.all() {
            ctx.send_message(client, states);
        }
    }

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        let bytes = message.bytes().unwrap_or_default();
        match Message::read(&mut Reader::new(bytes)) {
            Some(Message::Step1(state)) => match self.document.news_since(state) {
                Some(update) => ctx.send_message(client, wire::step2(&update)),
                None => ctx.close(client, NOT_ACCEPTED, "this is no state vector"),
            },
            Some(Message::Update(update)) => match self.document.apply(update) {
                Ok(Some(news)) => {
                    ctx.send_message(
                        MessageRecipient::EveryoneExcept(client),
                        wire::update(&news),
                    );
                }
                Ok(None) => {}
                Err(Refusal::Malformed) => ctx.close(client, NOT_ACCEPTED, "this is no update"),
                Err(Refusal::TooLarge) => ctx.close(client, TOO_LARGE, "the document is too large"),
            },
            Some(Message::Awareness(states)) => match self.awareness.apply(client, states) {
                // To the sender, too: `y-websocket` takes a connection for dead on which nothing arrives for 30 seconds.
                Some(Some(changes)) => ctx.send_message(MessageRecipient::Broadcast, changes),
                Some(None) => {}
                None => ctx.close(client, NOT_ACCEPTED, "this is no awareness update"),
            },
            Some(Message::QueryAwareness) => {
                if let Some(states) = self.awareness.all() {
                    ctx.send_message(client, states);
                }
            }
            // Other kinds of messages are between clients and other servers.
            Some(Message::Other) => {}
            None => ctx.close(client, NOT_ACCEPTED, "this is no message of y-protocols"),
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if let Some(changes) = self.awareness.remove(client) {
            ctx.send_message(MessageRecipient::Broadcast, changes);
        }
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Yjs>()
}

#[cfg(test)]
mod tests;
