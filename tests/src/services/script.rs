extern crate alloc;

use alloc::format;

use stateroom_sdk_core::*;

/// A service that does what its clients tell it in text: `broadcast TEXT`, `to N TEXT`, `except N TEXT`, `timer MS`,
/// `log TEXT`, `panic TEXT`; `count` counts, and `fired` asks how often the timer was due. It sends everything else
/// back.
#[cfg_attr(target_family = "wasm", stateroom_wasm)]
#[derive(Debug, Default)]
pub struct Script {
    count: u32,
    fired: u32,
}

impl StateroomService for Script {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let text = message.text().unwrap_or_default();
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (number, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let number: u32 = number.parse().unwrap_or_default();
        match command {
            "broadcast" => ctx.send_message(MessageRecipient::Broadcast, rest),
            "to" => ctx.send_message(ClientId(number), text),
            "except" => ctx.send_message(MessageRecipient::EveryoneExcept(ClientId(number)), text),
            "timer" => ctx.set_timer(number),
            "log" => ctx.log(LogLevel::Info, rest),
            "panic" => {
                ctx.send_message(MessageRecipient::Broadcast, "about to panic");
                panic!("{rest}");
            }
            "count" => {
                self.count += 1;
                ctx.send_message(client, format!("{}", self.count));
            }
            "fired" => ctx.send_message(client, format!("{}", self.fired)),
            _ => ctx.send_message(client, message),
        }
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        self.fired += 1;
        ctx.log(LogLevel::Info, "the timer was due");
        ctx.send_message(MessageRecipient::Broadcast, format!("timer {}", self.fired));
    }
}
