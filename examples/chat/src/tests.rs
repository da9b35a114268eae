use stateroom_sdk_core::testing::*;

use super::room;

/// Returns a room with two clients that have read what they were sent.
fn two() -> (TestClient, TestClient) {
    let room = room();
    let two = (room.connect(), room.connect());
    two.0.received();
    two.1.received();
    two
}

#[test]
fn a_newcomer_is_welcome_and_announced() {
    let room = room();
    let one = room.connect();
    let welcome = "Welcome, client1! Send /nick <name> to change your name.";
    assert_eq!(one.received(), [welcome]);
    let two = room.connect();
    assert_eq!(one.received(), ["client2 has joined"]);
    assert_eq!(two.received(), [welcome.replace("client1", "client2")]);
}

#[test]
fn everyone_hears_what_is_said_and_by_whom() {
    let (one, two) = two();
    one.send("Good morning!");
    two.send("/me waves");
    for client in [one, two] {
        assert_eq!(
            client.received(),
            ["client1: Good morning!", "client2: /me waves"]
        );
    }
}

#[test]
fn a_nickname_goes_before_what_is_said_and_leaves_with_its_owner() {
    let (one, two) = two();
    one.send("/nick  Ada ");
    one.send("Good morning!");
    assert_eq!(
        one.received(),
        ["client1 is now known as Ada", "Ada: Good morning!"]
    );
    one.leave();
    assert_eq!(
        two.received(),
        [
            "client1 is now known as Ada",
            "Ada: Good morning!",
            "Ada has left"
        ]
    );
    // Now the name is free.
    two.send("/nick Ada");
    assert_eq!(two.received(), ["client2 is now known as Ada"]);
}

#[test]
fn a_nickname_that_is_taken_or_of_no_length_is_refused() {
    let (one, two) = two();
    two.send("/nick client1");
    two.send("/nick");
    two.send("/nick  ");
    two.send("/nick xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    let length = "A name has 1 to 32 bytes.";
    assert_eq!(
        two.received(),
        ["client1 is taken.", length, length, length]
    );
    assert_eq!(one.received(), NOTHING);
    two.send("/nick xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    assert_eq!(
        one.received(),
        ["client2 is now known as xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
    );
}

#[test]
fn bytes_are_ignored() {
    let (one, two) = two();
    one.send(b"not text");
    assert_eq!(two.received(), NOTHING);
}
