use stateroom_core::{ClientId, LogLevel, MessagePayload, MessageRecipient};
use stateroom_host_min::{Effect, Event, Limits, Step};

use crate::guest::{broadcast, bytes, connect, finish, program, room, room_with, said, text};

/// Sends what it gets back to everyone, of either kind.
pub(crate) const ECHO: &str = r#"
    (func (export "message") (param $client i32) (param $at i32) (param $len i32)
        (call $send (i32.const 0) (local.get $at) (local.get $len)))
    (func (export "binary") (param $client i32) (param $at i32) (param $len i32)
        (call $send_binary (i32.const 0) (local.get $at) (local.get $len)))"#;

#[test]
fn the_room_id_is_handed_over_first() {
    let fields = r#"(func (export "initialize") (param $at i32) (param $len i32)
        (call $send (i32.const 0) (local.get $at) (local.get $len)))"#;
    for id in ["lobby", "", "✓ café\0"] {
        let mut room = program(fields).room(id, [0; 32]).unwrap();
        assert_eq!(room.id(), id);
        assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
        assert_eq!(said(&room), [id]);
    }
}

#[test]
fn text_and_bytes_survive_unchanged() {
    let mut room = room_with(&format!(r#"{ECHO} (memory (export "memory") 17)"#), Limits::default());
    let long = "é".repeat(1 << 19);
    for sent in ["", "hello", "\0", "🦀", &long] {
        assert_eq!(finish(&mut room, text(sent)), Ok(Step::Done));
        assert_eq!(room.effects().collect::<Vec<_>>(), [broadcast(sent)]);
    }
    for sent in [&b""[..], &[0, 255, 128], long.as_bytes()] {
        assert_eq!(finish(&mut room, bytes(sent)), Ok(Step::Done));
        let effect =
            Effect::Send { recipient: MessageRecipient::Broadcast, payload: MessagePayload::Bytes(sent) };
        assert_eq!(room.effects().collect::<Vec<_>>(), [effect]);
    }
}

#[test]
fn effects_come_in_the_order_in_which_they_were_asked_for() {
    let mut room = room(
        r#"(memory (export "memory") 1) (data (i32.const 0) "abc")
           (func (export "connect") (param $client i32)
            (call $send (i32.const 0) (i32.const 0) (i32.const 1))
            (call $set_timer (i32.const 250))
            (call $send_binary (local.get $client) (i32.const 1) (i32.const 1))
            (call $log (i32.const 2) (i32.const 0) (i32.const 3))
            (call $set_timer (i32.const 0))
            (call $send (i32.const -7) (i32.const 2) (i32.const 1)))"#,
    );
    assert_eq!(finish(&mut room, connect(7)), Ok(Step::Done));
    let expected = [
        broadcast("a"),
        Effect::SetTimer { ms: 250 },
        Effect::Send {
            recipient: MessageRecipient::Client(ClientId(7)),
            payload: MessagePayload::Bytes(b"b"),
        },
        Effect::Log { level: LogLevel::Warn, text: "abc" },
        Effect::CancelTimer,
        Effect::Send {
            recipient: MessageRecipient::EveryoneExcept(ClientId(7)),
            payload: MessagePayload::Text("c"),
        },
    ];
    assert_eq!(room.effects().collect::<Vec<_>>(), expected);
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
    assert_eq!(room.effects().count(), 0);
}

#[test]
fn a_hand_over_is_malloc_then_the_export_then_free() {
    // Each call writes its letter and its arguments' last digits.
    let mut room = room(
        r#"(memory (export "memory") 1)
           (global $n (mut i32) (i32.const 0))
           (func $note (param $digit i32)
            (i32.store8 (global.get $n) (i32.add (local.get $digit) (i32.const 48)))
            (global.set $n (i32.add (global.get $n) (i32.const 1))))
           (func (export "jam_malloc") (param $size i32) (result i32)
            (call $note (i32.const 1)) (call $note (local.get $size)) i32.const 1005)
           (func (export "message") (param $client i32) (param $at i32) (param $len i32)
            (call $note (i32.const 2)) (call $note (i32.sub (local.get $at) (i32.const 1000))) (call $note (local.get $len)))
           (func (export "jam_free") (param $at i32) (param $size i32)
            (call $note (i32.const 3)) (call $note (i32.sub (local.get $at) (i32.const 1000))) (call $note (local.get $size))
            (call $send (i32.const 0) (i32.const 0) (global.get $n)) (global.set $n (i32.const 0)))"#,
    );
    // That of the room's id, which the template's `initialize` ignores.
    assert_eq!(said(&room), ["15355"]);
    assert_eq!(finish(&mut room, text("xyz")), Ok(Step::Done));
    assert_eq!(said(&room), ["13253353"]);
    assert_eq!(finish(&mut room, text("")), Ok(Step::Done));
    assert_eq!(said(&room), ["10250350"], "also for nothing at all");
}

#[test]
fn what_fits_into_an_inbox_is_neither_asked_for_nor_given_back() {
    // As above. The inbox has five bytes, or as many as the guest says later.
    let mut room = room(
        r#"(memory (export "memory") 1)
           (global (export "jam_inbox") i32 (i32.const 2001))
           (data (i32.const 2001) "\e9\07\00\00\ee\07\00\00")
           (global $n (mut i32) (i32.const 0))
           (func $note (param $digit i32)
            (i32.store8 (global.get $n) (i32.add (local.get $digit) (i32.const 48)))
            (global.set $n (i32.add (global.get $n) (i32.const 1))))
           (func (export "jam_malloc") (param $size i32) (result i32) (call $note (i32.const 1)) i32.const 1005)
           (func (export "message") (param $client i32) (param $at i32) (param $len i32)
            (call $note (i32.const 2))
            (call $send (i32.const 0) (local.get $at) (local.get $len)))
           (func (export "binary") (param $client i32) (param $at i32) (param $len i32)
            (i32.store (i32.const 2001) (i32.load (local.get $at)))
            (i32.store (i32.const 2005) (i32.load offset=4 (local.get $at))))
           (func (export "jam_free") (param $at i32) (param $size i32) (call $note (i32.const 3)))
           (func (export "timer") (call $send (i32.const 0) (i32.const 0) (global.get $n)) (global.set $n (i32.const 0)))"#,
    );
    let mut handed_over = |message: &str| {
        assert_eq!(finish(&mut room, text(message)), Ok(Step::Done));
        assert_eq!(said(&room), [message]);
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        said(&room).concat()
    };
    assert_eq!(handed_over("").trim_start_matches("13"), "2", "the template's `initialize` may be first");
    assert_eq!(handed_over("12345"), "2");
    assert_eq!(handed_over("123456"), "123");
    for (begin, end, expected) in [
        (3000_u32, 3006_u32, "2"),
        (3000, 3005, "123"),
        // What is none, or is not in the memory.
        (3006, 3000, "123"),
        (u32::MAX - 2, u32::MAX, "123"),
        (65000, 65537, "123"),
        (65530, 65536, "2"),
    ] {
        let place = [begin.to_le_bytes(), end.to_le_bytes()].concat();
        assert_eq!(finish(&mut room, bytes(&place)), Ok(Step::Done));
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        assert_eq!(finish(&mut room, text("123456")), Ok(Step::Done), "{begin} to {end}");
        assert_eq!(said(&room), ["123456"]);
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        assert_eq!(said(&room), [expected], "{begin} to {end}");
    }
}

#[test]
fn what_came_by_an_inbox_is_not_given_back_although_the_inbox_moves_meanwhile() {
    // It has two inboxes, and takes from one while the next message may go to the other.
    let mut room = room(
        r#"(memory (export "memory") 1)
           (global (export "jam_inbox") i32 (i32.const 16))
           (data (i32.const 16) "\00\04\00\00\04\04\00\00")
           (func (export "jam_malloc") (param i32) (result i32) i32.const 2048)
           (func (export "jam_free") (param $at i32) (param $size i32)
            (call $send (i32.const 0) (i32.const 0) (i32.const 1)))
           (func (export "message") (param $client i32) (param $at i32) (param $len i32)
            (call $send (i32.const 0) (local.get $at) (local.get $len))
            (i32.store (i32.const 16) (i32.xor (i32.load (i32.const 16)) (i32.const 0x800)))
            (i32.store (i32.const 20) (i32.xor (i32.load (i32.const 20)) (i32.const 0x800))))"#,
    );
    for message in ["a", "bc", "d"] {
        assert_eq!(finish(&mut room, text(message)), Ok(Step::Done));
        assert_eq!(said(&room), [message]);
    }
    assert_eq!(finish(&mut room, text("five!")), Ok(Step::Done));
    assert_eq!(said(&room), ["five!", "\0"], "what was asked for is given back");
}

#[test]
fn an_inbox_outside_of_the_memory_or_at_a_place_that_changes_is_none() {
    for (inbox, at, data) in [
        ("i32", 16, r"\00\00\01\00\00\01\01\00"),
        ("i32", 65529, ""),
        ("i32", 65535, ""),
        ("i32", -1, ""),
        ("(mut i32)", 16, r"\00\04\00\00\04\04\00\00"),
    ] {
        let data_at = if data.is_empty() { 0 } else { at };
        let mut room = room(&format!(
            r#"(memory (export "memory") 1)
               (global (export "jam_inbox") {inbox} (i32.const {at}))
               (data (i32.const {data_at}) "{data}")
               (func (export "jam_malloc") (param i32) (result i32) i32.const 2048)
               (func (export "jam_free") (param i32 i32) nop)
               (func (export "message") (param $client i32) (param $at i32) (param $len i32)
                (i32.store (i32.const 1000) (local.get $at))
                (call $send_binary (i32.const 0) (i32.const 1000) (i32.const 4)))"#
        ));
        assert_eq!(finish(&mut room, text("a")), Ok(Step::Done));
        let place = Effect::Send {
            recipient: MessageRecipient::Broadcast,
            payload: MessagePayload::Bytes(&2048_u32.to_le_bytes()),
        };
        assert!(room.effects().eq([place]), "{inbox} {at}");
    }
}

#[test]
fn time_and_random_numbers_are_inputs() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "timer")
            (i64.store (i32.const 0) (call $now_ms))
            (call $random (i32.const 8) (i32.const 24))
            (call $send_binary (i32.const 0) (i32.const 0) (i32.const 32)))"#;
    let program = program(fields);
    let output = |seed, now| {
        let mut room = program.room("a", [seed; 32]).unwrap();
        assert_eq!(room.handle(Event::Timer, now), Ok(Step::Done));
        let sent = room.effects().find_map(|effect| match effect {
            Effect::Send { payload, .. } => payload.bytes().map(<[u8]>::to_vec),
            _ => None,
        });
        sent.unwrap()
    };
    assert_eq!(output(1, 5), output(1, 5), "the same inputs give the same effects");
    assert_eq!(output(1, 5)[..8], 5_u64.to_le_bytes());
    assert_eq!(output(1, 6)[8..], output(1, 5)[8..]);
    assert_ne!(output(2, 5)[8..], output(1, 5)[8..]);
}

