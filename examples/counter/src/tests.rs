// The guest does without it; its tests need not.
extern crate std;

use std::{format, vec::Vec};

use stateroom_sdk_core::testing::*;

use super::room;

#[test]
fn everyone_sees_the_count() {
    let room = room();
    let (alice, bob) = (room.connect(), room.connect());
    alice.send("increment");
    bob.send("increment");
    for client in [&alice, &bob] {
        assert_eq!(client.received(), ["new value: 1", "new value: 2"]);
    }
    alice.leave();
    bob.send("decrement");
    assert_eq!(bob.received(), ["new value: 1"]);
}

#[test]
fn the_count_may_be_below_zero() {
    let client = room().connect();
    client.send("decrement");
    assert_eq!(client.received(), ["new value: -1"]);
}

#[test]
fn every_step_on_the_way_is_told() {
    let client = room().connect();
    (0..100).for_each(|_| client.send("increment"));
    let steps: Vec<_> = (1..=100)
        .map(|count| format!("new value: {count}"))
        .collect();
    assert_eq!(client.received(), steps);
}

#[test]
fn other_messages_are_ignored() {
    let client = room().connect();
    client.send("increase");
    client.send(b"increment");
    client.send("");
    assert_eq!(client.received(), NOTHING);
}
