//! Rock, paper, scissors: a room for two, who say in the address who they are.
#![no_std]

use stateroom_sdk_core::*;

/// A size in bytes: what clients make the room remember needs a bound.
const MAX_NAME: usize = 16;

#[stateroom_wasm]
#[derive(Default)]
struct Duel {
    players: heapless::Vec<Player, 2>,
}

struct Player {
    client: ClientId,
    name: heapless::String<MAX_NAME>,
    hand: Option<Hand>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hand {
    Rock,
    Paper,
    Scissors,
}

impl StateroomService for Duel {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        let mut buffer = [0; MAX_NAME];
        let Some(name) = ctx.client_info(client, "query:name", &mut buffer) else {
            return ctx.close(
                client,
                4000,
                "say who you are, in 16 bytes at most: ?name=…",
            );
        };
        let player = Player {
            client,
            name: name.try_into().unwrap_or_default(),
            hand: None,
        };
        if self.players.push(player).is_err() {
            return ctx.close(client, 4001, "two are playing already");
        }
        ctx.send_message(MessageRecipient::Broadcast, text!("{} is here", name));
    }

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        let Some(hand) = message.text().and_then(Hand::named) else {
            return;
        };
        if let Some(player) = self
            .players
            .iter_mut()
            .find(|player| player.client == client)
        {
            player.hand = Some(hand);
        }
        let [one, two] = &mut self.players[..] else {
            return;
        };
        let (Some(first), Some(second)) = (one.hand, two.hand) else {
            return;
        };
        let outcome = match (first.beats(second), second.beats(first)) {
            (true, _) => text!("{} wins", one.name.as_str()),
            (_, true) => text!("{} wins", two.name.as_str()),
            _ => text!("nobody wins"),
        };
        ctx.send_message(MessageRecipient::Broadcast, &outcome);
        (one.hand, two.hand) = (None, None);
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if let Some(at) = self
            .players
            .iter()
            .position(|player| player.client == client)
        {
            let gone = self.players.remove(at);
            ctx.send_message(
                MessageRecipient::Broadcast,
                text!("{} has left", gone.name.as_str()),
            );
        }
    }
}

impl Hand {
    fn named(name: &str) -> Option<Self> {
        match name {
            "rock" => Some(Self::Rock),
            "paper" => Some(Self::Paper),
            "scissors" => Some(Self::Scissors),
            _ => None,
        }
    }

    fn beats(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Rock, Self::Scissors)
                | (Self::Paper, Self::Rock)
                | (Self::Scissors, Self::Paper)
        )
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Duel>()
}

#[cfg(test)]
mod tests;
