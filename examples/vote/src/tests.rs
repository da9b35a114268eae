use stateroom_sdk_core::testing::*;

use super::room;

#[test]
fn nobody_has_voted_is_an_empty_text() {
    assert_eq!(room().connect().received(), [""]);
}

#[test]
fn the_favourite_stands_first_and_ties_stand_in_alphabetical_order() {
    let room = room();
    for choice in ["tea", "milk", "coffee", " tea "] {
        room.connect().send(choice);
    }
    assert_eq!(room.connect().received(), ["2 tea\n1 coffee\n1 milk"]);
}

#[test]
fn everyone_sees_each_vote_and_the_last_one_counts() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    one.send("tea");
    one.send("milk");
    two.send("milk");
    for client in [one, two] {
        assert_eq!(client.received(), ["", "1 tea", "1 milk", "2 milk"]);
    }
}

#[test]
fn a_vote_leaves_with_its_voter() {
    let room = room();
    let (one, two, idle) = (room.connect(), room.connect(), room.connect());
    one.send("tea");
    two.send("milk");
    two.received();
    one.leave();
    assert_eq!(two.received(), ["1 milk"]);
    idle.leave();
    assert_eq!(two.received(), NOTHING);
}

#[test]
fn what_is_no_choice_is_ignored() {
    let client = room().connect();
    client.send(" ");
    client.send("x".repeat(65));
    client.send(b"milk");
    assert_eq!(client.received(), [""]);
    client.send("x".repeat(64));
    assert_eq!(client.received(), ["1 ".to_owned() + &"x".repeat(64)]);
}
