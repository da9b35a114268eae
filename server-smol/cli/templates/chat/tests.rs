use stateroom_sdk_core::testing::*;

use super::Chat;

/// Returns a room with two clients that have read what they were sent.
fn two() -> (TestClient, TestClient) {
    let room = TestRoom::new::<Chat>();
    let two = (room.connect(), room.connect());
    two.0.received();
    two.1.received();
    two
}

#[test]
fn a_newcomer_is_welcome_and_announced() {
    let room = TestRoom::new::<Chat>();
    let one = room.connect();
    assert_eq!(
        one.received(),
        ["Welcome, client1! Send /nick <name> to change your name."]
    );
    room.connect();
    assert_eq!(one.received(), ["client2 has joined"]);
}

#[test]
fn everyone_hears_what_is_said_and_by_whom() {
    let (one, two) = two();
    one.send("/nick Ada");
    one.send("Good morning!");
    let heard = ["client1 is now known as Ada", "Ada: Good morning!"];
    assert_eq!(one.received(), heard);
    assert_eq!(two.received(), heard);
}

#[test]
fn a_nickname_is_free_once_its_owner_has_left() {
    let (one, two) = two();
    two.send("/nick client1");
    assert_eq!(two.received(), ["client1 is taken."]);
    one.leave();
    two.send("/nick client1");
    assert_eq!(
        two.received(),
        ["client1 has left", "client2 is now known as client1"]
    );
}
