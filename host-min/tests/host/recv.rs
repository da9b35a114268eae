//! Guests of the 0.4 line: every event is one value for `stateroom_recv`, and `stateroom_send` takes what
//! they ask for.

use stateroom_core::{ClientId, MessagePayload, MessageRecipient};
use stateroom_host_min::{Effect, Event, Limits, Program, Room, Step, Trap, TrapReason};

use crate::guest::{broadcast, connect, finish};

/// Passes what it gets in a message on to `stateroom_send`, and sends every other event back as bytes.
///
/// A message's data begins after a variant, a client, a kind and a length: 20 bytes.
const FORWARDER: &str = r#"
    (import "env" "stateroom_send" (func $stateroom_send (param i32 i32)))
    (memory (export "memory") 20)
    (data (i32.const 1000) "\00\00\00\00\00\00\00\00\00\00\00\00")
    (global $frees (mut i32) (i32.const 0))
    (func (export "stateroom_malloc") (param i32) (result i32) i32.const 2000)
    (func (export "stateroom_free") (param i32 i32))
    (func (export "stateroom_recv") (param $at i32) (param $len i32)
        (if (i32.eq (i32.load (local.get $at)) (i32.const 3))
            (then (call $stateroom_send (i32.add (local.get $at) (i32.const 20)) (i32.sub (local.get $len) (i32.const 20))))
            (else
                (i64.store (i32.const 1012) (i64.extend_i32_u (local.get $len)))
                (memory.copy (i32.const 1020) (local.get $at) (local.get $len))
                (call $stateroom_send (i32.const 1000) (i32.add (i32.const 20) (local.get $len))))))"#;

