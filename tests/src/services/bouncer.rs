extern crate alloc;

use alloc::format;

use stateroom_sdk_core::*;

/// A service that closes each client that comes without `token` in the query, answers the question `ask` there, and
/// tells everyone of every event. `close N CODE REASON` closes the clients that the number means; `ask KEY` asks when
/// it is too late.
#[stateroom_wasm]
#[derive(Debug, Default)]
pub struct Bouncer;

/// Sends a client the information under `key`.
fn answer(client: ClientId, key: &str, ctx: &impl StateroomContext) {
    match ctx.client_info(client, key, &mut [0; 200]) {
        Some(value) => ctx.send_message(client, format!("{key} is {value:?}")),
        None => ctx.send_message(client, format!("{key} is nothing")),
    }
}

impl StateroomService for Bouncer {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        let (mut token, mut key) = ([0; 10], [0; 200]);
        if ctx.client_info(client, "query:token", &mut token).is_none() {
            return ctx.close(client, 4001, "where is your token?");
        }
        if ctx.client_info(ClientId(client.0 - 1), "query", &mut [0; 200]).is_some() {
            ctx.send_message(MessageRecipient::Broadcast, "somebody else's secrets are out");
        }
        ctx.send_message(MessageRecipient::Broadcast, format!("connect {client}"));
        if let Some(key) = ctx.client_info(client, "query:ask", &mut key) {
            answer(client, key, ctx);
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format!("disconnect {client}"));
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let text = message.text().unwrap_or_default();
        let mut words = text.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("close"), Some(number), Some(code), reason) => {
                let recipient = MessageRecipient::decode_i32(number.parse().unwrap_or_default());
                ctx.send_message(recipient, "before");
                ctx.send_message(recipient, &b"close"[..]);
                ctx.close(recipient, code.parse().unwrap_or_default(), reason.unwrap_or_default());
                ctx.send_message(recipient, "after");
                ctx.close(recipient, 4999, "only the first reason counts");
            }
            (Some("ask"), Some(key), ..) => answer(client, key, ctx),
            _ => ctx.send_message(MessageRecipient::Broadcast, format!("message {client} {text}")),
        }
    }
}
