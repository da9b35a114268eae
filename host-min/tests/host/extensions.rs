//! `stateroom.close` and `stateroom.client_info`.

use std::slice;

use stateroom_core::{ClientId, MessageRecipient};
use stateroom_host_min::{ClientInfo, Effect, Event, Limits, Room, Step, TrapReason};

use crate::guest::{
    IMPORTS, broadcast, bytes, connect, finish, load, program, program_with, room, room_with,
};

fn close(recipient: MessageRecipient, code: u16, reason: &str) -> Effect<'_> {
    Effect::Close { recipient, code, reason }
}

#[test]
fn closing_is_an_effect_among_others() {
    let mut room = room(
        r#"(memory (export "memory") 1) (data (i32.const 0) "full")
           (func (export "connect") (param $client i32)
            (call $send (i32.const 0) (i32.const 0) (i32.const 1))
            (call $close (local.get $client) (i32.const 4001) (i32.const 0) (i32.const 4))
            (call $close (i32.const -7) (i32.const 1000) (i32.const 0) (i32.const 0))
            (call $send (i32.const 0) (i32.const 1) (i32.const 1))
            (call $close (i32.const 0) (i32.const 4999) (i32.const 4) (i32.const 0)))"#,
    );
    assert_eq!(finish(&mut room, connect(7)), Ok(Step::Done));
    let client = ClientId(7);
    let expected = [
        broadcast("f"),
        close(MessageRecipient::Client(client), 4001, "full"),
        close(MessageRecipient::EveryoneExcept(client), 1000, ""),
        broadcast("u"),
        close(MessageRecipient::Broadcast, 4999, ""),
    ];
    assert_eq!(room.effects().collect::<Vec<_>>(), expected);
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
    assert_eq!(room.effects().count(), 0);
}

#[test]
fn an_event_that_traps_or_is_refused_closes_nothing() {
    let closing = "(call $close (i32.const 0) (i32.const 1000) (i32.const 0) (i32.const 0))";
    let mut room = room(&format!(
        r#"(global $full (mut i32) (i32.const 0))
        (func (export "connect") (param i32) (global.set $full (i32.const 1)))
        (func (export "jam_malloc") (param i32) (result i32)
            {closing} (select (i32.const -1) (i32.const 64) (global.get $full)))
        (func (export "timer") {closing} unreachable)"#
    ));
    assert_eq!(finish(&mut room, bytes(b"a")), Ok(Step::Done));
    assert_eq!(room.effects().count(), 1);
    assert_eq!(finish(&mut room, connect(1)), Ok(Step::Done));
    assert_eq!(finish(&mut room, bytes(b"a")), Ok(Step::Refused));
    assert_eq!(room.effects().count(), 0);
    assert!(finish(&mut room, Event::Timer).is_err());
    assert_eq!(room.effects().count(), 0);
}

#[test]
fn closing_counts_as_an_effect_and_its_reason_as_bytes() {
    let run = |limits| {
        let fields = r#"(memory (export "memory") 1)
            (func (export "timer") (local $n i32)
                (loop (call $close (i32.const 1) (i32.const 1000) (i32.const 0) (i32.const 100))
                    (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10)))))"#;
        finish(&mut room_with(fields, limits), Event::Timer).map_err(|trap| trap.reason().clone())
    };
    let mut limits = Limits::default();
    (limits.effects, limits.effect_bytes) = (10, 1_000);
    assert_eq!(run(limits), Ok(Step::Done));
    limits.effects = 9;
    assert_eq!(run(limits), Err(TrapReason::TooManyEffects { limit: 9 }));
    (limits.effects, limits.effect_bytes) = (10, 999);
    assert_eq!(run(limits), Err(TrapReason::TooManyEffectBytes { limit: 999 }));
}

