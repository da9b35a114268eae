//! A room that shows who is here, who is typing, and who has gone quiet.
#![no_std]

use stateroom_sdk_core::*;

/// The number of clients that are shown. Further clients watch.
const CAPACITY: usize = 32;
/// The time that a client counts as typing after it has said so.
const TYPING_MS: u64 = 3_000;
/// The silence after which a client is away.
const SILENCE_MS: u64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Here,
    Typing,
    Away,
}

#[stateroom_wasm]
#[derive(Default)]
struct Presence {
    states: heapless::LinearMap<ClientId, State, CAPACITY>,
    /// The next state of each client, if nothing is heard of it.
    timers: Timers<(ClientId, State), { 2 * CAPACITY }>,
}

impl StateroomService for Presence {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        for (other, state) in &self.states {
            tell(client.into(), *other, state.name(), ctx);
        }
        if self.states.insert(client, State::Away).is_ok() {
            self.heard(client, State::Here, ctx);
        }
    }

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        let state = if message.text() == Some("typing") {
            State::Typing
        } else {
            State::Here
        };
        self.heard(client, state, ctx);
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        while let Some((client, state)) = self.timers.take_due(ctx) {
            self.change(client, state, ctx);
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if self.states.remove(&client).is_some() {
            self.timers.cancel(&(client, State::Here), ctx);
            self.timers.cancel(&(client, State::Away), ctx);
            tell(MessageRecipient::Broadcast, client, "gone", ctx);
        }
    }
}

impl Presence {
    /// Notes a sign of life.
    fn heard(&mut self, client: ClientId, state: State, ctx: &impl StateroomContext) {
        if !self.states.contains_key(&client) {
            return;
        }
        self.change(client, state, ctx);
        if state == State::Typing {
            self.set((client, State::Here), TYPING_MS, ctx);
        } else {
            self.timers.cancel(&(client, State::Here), ctx);
        }
        self.set((client, State::Away), SILENCE_MS, ctx);
    }

    fn set(&mut self, timer: (ClientId, State), ms: u64, ctx: &impl StateroomContext) {
        self.timers
            .set(timer, ms, ctx)
            .expect("there is space for two timers of each client");
    }

    fn change(&mut self, client: ClientId, state: State, ctx: &impl StateroomContext) {
        if let Some(old) = self.states.get_mut(&client)
            && *old != state
        {
            *old = state;
            tell(MessageRecipient::Broadcast, client, state.name(), ctx);
        }
    }
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Typing => "typing",
            Self::Away => "away",
        }
    }
}

fn tell(recipient: MessageRecipient, client: ClientId, state: &str, ctx: &impl StateroomContext) {
    ctx.send_message(recipient, text!("{} {}", client, state));
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Presence>()
}

#[cfg(test)]
mod tests;