#[test]
fn a_guest_says_that_it_has_no_room_with_a_pointer_outside_its_memory() {
    let fields = |at: &str| {
        format!(
            r#"{ECHO} (global $full (mut i32) (i32.const 0))
            (func (export "connect") (param i32) (global.set $full (local.get 0)))
            (func (export "jam_malloc") (param i32) (result i32)
                (if (result i32) (global.get $full)
                    (then (call $set_timer (i32.const 1)) (i32.const {at})) (else (i32.const 64))))"#
        )
    };
    for at in ["0xffffffff", "0xfffffffe", "65534", "0x80000000"] {
        let mut room = room(&fields(at));
        assert_eq!(finish(&mut room, connect(1)), Ok(Step::Done));
        assert_eq!(finish(&mut room, text("abc")), Ok(Step::Refused), "{at}");
        assert_eq!(room.effects().count(), 0, "it did not happen");
        assert_eq!(finish(&mut room, connect(0)), Ok(Step::Done));
        assert_eq!(finish(&mut room, text("abc")), Ok(Step::Done), "the room lives on");
        assert_eq!(said(&room), ["abc"]);
    }
}

#[test]
fn the_published_sdk_takes_small_messages_at_address_zero() {
    let versions = r#"(global (export "JAMSOCKET_API_VERSION") i32 (i32.const 8))
        (func $start (i32.store8 (i32.const 8) (i32.const 1))) (start $start)"#;
    let at_zero = r#"(memory (export "memory") 17)
        (func (export "jam_malloc") (param i32) (result i32) i32.const 0)"#;
    let (small, large) = ("x".repeat(64 << 10), "x".repeat((64 << 10) + 1));

    let mut published = room(&format!("{ECHO}{at_zero}{versions}"));
    assert_eq!(finish(&mut published, text(&small)), Ok(Step::Done));
    assert_eq!(said(&published), [&small]);
    assert_eq!(finish(&mut published, text(&large)), Ok(Step::Refused));

    let mut other = room(&format!("{ECHO}{at_zero}"));
    assert_eq!(finish(&mut other, text(&large)), Ok(Step::Done), "elsewhere 0 is an address like any other");
    assert_eq!(said(&other), [&large]);
}

