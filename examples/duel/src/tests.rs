use stateroom_sdk_core::testing::*;

use super::room;

fn player(room: &TestRoom, name: &str) -> TestClient {
    room.connect_with(&[("query:name", name)])
}

#[test]
fn the_better_hand_wins_when_both_are_shown() {
    let room = room();
    let (ada, ben) = (player(&room, "Ada"), player(&room, "Ben"));
    assert_eq!(ada.received(), ["Ada is here", "Ben is here"]);
    let rounds = [
        ("rock", "scissors", "Ada wins"),
        ("rock", "paper", "Ben wins"),
        ("paper", "paper", "nobody wins"),
    ];
    for (first, second, outcome) in rounds {
        ada.send(first);
        assert_eq!(ada.received(), NOTHING);
        ben.send(second);
        assert_eq!(ada.received(), [outcome]);
    }
}

#[test]
fn a_hand_may_be_changed_until_the_other_is_shown_and_counts_once() {
    let room = room();
    let (ada, ben) = (player(&room, "Ada"), player(&room, "Ben"));
    ben.received();
    ada.send("rock");
    ada.send("paper");
    ben.send("lizard");
    ben.send("rock");
    ben.send("rock");
    assert_eq!(ben.received(), ["Ada wins"]);
}

#[test]
fn who_does_not_say_a_name_is_turned_away() {
    let room = room();
    let reason = "say who you are, in 16 bytes at most: ?name=…";
    assert_eq!(room.connect().closed().unwrap(), (4000, reason));
    assert_eq!(
        player(&room, "a name of seventeen").closed().unwrap(),
        (4000, reason)
    );
    assert_eq!(player(&room, "a name of 16 b..").closed(), None);
}

#[test]
fn a_third_is_turned_away_until_a_player_leaves() {
    let room = room();
    let (ada, ben) = (player(&room, "Ada"), player(&room, "Ben"));
    let third = player(&room, "Cleo");
    assert_eq!(third.closed().unwrap(), (4001, "two are playing already"));
    ben.leave();
    assert_eq!(
        ada.received(),
        ["Ada is here", "Ben is here", "Ben has left"]
    );
    assert_eq!(player(&room, "Cleo").received(), ["Cleo is here"]);
}
