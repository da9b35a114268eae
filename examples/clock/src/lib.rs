//! Counts the seconds, as long as somebody is there to listen.
#![no_std]

use stateroom_sdk_core::*;

const SECOND_MS: u32 = 1000;

#[stateroom_wasm]
#[derive(Default)]
struct Clock {
    clients: u32,
    ticks: u32,
}

impl StateroomService for Clock {
    fn connect(&mut self, _: ClientId, ctx: &impl StateroomContext) {
        self.clients += 1;
        if self.clients == 1 {
            ctx.set_timer(SECOND_MS);
        }
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        self.ticks = self.ticks.wrapping_add(1);
        ctx.send_message(MessageRecipient::Broadcast, text!("{}", self.ticks));
        // A timer is due once; a clock asks again.
        ctx.set_timer(SECOND_MS);
    }

    fn disconnect(&mut self, _: ClientId, ctx: &impl StateroomContext) {
        self.clients -= 1;
        if self.clients == 0 {
            ctx.set_timer(0);
        }
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Clock>()
}

#[cfg(test)]
mod tests;
