use stateroom_sdk_core::testing::*;

use super::room;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_newcomer_learns_who_is_here_and_the_others_that_it_is() {
    let room = room();
    let one = room.connect();
    assert_eq!(one.received(), ["1 here"]);
    one.send("typing");
    let two = room.connect();
    assert_eq!(one.received(), ["1 typing", "2 here"]);
    assert_eq!(two.received(), ["1 typing", "2 here"]);
    two.leave();
    assert_eq!(one.received(), ["2 gone"]);
}

#[test]
fn who_types_types_until_three_seconds_after_the_last_key() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    two.received();
    for _ in 0..5 {
        one.send("typing");
        room.advance(2 * SECOND);
    }
    assert_eq!(two.received(), ["1 typing"]);
    room.advance(SECOND);
    assert_eq!(two.received(), ["1 here"]);
}

#[test]
fn who_has_sent_what_it_typed_is_here_at_once() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    two.received();
    one.send("typing");
    one.send("hello");
    assert_eq!(two.received(), ["1 typing", "1 here"]);
    room.advance(10 * SECOND);
    assert_eq!(two.received(), NOTHING);
}

#[test]
fn who_is_silent_for_a_minute_is_away_until_it_is_heard() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    two.received();
    room.advance(40 * SECOND);
    two.send("");
    room.advance(19 * SECOND);
    assert_eq!(two.received(), NOTHING);
    room.advance(SECOND);
    assert_eq!(two.received(), ["1 away"]);
    one.send("typing");
    assert_eq!(two.received(), ["1 typing"]);
    room.advance(39 * SECOND);
    assert_eq!(
        one.received(),
        ["1 here", "2 here", "1 away", "1 typing", "1 here"]
    );
    room.advance(SECOND);
    assert_eq!(one.received(), ["2 away"]);
}

#[test]
fn an_empty_room_waits_for_nothing() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    one.send("typing");
    one.leave();
    two.received();
    room.advance(59 * SECOND);
    assert_eq!(two.received(), NOTHING);
    two.leave();
    assert_eq!(room.timer_in(), None);
}

#[test]
fn who_finds_no_place_watches() {
    let room = room();
    let clients = [(); 32].map(|()| room.connect());
    let late = room.connect();
    assert_eq!(late.received().len(), 32);
    clients[0].received();
    late.send("typing");
    late.leave();
    assert_eq!(clients[0].received(), NOTHING);
    for client in &clients {
        client.send("typing");
    }
    room.advance(60 * SECOND);
    // Typing, here again, and away.
    assert_eq!(clients[0].received().len(), 3 * 32);
}
