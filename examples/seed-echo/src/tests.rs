use super::room;

#[test]
fn everyone_learns_who_says_what_and_who_leaves() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    assert_eq!(one.received(), ["User ClientId(1) connected."]);
    assert_eq!(two.received(), ["User ClientId(2) connected."]);
    one.send("hello");
    one.send(b"not text");
    assert_eq!(one.received(), ["User ClientId(1) sent 'hello'"]);
    one.leave();
    assert_eq!(
        two.received(),
        ["User ClientId(1) sent 'hello'", "User ClientId(1) left."]
    );
}
