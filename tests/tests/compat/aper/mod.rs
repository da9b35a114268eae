//! Services on Aper run as guests, those of both published lines. Aper's own client code is at the other end:
//! it decides what a client sends and what its user sees.

mod meeting;
mod replica;
mod sockets;

use std::path::PathBuf;

use stateroom_host_min::{ClientInfo, Event, Program, TrapReason};
use stateroom_sdk_core::{ClientId, MessagePayload};
use stateroom_tests::{Foreign, Profile, foreign_client};

use self::{
    meeting::Meeting,
    sockets::{
        a_suspended_event_happens_by_the_servers_clock, clients_on_sockets_converge,
        nonsense_ends_its_room_alone,
    },
};

/// A service on Aper with its client, by the folder of their package.
#[derive(Debug, Clone, Copy)]
struct Aper(&'static str);

impl Aper {
    fn program(self) -> Program {
        Foreign::Rust(self.0, Profile::Release).program()
    }

    fn client(self) -> PathBuf {
        foreign_client(self.0)
    }
}

/// Makes each fact a test of either line.
macro_rules! facts {
    ($($fact:ident)*) => {
        mod aper_0_3 {
            $(#[test] fn $fact() { super::$fact(super::Aper("aper-0.3")); })*
        }
        mod aper_0_5 {
            $(#[test] fn $fact() { super::$fact(super::Aper("aper-0.5")); })*
        }
    };
}

facts! {
    concurrent_changes_converge
    all_orders_of_arrival_converge
    a_late_client_catches_up
    a_client_that_left_is_not_written_to
    a_suspended_event_happens_when_it_is_due
    a_later_suspended_event_replaces_an_earlier_one
    a_suspended_event_that_is_due_already_happens_at_once
    clients_learn_the_rooms_time
    a_message_that_is_not_apers_breaks_its_room_alone
    clients_on_sockets_converge
    a_suspended_event_happens_by_the_servers_clock
    nonsense_ends_its_room_alone
}

fn concurrent_changes_converge(guest: Aper) {
    let mut meeting = Meeting::new(guest);
    let (anna, bert) = (meeting.join(), meeting.join());
    meeting.settle();
    meeting.user(anna, "note apple");
    meeting.user(bert, "note pear");
    assert_eq!(meeting.shows(anna), "[apple] rung 0");
    assert_eq!(meeting.shows(bert), "[pear] rung 0");

    // The room hears of the pear first, so that Anna has to see her apple move.
    assert!(meeting.room_hears(bert));
    assert!(meeting.room_hears(anna));
    // Each of them is told once of each.
    assert_eq!((meeting.waiting(anna), meeting.waiting(bert)), (2, 2));
    meeting.settle();
    for client in [anna, bert] {
        assert_eq!(meeting.shows(client), "[pear apple] rung 0");
    }
}

fn all_orders_of_arrival_converge(guest: Aper) {
    const NOTES: usize = 12;
    for seed in 1..=3 {
        let mut meeting = Meeting::new(guest);
        let clients = [meeting.join(), meeting.join(), meeting.join()];
        meeting.settle();
        let mut random: u64 = seed;
        let mut notes = Vec::new();
        while notes.len() < NOTES {
            // A generator as simple as they get; its upper bits will do.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (client, what) = (clients[(random >> 40) as usize % 3], (random >> 50) % 3);
            match what {
                0 => {
                    let note = format!("n{}", notes.len());
                    meeting.user(client, &format!("note {note}"));
                    notes.push(note);
                }
                1 => drop(meeting.room_hears(client)),
                _ => drop(meeting.client_hears(client)),
            }
        }
        meeting.settle();
        let shown = meeting.shows(clients[0]);
        assert!(clients.iter().all(|client| meeting.shows(*client) == shown), "{seed}: {shown}");
        let mut taken: Vec<_> =
            shown.trim_start_matches('[').trim_end_matches("] rung 0").split(' ').collect();
        taken.sort_unstable();
        notes.sort_unstable();
        assert_eq!(taken, notes, "{seed}");
    }
}

fn a_late_client_catches_up(guest: Aper) {
    let mut meeting = Meeting::new(guest);
    let anna = meeting.join();
    meeting.settle();
    meeting.user(anna, "note apple");
    meeting.settle();
    // One more is under way when Bert comes.
    meeting.user(anna, "note pear");
    let bert = meeting.join();
    meeting.settle();
    for client in [anna, bert] {
        assert_eq!(meeting.shows(client), "[apple pear] rung 0");
    }
    meeting.user(bert, "note plum");
    meeting.settle();
    for client in [anna, bert] {
        assert_eq!(meeting.shows(client), "[apple pear plum] rung 0");
    }
}

fn a_client_that_left_is_not_written_to(guest: Aper) {
    let mut meeting = Meeting::new(guest);
    let (anna, bert) = (meeting.join(), meeting.join());
    meeting.settle();
    meeting.leave(anna);
    // The meeting fails where the room writes to Anna.
    meeting.user(bert, "note pear");
    meeting.settle();
    assert_eq!(meeting.shows(bert), "[pear] rung 0");
}

fn a_suspended_event_happens_when_it_is_due(guest: Aper) {
    let mut meeting = Meeting::new(guest);
    let (anna, bert) = (meeting.join(), meeting.join());
    meeting.settle();
    meeting.user(anna, &format!("bell {}", meeting.now_ms + 5000));
    meeting.settle();
    assert_eq!(meeting.timer_ms, Some(meeting.now_ms + 5000));

    meeting.wait(4999);
    meeting.settle();
    assert_eq!(meeting.shows(bert), "[] rung 0");
    meeting.wait(1);
    meeting.settle();
    for client in [anna, bert] {
        assert_eq!(meeting.shows(client), "[] rung 1");
    }
    assert_eq!(meeting.timer_ms, None);
}

fn a_later_suspended_event_replaces_an_earlier_one(guest: Aper) {
    let mut meeting = Meeting::new(guest);
    let anna = meeting.join();
    meeting.settle();
    let begin = meeting.now_ms;
    meeting.user(anna, &format!("bell {}", begin + 5000));
    meeting.settle();
    meeting.wait(1000);
    meeting.user(anna, &format!("bell {}", begin + 9000));
    meeting.settle();
    assert_eq!(meeting.timer_ms, Some(begin + 9000));
    meeting.wait(8000);
    meeting.settle();
    assert_eq!(meeting.shows(anna), "[] rung 1");
}

/// The service then asks for a timer of 0 ms, and means it.
fn a_suspended_event_that_is_due_already_happens_at_once(guest: Aper) {
    let mut meeting = Meeting::new(guest);
    let anna = meeting.join();
    meeting.settle();
    meeting.user(anna, &format!("bell {}", meeting.now_ms - 1));
    meeting.settle();
    meeting.wait(1);
    meeting.settle();
    assert_eq!(meeting.shows(anna), "[] rung 1");
}

fn clients_learn_the_rooms_time(guest: Aper) {
    let mut meeting = Meeting::new(guest);
    let anna = meeting.join();
    meeting.settle();
    assert_eq!(meeting.clock_ms(anna), Some(meeting.now_ms));
    meeting.wait(60_000);
    meeting.user(anna, "note apple");
    meeting.settle();
    assert_eq!(meeting.clock_ms(anna), Some(meeting.now_ms));
}

fn a_message_that_is_not_apers_breaks_its_room_alone(guest: Aper) {
    for nonsense in [MessagePayload::Text("nonsense"), MessagePayload::Bytes(&[0xff; 9])] {
        let (mut broken, mut other) = (Meeting::new(guest), Meeting::new(guest));
        let (anna, bert) = (broken.join(), other.join());
        broken.settle();
        other.settle();
        broken.user(anna, "note apple");
        broken.settle();
        assert_eq!(broken.shows(anna), "[apple] rung 0");

        let trap = broken.try_run(Event::Message(anna, nonsense)).expect_err("it is nonsense");
        assert!(matches!(trap.reason(), TrapReason::Panicked { .. }), "{trap}");
        assert!(trap.to_string().contains("called `Result::unwrap()`"), "{trap}");
        assert_eq!(broken.try_run(Event::Connect(ClientId(9), ClientInfo::NONE)), Err(trap));

        other.user(bert, "note pear");
        other.settle();
        assert_eq!(other.shows(bert), "[pear] rung 0");
    }
}
