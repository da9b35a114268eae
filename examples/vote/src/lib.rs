//! A vote by show of hands: what a client said last is its vote, for as long as it stays.

use std::{cmp::Reverse, collections::HashMap};

use stateroom_sdk_core::*;

/// A size in bytes: what clients make the room remember needs a bound.
const MAX_CHOICE: usize = 64;

#[stateroom_wasm]
#[derive(Default)]
struct Vote {
    choices: HashMap<ClientId, String>,
}

impl StateroomService for Vote {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, tally(self.choices.values()));
    }

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        let Some(choice) = message.text().map(str::trim) else {
            return;
        };
        if (1..=MAX_CHOICE).contains(&choice.len()) {
            self.choices.insert(client, choice.to_owned());
            ctx.send_message(MessageRecipient::Broadcast, tally(self.choices.values()));
        }
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        if self.choices.remove(&client).is_some() {
            ctx.send_message(MessageRecipient::Broadcast, tally(self.choices.values()));
        }
    }
}

/// Returns the choices with the number of their votes, the favourite first, one to a line.
fn tally<'a>(choices: impl Iterator<Item = &'a String>) -> String {
    let mut votes = HashMap::<&str, usize>::new();
    for choice in choices {
        *votes.entry(choice).or_default() += 1;
    }
    let mut votes: Vec<_> = votes.into_iter().collect();
    votes.sort_unstable_by_key(|&(choice, count)| (Reverse(count), choice));
    let lines: Vec<_> = votes
        .iter()
        .map(|(choice, count)| format!("{count} {choice}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Vote>()
}

#[cfg(test)]
mod tests;
