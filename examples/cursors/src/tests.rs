use stateroom_sdk_core::testing::*;

use super::room;

/// The number of cursors that a room shows.
const PLACES: usize = 32;

#[test]
fn a_newcomer_learns_where_the_cursors_are() {
    let room = room();
    let one = room.connect();
    assert_eq!(one.received(), [[0]]);
    one.send([1, 2, 3, 4]);
    one.send([5, 6, 7, 8]);
    let two = room.connect();
    assert_eq!(two.received(), [[0, 1, 0, 0, 0, 5, 6, 7, 8]]);
}

#[test]
fn the_others_see_a_cursor_move_and_go() {
    let room = room();
    let (one, two, three) = (room.connect(), room.connect(), room.connect());
    let all = [&one, &two, &three];
    assert_eq!(all.map(TestClient::received), [[[0]], [[0]], [[0]]]);
    two.send([1, 2, 3, 4]);
    assert_eq!(two.received(), NOTHING);
    assert_eq!(one.received(), [[0, 2, 0, 0, 0, 1, 2, 3, 4]]);
    two.leave();
    assert_eq!(one.received(), [[1, 2, 0, 0, 0]]);
    // Who had no cursor goes unnoticed.
    three.leave();
    assert_eq!(one.received(), NOTHING);
}

#[test]
fn what_is_no_position_is_ignored() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    one.send("four");
    one.send([1, 2, 3]);
    one.send([1, 2, 3, 4, 5]);
    assert_eq!(two.received(), [[0]]);
    assert_eq!(one.received(), [[0]]);
}

#[test]
fn large_ids_are_little_endian() {
    let room = room();
    let watcher = room.connect();
    assert_eq!(watcher.received(), [[0]]);
    for _ in 2..0x0102 {
        room.connect().leave();
    }
    let far = room.connect();
    far.send([1, 2, 3, 4]);
    far.leave();
    let [moved, gone] = &watcher.received()[..] else {
        panic!("two messages")
    };
    assert_eq!(*moved, [0, 2, 1, 0, 0, 1, 2, 3, 4]);
    assert_eq!(*gone, [1, 2, 1, 0, 0]);
}

#[test]
fn who_finds_no_place_is_told_and_gets_one_when_it_is_free() {
    let room = room();
    let clients = [(); PLACES].map(|()| room.connect());
    for client in &clients {
        client.send([0; 4]);
    }
    let late = room.connect();
    // All cursors fit into one message.
    assert_eq!(
        late.received()[0].bytes().map(<[u8]>::len),
        Some(1 + 8 * PLACES)
    );
    late.send([7; 4]);
    assert_eq!(late.received(), [[2]]);
    // Those who have a place move on.
    clients[0].send([1; 4]);
    assert_eq!(late.received(), [[0, 1, 0, 0, 0, 1, 1, 1, 1]]);
    clients[1].leave();
    assert_eq!(late.received(), [[1, 2, 0, 0, 0]]);
    clients[0].received();
    late.send([7; 4]);
    assert_eq!(late.received(), NOTHING);
    assert_eq!(clients[0].received(), [[0, 33, 0, 0, 0, 7, 7, 7, 7]]);
}
