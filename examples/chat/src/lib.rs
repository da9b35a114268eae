//! A chat room with nicknames.
#![no_std]

extern crate alloc;

use alloc::{collections::BTreeMap, format, string::String};

use stateroom_sdk_core::*;

/// A size in bytes: what clients make the room remember needs a bound.
const MAX_NICKNAME: usize = 32;

#[stateroom_wasm]
#[derive(Default)]
struct Chat {
    nicknames: BTreeMap<ClientId, String>,
}

impl StateroomService for Chat {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        let nickname = format!("client{client}");
        ctx.send_message(
            client,
            format!("Welcome, {nickname}! Send /nick <name> to change your name."),
        );
        ctx.send_message(
            MessageRecipient::EveryoneExcept(client),
            format!("{nickname} has joined"),
        );
        self.nicknames.insert(client, nickname);
    }

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        let Some(text) = message.text() else { return };
        match text.split_once(' ').unwrap_or((text, "")) {
            ("/nick", name) => self.rename(client, name.trim(), ctx),
            _ => {
                if let Some(nickname) = self.nicknames.get(&client) {
                    ctx.send_message(MessageRecipient::Broadcast, format!("{nickname}: {text}"));
                }
            }
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if let Some(nickname) = self.nicknames.remove(&client) {
            ctx.send_message(MessageRecipient::Broadcast, format!("{nickname} has left"));
        }
    }
}

impl Chat {
    fn rename(&mut self, client: ClientId, name: &str, ctx: &impl StateroomContext) {
        if name.is_empty() || name.len() > MAX_NICKNAME {
            ctx.send_message(client, format!("A name has 1 to {MAX_NICKNAME} bytes."));
        } else if self.nicknames.values().any(|nickname| nickname == name) {
            ctx.send_message(client, format!("{name} is taken."));
        } else if let Some(nickname) = self.nicknames.get_mut(&client) {
            let old = core::mem::replace(nickname, name.into());
            ctx.send_message(
                MessageRecipient::Broadcast,
                format!("{old} is now known as {name}"),
            );
        }
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Chat>()
}

#[cfg(test)]
mod tests;