/// Asks for the key of `$len` bytes at 0 with room for 8 bytes at 64, and sends the answer, as a number and with what
/// is then at 64.
const ASK: &str = r#"
    (memory (export "memory") 1)
    (func $ask (param $client i32) (param $len i32)
        (i64.store (i32.const 64) (i64.const 0x2e2e2e2e2e2e2e2e))
        (i32.store (i32.const 60)
            (call $client_info (local.get $client) (i32.const 0) (local.get $len) (i32.const 64) (i32.const 8)))
        (call $send_binary (i32.const 0) (i32.const 60) (i32.const 12)))"#;

/// Returns what `$ask` has sent: one answer after the other.
fn answers(room: &Room) -> Vec<(i32, String)> {
    let answer = |effect| match effect {
        Effect::Send { payload, .. } => {
            let (len, out) = payload.data().split_first_chunk().unwrap();
            (i32::from_le_bytes(*len), String::from_utf8(out.into()).unwrap())
        }
        other => panic!("{other:?}"),
    };
    room.effects().map(answer).collect()
}

const NOTHING: &str = "........";

#[test]
fn a_newcomers_belongings_are_known_under_their_keys() {
    for (key, expected) in [
        ("query", (3, "a=1.....")),
        ("header:origin", (8, "8 bytes!")),
        ("empty", (0, NOTHING)),
        ("", (2, "é......")),
        ("twice", (5, "first...")),
        ("header:user-agent", (9, NOTHING)),
        ("Query", (-1, NOTHING)),
        ("quer", (-1, NOTHING)),
        ("query:", (-1, NOTHING)),
    ] {
        let mut room = room(&format!(
            r#"{ASK} (data (i32.const 0) "{key}")
            (func (export "connect") (param $client i32) (call $ask (local.get $client) (i32.const {})))"#,
            key.len()
        ));
        let info = ClientInfo(&[
            ("query", "a=1"),
            ("header:origin", "8 bytes!"),
            ("empty", ""),
            ("", "é"),
            ("twice", "first"),
            ("twice", "second"),
            ("header:user-agent", "too long!"),
        ]);
        assert_eq!(finish(&mut room, Event::Connect(ClientId(3), info)), Ok(Step::Done));
        assert_eq!(answers(&room), [(expected.0, expected.1.to_owned())], "{key}");
    }
}

#[test]
fn a_newcomers_belongings_are_known_while_it_connects_and_at_no_other_time() {
    let ask = "(call $ask (i32.const 5) (i32.const 1))";
    let mut room = program(&format!(
        r#"{ASK} (data (i32.const 0) "k")
        (func (export "initialize") (param i32 i32) {ask})
        (func (export "connect") (param i32) {ask} (call $ask (i32.const 6) (i32.const 1)))
        (func (export "disconnect") (param i32) {ask})
        (func (export "message") (param i32 i32 i32) {ask})
        (func (export "binary") (param i32 i32 i32) {ask})
        (func (export "timer") {ask})"#
    ))
    .room("a", [0; 32])
    .unwrap();
    let (known, unknown) = ((5, "value...".to_owned()), (-1, NOTHING.to_owned()));
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    assert_eq!(answers(&room), slice::from_ref(&unknown));
    for _ in 0..2 {
        let event = Event::Connect(ClientId(5), ClientInfo(&[("k", "value")]));
        assert_eq!(finish(&mut room, event), Ok(Step::Done));
        assert_eq!(answers(&room), [known.clone(), unknown.clone()]);
        let message = Event::Message(ClientId(5), stateroom_host_min::MessagePayload::Text(""));
        for event in [message, bytes(b""), Event::Timer, Event::Disconnect(ClientId(5))] {
            assert_eq!(finish(&mut room, event), Ok(Step::Done));
            assert_eq!(answers(&room), slice::from_ref(&unknown), "{event:?}");
        }
        assert_eq!(finish(&mut room, connect(5)), Ok(Step::Done));
        assert_eq!(answers(&room), [unknown.clone(), unknown.clone()], "this time it has brought nothing");
        let other = Event::Connect(ClientId(6), ClientInfo(&[("k", "other")]));
        assert_eq!(finish(&mut room, other), Ok(Step::Done));
        assert_eq!(answers(&room), [unknown.clone(), (5, "other...".to_owned())]);
    }
}

