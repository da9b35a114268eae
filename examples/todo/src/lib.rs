//! A to-do list that everyone in the room shares, in JSON.
#![no_std]

extern crate alloc;

use alloc::{format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};
use stateroom_sdk_core::*;

/// Bounds on what clients make the room remember: entries, and bytes in each.
const MAX_ENTRIES: usize = 100;
const MAX_TEXT: usize = 200;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Request {
    Add(String),
    Done(usize),
    Remove(usize),
}

#[derive(Serialize)]
struct Entry {
    text: String,
    done: bool,
}

#[stateroom_wasm]
#[derive(Default)]
struct Todo {
    entries: Vec<Entry>,
}

impl StateroomService for Todo {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, Json(&self.entries));
    }

    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        match message.json() {
            Ok(Request::Add(text))
                if self.entries.len() < MAX_ENTRIES && text.len() <= MAX_TEXT =>
            {
                self.entries.push(Entry { text, done: false });
            }
            Ok(Request::Done(at)) if at < self.entries.len() => self.entries[at].done = true,
            Ok(Request::Remove(at)) if at < self.entries.len() => drop(self.entries.remove(at)),
            Ok(_) => return ctx.send_message(client, Json("the list has no space for that")),
            Err(error) => return ctx.send_message(client, Json(format!("{error}"))),
        }
        ctx.send_message(MessageRecipient::Broadcast, Json(&self.entries));
    }
}

#[cfg(test)]
fn room() -> testing::TestRoom {
    testing::TestRoom::new::<Todo>()
}

#[cfg(test)]
mod tests;
