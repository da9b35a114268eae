//! A chat room with nicknames.
#![no_std]

extern crate alloc;

use alloc::{collections::BTreeMap, format, string::String};

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Chat {
    nicknames: BTreeMap<ClientId, String>,
}

impl StateroomService for Chat {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        let nickname = format!("client{client}");
        ctx.send_message(client, format!("Welcome, {nickname}! Send /nick <name> to change your name."));
        ctx.send_message(MessageRecipient::EveryoneExcept(client), format!("{nickname} has joined"));
        self.nicknames.insert(client, nickname);
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let (Some(text), Some(nickname)) = (message.text(), self.nicknames.get_mut(&client)) else {
            return;
        };
        let line = match text.strip_prefix("/nick ").map(str::trim) {
            Some("") => return ctx.send_message(client, "A name has at least one character."),
            Some(name) => {
                let old = core::mem::replace(nickname, name.into());
                format!("{old} is now known as {name}")
            }
            None => format!("{nickname}: {text}"),
        };
        ctx.send_message(MessageRecipient::Broadcast, line);
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if let Some(nickname) = self.nicknames.remove(&client) {
            ctx.send_message(MessageRecipient::Broadcast, format!("{nickname} has left"));
        }
    }
}
