use stateroom_sdk_core::testing::*;

use super::room;

#[test]
fn text_comes_back_as_text_and_bytes_as_bytes() {
    let client = room().connect();
    client.send("héllo");
    client.send([0, 255]);
    client.send("");
    assert_eq!(
        client.received(),
        ["héllo".into(), Message::from([0, 255]), "".into()]
    );
}

#[test]
fn nobody_else_hears_it() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    one.send("hello");
    assert_eq!(one.received(), ["hello"]);
    assert_eq!(two.received(), NOTHING);
}
