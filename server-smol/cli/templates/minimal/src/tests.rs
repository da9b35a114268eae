use stateroom_sdk_core::testing::*;

use super::Room;

#[test]
fn everyone_gets_each_message() {
    let room = TestRoom::new::<Room>();
    let (alice, bob) = (room.connect(), room.connect());
    alice.send("hello");
    assert_eq!(alice.received(), ["hello"]);
    assert_eq!(bob.received(), ["hello"]);
}
