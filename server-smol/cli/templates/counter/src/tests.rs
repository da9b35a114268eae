use stateroom_sdk_core::testing::*;

use super::room;

#[test]
fn everyone_sees_the_number() {
    let room = room();
    let (alice, bob) = (room.connect(), room.connect());
    alice.send("increment");
    bob.send("increment");
    assert_eq!(alice.received(), ["0", "1", "2"]);
    assert_eq!(bob.received(), ["0", "1", "2"]);
}

#[test]
fn a_newcomer_sees_it_too() {
    let room = room();
    room.connect().send("decrement");
    assert_eq!(room.connect().received(), ["-1"]);
}

#[test]
fn other_messages_are_ignored() {
    let client = room().connect();
    assert_eq!(client.received(), ["0"]);
    client.send("increase");
    assert_eq!(client.received(), NOTHING);
}