fn load(fields: &str) -> Program {
    let module = wat::parse_str(format!("(module {fields})")).unwrap();
    Program::load(&module, Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn room(fields: &str) -> Room {
    let mut room = load(fields).room("lobby", [0; 32]).unwrap();
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    room
}

/// Makes the guest ask for something.
fn ask(room: &mut Room, bytes: &[u8]) -> Result<Step, Trap> {
    finish(room, Event::Message(ClientId(1), MessagePayload::Bytes(bytes)))
}

fn sent(room: &Room) -> Vec<Vec<u8>> {
    let bytes = |effect: Effect<'_>| match effect {
        Effect::Send { payload, .. } => payload.bytes().map(<[u8]>::to_vec),
        _ => None,
    };
    room.effects().filter_map(bytes).collect()
}

#[test]
fn events_are_encoded_as_the_published_hosts_do() {
    let mut room = load(FORWARDER).room("lobby", [0; 32]).unwrap();
    let mut check = |event, expected: &[u8]| {
        assert_eq!(finish(&mut room, event), Ok(Step::Done));
        assert_eq!(sent(&room), [expected]);
    };
    check(Event::Init, &[0, 0, 0, 0]);
    check(connect(0x0102), &[1, 0, 0, 0, 2, 1, 0, 0]);
    check(Event::Disconnect(ClientId(7)), &[2, 0, 0, 0, 7, 0, 0, 0]);
    check(Event::Timer, &[4, 0, 0, 0]);

    // The whole of a message is what `stateroom_recv` gets.
    let whole = FORWARDER.replace("(i32.const 3)", "(i32.const 99)");
    let mut room = self::room(&whole);
    let mut check = |payload, expected: &[u8]| {
        assert_eq!(finish(&mut room, Event::Message(ClientId(5), payload)), Ok(Step::Done));
        assert_eq!(sent(&room), [expected]);
    };
    check(
        MessagePayload::Bytes(&[255, 0]),
        &[3, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 255, 0],
    );
    check(
        MessagePayload::Text("é"),
        &[3, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xc3, 0xa9],
    );
    check(MessagePayload::Text(""), &[3, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_a_guest_asks_for_is_decoded() {
    let mut room = room(FORWARDER);
    let mut check = |bytes: &[u8], expected: Effect<'_>| {
        assert_eq!(ask(&mut room, bytes), Ok(Step::Done));
        assert_eq!(room.effects().collect::<Vec<_>>(), [expected]);
        let trailing = [bytes, &[9, 9, 9]].concat();
        assert_eq!(ask(&mut room, &trailing), Ok(Step::Done), "what follows is ignored");
        assert_eq!(room.effects().collect::<Vec<_>>(), [expected]);
    };
    check(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i'], broadcast("hi"));
    check(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], broadcast(""));
    let bytes = MessagePayload::Bytes(&[255]);
    check(
        &[0, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 255],
        Effect::Send { recipient: MessageRecipient::Client(ClientId(6)), payload: bytes },
    );
    check(
        &[0, 0, 0, 0, 2, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 255],
        Effect::Send { recipient: MessageRecipient::EveryoneExcept(ClientId(6)), payload: bytes },
    );
    check(&[1, 0, 0, 0, 0xe8, 3, 0, 0], Effect::SetTimer { ms: 1000 });
    // It is due at once, as in the published hosts.
    check(&[1, 0, 0, 0, 0, 0, 0, 0], Effect::SetTimer { ms: 1 });
}

#[test]
fn bytes_that_say_nothing_end_the_event() {
    let text = |len: u8, data: &[u8]| {
        [&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, len, 0, 0, 0, 0, 0, 0, 0], data].concat()
    };
    let mut endless = text(2, b"hi");
    endless[12..20].fill(255);
    let cases: [(&[u8], &str); 8] = [
        (&[], "they end too early"),
        (&[1, 0, 0, 0, 1, 0, 0], "they end too early"),
        (&[2, 0, 0, 0], "there is no message to the host with the number 2"),
        (&[0, 0, 0, 0, 3, 0, 0, 0], "there is no recipient with the number 3"),
        (
            &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "there is no payload with the number 2",
        ),
        (&text(3, b"hi"), "they announce a payload of 3 bytes, and 2 follow"),
        (&endless, "they announce a payload of 18446744073709551615 bytes, and 2 follow"),
        (&text(1, &[0xff]), "the text is not UTF-8"),
    ];
    for (bytes, reason) in cases {
        let mut room = room(FORWARDER);
        let trap = ask(&mut room, bytes).unwrap_err();
        assert_eq!(*trap.reason(), TrapReason::Malformed(reason.into()), "{bytes:?}");
        assert_eq!(trap.during(), "stateroom_recv");
        assert_eq!(room.effects().count(), 0);
    }
    // Every beginning of something that says something.
    let whole = text(2, b"hi");
    for len in 0..whole.len() {
        assert!(ask(&mut room(FORWARDER), &whole[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn a_guest_of_the_0_4_line_takes_small_messages_at_address_zero() {
    let zero = FORWARDER
        .replace("i32.const 2000", "i32.const 0")
        .replace("(i32.const 3)", "(i32.const 99)")
        .replace("(i32.const 1000)", "(i32.const 700000)")
        .replace("(i32.const 1012)", "(i32.const 700012)")
        .replace("(i32.const 1020)", "(i32.const 700020)");
    let versioned = format!(
        r#"{zero} (global (export "STATEROOM_API_VERSION") i32 (i32.const 600000))
        (global (export "STATEROOM_API_PROTOCOL") i32 (i32.const 600004)) (data (i32.const 600000) "\01\00\00\00")"#
    );
    let mut room = room(&versioned);
    // With the 20 bytes before it, that is 64 KiB.
    let largest = vec![7; (64 << 10) - 20];
    assert_eq!(ask(&mut room, &largest), Ok(Step::Done));
    assert!(sent(&room)[0].ends_with(&largest));
    assert_eq!(ask(&mut room, &[&largest[..], &[7]].concat()), Ok(Step::Refused));
    assert_eq!(ask(&mut room, b"small"), Ok(Step::Done), "the room lives on");
}

#[test]
fn the_version_of_the_0_4_line_is_checked() {
    let newer = format!(
        r#"{FORWARDER} (global (export "STATEROOM_API_VERSION") i32 (i32.const 600))
        (global (export "STATEROOM_API_PROTOCOL") i32 (i32.const 600)) (data (i32.const 600) "\02\00\00\00")"#
    );
    let module = wat::parse_str(format!("(module {newer})")).unwrap();
    let error = Program::load(&module, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("version 2 of protocol 2; this host has version 1 of protocol 0"), "{error}");
}

#[test]
fn an_incomplete_guest_of_the_0_4_line_is_refused_for_what_it_lacks() {
    let module = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "stateroom_recv") (param i32)))"#,
    );
    let error = Program::load(&module.unwrap(), Limits::default()).unwrap_err().to_string();
    for part in [
        "`stateroom_malloc`",
        "`stateroom_free`",
        "its export `stateroom_recv` has to be a function (i32, i32)",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!error.contains("jam_malloc"), "{error}");
}

#[test]
fn only_messages_can_be_refused() {
    let full = FORWARDER.replace("i32.const 2000", "i32.const -1");
    for (event, size) in [(Event::Init, 4), (connect(1), 8), (Event::Timer, 4)] {
        let mut room = load(&full).room("lobby", [0; 32]).unwrap();
        let trap = finish(&mut room, event).unwrap_err();
        assert_eq!(*trap.reason(), TrapReason::AllocFailed { size }, "{event:?}");
    }
    let mut room = load(&full).room("lobby", [0; 32]).unwrap();
    assert_eq!(ask(&mut room, b"anything"), Ok(Step::Refused));
}