#[test]
fn a_suspended_event_still_knows_what_the_newcomer_has_brought() {
    let mut limits = Limits::default();
    limits.slice = 100;
    let fields = format!(
        r#"{ASK} (data (i32.const 0) "k")
        (func (export "connect") (param $client i32) (local $n i32)
            (loop (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000))))
            (call $ask (local.get $client) (i32.const 1)))"#
    );
    let mut room = program_with(&fields, limits).room("a", [0; 32]).unwrap();
    let mut step = {
        let value = "v".repeat(5);
        room.handle(Event::Connect(ClientId(1), ClientInfo(&[("k", &value)])), 0)
    };
    assert_eq!(step, Ok(Step::Suspended));
    // What another event brings in the meantime does not count.
    let other = Event::Connect(ClientId(1), ClientInfo(&[("k", "other")]));
    assert_eq!(room.handle(other, 0), Ok(Step::Suspended));
    while step == Ok(Step::Suspended) {
        step = room.resume();
    }
    assert_eq!(answers(&room), [(5, "vvvvv...".to_owned())]);
}

#[test]
fn a_snapshot_holds_nothing_of_what_clients_bring() {
    let mut room = room(&format!(r#"{ASK} (func (export "connect") (param i32))"#));
    let secret = Event::Connect(ClientId(1), ClientInfo(&[("header:authorization", "secret")]));
    assert_eq!(finish(&mut room, secret), Ok(Step::Done));
    let snapshot = room.snapshot().unwrap();
    assert_eq!(finish(&mut room, Event::Connect(ClientId(1), ClientInfo::NONE)), Ok(Step::Done));
    assert_eq!(room.snapshot(), Ok(snapshot));
}

#[test]
fn a_guest_of_the_other_interface_has_the_extensions_too() {
    let fields = r#"
        (data (i32.const 0) "k")
        (func (export "stateroom_malloc") (param i32) (result i32) i32.const 1024)
        (func (export "stateroom_free") (param i32 i32))
        (func (export "stateroom_recv") (param $at i32) (param $len i32)
            (if (i32.eq (i32.load (local.get $at)) (i32.const 1)) (then
                (call $close (i32.load offset=4 (local.get $at)) (i32.const 4000) (i32.const 64)
                    (call $client_info (i32.load offset=4 (local.get $at)) (i32.const 0) (i32.const 1)
                        (i32.const 64) (i32.const 64))))))"#;
    let module = format!(r#"(module {IMPORTS} (memory (export "memory") 1) {fields})"#);
    let module = wat::parse_str(&module).unwrap();
    let program = stateroom_host_min::Program::load(&module, Limits::default()).unwrap();
    let mut room = program.room("a", [0; 32]).unwrap();
    let event = Event::Connect(ClientId(9), ClientInfo(&[("k", "you were expected")]));
    assert_eq!(finish(&mut room, event), Ok(Step::Done));
    let expected = [close(MessageRecipient::Client(ClientId(9)), 4000, "you were expected")];
    assert_eq!(room.effects().collect::<Vec<_>>(), expected);
}

#[test]
fn the_extensions_have_one_type_each() {
    for wrong in [
        r#"(import "stateroom" "close" (func (param i32 i32 i32)))"#,
        r#"(import "stateroom" "client_info" (func (param i32 i32 i32 i32 i32)))"#,
        r#"(import "env" "close" (func (param i32 i32 i32 i32)))"#,
    ] {
        let error = load(wrong).unwrap_err().to_string();
        assert!(error.contains("close`") || error.contains("client_info`"), "{error}");
    }
}