#[test]
fn the_published_sdk_takes_half_of_its_stack_if_that_comes_first() {
    // The stack pointer is the first global, and the version lies right above the stack.
    let taken = |global: &str, data: u32, size: usize| {
        let mut room = room(&format!(
            r#"(global {global}) (data (i32.const {data}) "\01\00\00\00")
            (memory (export "memory") 17) (func (export "jam_malloc") (param i32) (result i32) i32.const 0)
            (global (export "JAMSOCKET_API_VERSION") i32 (i32.const {data})) {ECHO}"#
        ));
        let message = "x".repeat(size);
        match finish(&mut room, text(&message)) {
            Ok(Step::Done) => assert_eq!(said(&room), [&message]),
            other => assert_eq!(other, Ok(Step::Refused)),
        }
        room.effects().count() > 0
    };
    let stack = "(mut i32) (i32.const 1048576)";
    assert!(taken(stack, 1 << 20, 512 << 10));
    assert!(!taken(stack, 1 << 20, (512 << 10) + 1));
    // A small stack, data below it, and a global that is no stack pointer.
    for (global, data) in [
        ("(mut i32) (i32.const 65536)", 1 << 20),
        (stack, (1 << 20) - 1),
        ("i32 (i32.const 1048576)", 1 << 20),
    ] {
        assert!(taken(global, data, 64 << 10), "{global} {data}");
        assert!(!taken(global, data, (64 << 10) + 1), "{global} {data}");
    }
}

#[test]
fn a_message_beyond_the_limit_is_refused_and_never_written() {
    let mut limits = Limits::default();
    limits.message_size = 10;
    let mut room = room_with(ECHO, limits);
    assert_eq!(finish(&mut room, text("12345678901")), Ok(Step::Refused));
    assert_eq!(finish(&mut room, text("1234567890")), Ok(Step::Done));
}

#[test]
fn rooms_of_a_program_share_nothing() {
    let program = program(
        r#"(memory (export "memory") 1) (data (i32.const 0) "0123456789")
           (global $n (mut i32) (i32.const 0))
           (func (export "timer")
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (call $send (i32.const 0) (global.get $n) (i32.const 1)))"#,
    );
    let mut a = program.room("a", [0; 32]).unwrap();
    let mut b = program.room("b", [0; 32]).unwrap();
    for expected in ["1", "2"] {
        assert_eq!(finish(&mut a, Event::Timer), Ok(Step::Done));
        assert_eq!(said(&a), [expected]);
    }
    assert_eq!(finish(&mut b, Event::Timer), Ok(Step::Done));
    assert_eq!(said(&b), ["1"]);
}
