use stateroom_sdk_core::testing::*;

use super::Cursors;

#[test]
fn a_newcomer_learns_where_the_cursors_are() {
    let room = TestRoom::new::<Cursors>();
    let one = room.connect();
    assert_eq!(one.received(), [[0]]);
    one.send([1, 2, 3, 4]);
    one.send([5, 6, 7, 8]);
    let two = room.connect();
    assert_eq!(two.received(), [[0, 1, 0, 0, 0, 5, 6, 7, 8]]);
}

#[test]
fn the_others_see_a_cursor_move_and_go() {
    let room = TestRoom::new::<Cursors>();
    let (one, two) = (room.connect(), room.connect());
    assert_eq!(one.received(), [[0]]);
    two.send([1, 2, 3, 4]);
    assert_eq!(one.received(), [[0, 2, 0, 0, 0, 1, 2, 3, 4]]);
    two.leave();
    assert_eq!(one.received(), [[1, 2, 0, 0, 0]]);
}

#[test]
fn what_is_no_position_is_ignored() {
    let room = TestRoom::new::<Cursors>();
    let (one, two) = (room.connect(), room.connect());
    one.send("four");
    one.send([1, 2, 3]);
    assert_eq!(two.received(), [[0]]);
}
