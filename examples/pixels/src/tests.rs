use stateroom_sdk_core::testing::*;

use super::room;

/// Returns the picture as a newcomer sees it.
fn picture(room: &TestRoom) -> Message {
    let client = room.connect();
    let [picture] = <[Message; 1]>::try_from(client.received()).expect("the picture");
    client.leave();
    picture
}

#[test]
fn everyone_sees_a_pixel_change_and_newcomers_the_whole_picture() {
    let room = room();
    assert_eq!(picture(&room), [0; 1024]);
    let (one, two) = (room.connect(), room.connect());
    one.received();
    two.received();
    one.send([31, 0, 15]);
    two.send([0, 31, 7]);
    for client in [one, two] {
        assert_eq!(client.received(), [[31, 0, 15], [0, 31, 7]]);
    }
    let mut expected = [0; 1024];
    expected[31] = 15;
    expected[31 * 32] = 7;
    assert_eq!(picture(&room), expected);
}

#[test]
fn ten_pixels_at_once_and_then_one_a_second() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    one.received();
    for x in 0..10 {
        one.send([x, 0, 1]);
    }
    assert_eq!(one.received().len(), 10);
    one.send([10, 0, 1]);
    assert_eq!(one.received(), [1000_u16.to_le_bytes()]);
    room.advance(Duration::from_millis(400));
    one.send([10, 0, 1]);
    assert_eq!(one.received(), [600_u16.to_le_bytes()]);
    // Each has a brush of its own.
    two.send([20, 0, 1]);
    assert_eq!(one.received(), [[20, 0, 1]]);
    room.advance(Duration::from_millis(600));
    one.send([10, 0, 1]);
    assert_eq!(one.received(), [[10, 0, 1]]);
}

#[test]
fn what_is_no_pixel_is_ignored_and_costs_nothing() {
    let room = room();
    let client = room.connect();
    client.received();
    for _ in 0..10 {
        client.send("red");
        client.send([0, 0]);
        client.send([32, 0, 1]);
        client.send([0, 32, 1]);
        client.send([0, 0, 16]);
    }
    assert_eq!(client.received(), NOTHING);
    client.send([0, 0, 1]);
    assert_eq!(client.received(), [[0, 0, 1]]);
}

#[test]
fn who_finds_no_brush_watches() {
    let room = room();
    let clients = [(); 64].map(|()| room.connect());
    let late = room.connect();
    late.received();
    late.send([0, 0, 1]);
    assert_eq!(late.received(), [u16::MAX.to_le_bytes()]);
    clients[0].send([0, 0, 1]);
    assert_eq!(late.received(), [[0, 0, 1]]);
}
