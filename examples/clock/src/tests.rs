use stateroom_sdk_core::testing::*;

use super::room;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn it_ticks_once_a_second() {
    let room = room();
    let client = room.connect();
    room.advance(SECOND - Duration::from_millis(1));
    assert_eq!(client.received(), NOTHING);
    room.advance(Duration::from_millis(1));
    assert_eq!(client.received(), ["1"]);
    room.advance(3 * SECOND);
    assert_eq!(client.received(), ["2", "3", "4"]);
}

#[test]
fn everyone_hears_the_same_clock() {
    let room = room();
    let first = room.connect();
    room.advance(SECOND / 2);
    let second = room.connect();
    room.advance(SECOND / 2);
    assert_eq!(first.received(), ["1"]);
    assert_eq!(second.received(), ["1"]);
}

#[test]
fn it_stands_still_while_nobody_listens() {
    let room = room();
    assert_eq!(room.timer_in(), None);
    let (one, two) = (room.connect(), room.connect());
    room.advance(SECOND);
    one.leave();
    assert_eq!(room.timer_in(), Some(SECOND));
    two.leave();
    assert_eq!(room.timer_in(), None);
    room.advance(100 * SECOND);

    let back = room.connect();
    room.advance(SECOND);
    assert_eq!(back.received(), ["2"]);
}

#[test]
fn messages_are_ignored() {
    let client = room().connect();
    client.send("what time is it?");
    client.send([0]);
    assert_eq!(client.received(), NOTHING);
}
