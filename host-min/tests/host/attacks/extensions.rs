//! Codes, reasons, keys and places that a guest must not pass to `close` and `client_info`.

use stateroom_core::{ClientId, MessageRecipient};
use stateroom_host_min::{ClientInfo, Effect, Event, Limits, Step, TrapReason};

use crate::guest::{finish, program_with, room};

/// The information that a client brings with it here.
const INFO: ClientInfo<'_> = ClientInfo(&[("key", "value"), ("🦀", "crab")]);
const CONNECT: Event<'_> = Event::Connect(ClientId(1), INFO);

/// Returns what comes of a call in a guest with one page of memory, in which `data` is a string of the text format.
fn call(data: &str, call: &str) -> Result<Step, TrapReason> {
    let fields = format!(
        r#"(memory (export "memory") 1) (data (i32.const 0) "{data}")
        (func (export "connect") (param i32) {call})"#
    );
    finish(&mut room(&fields), CONNECT).map_err(|trap| trap.reason().clone())
}

fn close(code: u32, at: u32, len: u32) -> Result<Step, TrapReason> {
    call("", &format!("(call $close (i32.const 0) (i32.const {code}) (i32.const {at}) (i32.const {len}))"))
}

#[test]
fn codes_that_are_not_for_applications_trap() {
    for code in [1000, 3000, 4000, 4999] {
        assert_eq!(close(code, 0, 0), Ok(Step::Done), "{code}");
    }
    for code in
        [0, 1, 999, 2999, 5000, 65535, 65536, 65536 + 1000, 1 << 31, u32::MAX].into_iter().chain(1001..1016)
    {
        let reason = close(code, 0, 0).unwrap_err();
        assert_eq!(reason, TrapReason::CloseCode { code });
        assert!(reason.to_string().contains(&format!("the code {code}; 1000 and 3000 to 4999")), "{reason}");
    }
}

#[test]
fn a_reason_is_text_of_at_most_123_bytes() {
    for len in [0, 1, 122, 123] {
        assert_eq!(close(1000, 65536 - len, len), Ok(Step::Done), "{len}");
    }
    for len in [124, 125, 1000, 65536] {
        let reason = close(1000, 0, len).unwrap_err();
        assert_eq!(reason, TrapReason::CloseReasonTooLong { size: len as usize });
        assert!(reason.to_string().contains("123 fit"), "{reason}");
    }
    for (at, len) in
        [(65536, 1), (65535, 2), (0, 65537), (u32::MAX, 1), (1, u32::MAX), (1 << 31, 1 << 31), (65537, 0)]
    {
        assert_eq!(close(1000, at, len), Err(TrapReason::OutOfBounds { at, len, memory: 65536 }));
    }
    // The last byte of the first crab is cut off; so is the first of the second.
    for (at, len) in [(0, 3), (5, 3)] {
        let cut = call(
            "🦀🦀",
            &format!("(call $close (i32.const 1) (i32.const 1000) (i32.const {at}) (i32.const {len}))"),
        );
        assert_eq!(cut, Err(TrapReason::NotUtf8));
    }
}

#[test]
fn every_number_is_a_recipient_of_a_close_and_none_does_harm() {
    for recipient in [0, 1, -1, i32::MAX, i32::MIN, i32::MIN + 1] {
        let fields = format!(
            r#"(func (export "connect") (param i32)
                (call $close (i32.const {recipient}) (i32.const 1000) (i32.const 0) (i32.const 0)))"#
        );
        let mut room = room(&fields);
        assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
        let recipient = MessageRecipient::decode_i32(recipient);
        assert_eq!(room.effects().collect::<Vec<_>>(), [Effect::Close { recipient, code: 1000, reason: "" }]);
    }
}

/// Asks for a key with a place for its value, and traps at `unreachable` unless the answer is `answer`.
fn client_info(key: (u32, u32), out: (u32, u32), answer: i32) -> Result<Step, TrapReason> {
    let ((key_at, key_len), (at, cap)) = (key, out);
    call(
        "key🦀",
        &format!(
            "(if (i32.ne (i32.const {answer}) (call $client_info (i32.const 1) (i32.const {key_at}) (i32.const {key_len})
                (i32.const {at}) (i32.const {cap}))) (then unreachable))"
        ),
    )
}

#[test]
fn keys_and_places_of_values_lie_in_the_memory() {
    let outside = [
        (65536, 1),
        (65535, 2),
        (0, 65537),
        (1, 65536),
        (u32::MAX, 1),
        (65537, 0),
        (1, u32::MAX),
        (1 << 31, 1 << 31),
    ];
    for (at, len) in outside {
        let error = Err(TrapReason::OutOfBounds { at, len, memory: 65536 });
        assert_eq!(client_info((at, len), (100, 5), -1), error);
        // Whether there is such a value or not, and whether it fits or not.
        for (key, answer) in [((0, 3), 5), ((0, 2), -1)] {
            assert_eq!(client_info(key, (at, len), answer), error);
        }
    }
    for out in [(100, 5), (65531, 5), (0, 65536), (65536, 0), (0, 0), (100, 4), (0, 5)] {
        assert_eq!(client_info((0, 3), out, 5), Ok(Step::Done), "{out:?}");
    }
    // A key may be as long as the memory, and where its own value goes.
    assert_eq!(client_info((7, 65529), (0, 65536), -1), Ok(Step::Done));
    assert_eq!(client_info((3, 4), (3, 4), 4), Ok(Step::Done));
}

#[test]
fn a_key_is_text() {
    for (at, len) in [(3, 3), (4, 3), (0, 4)] {
        assert_eq!(client_info((at, len), (100, 5), -1), Err(TrapReason::NotUtf8));
    }
}

#[test]
fn a_value_that_does_not_fit_is_not_written_at_all() {
    let check = "(if (i64.ne (i64.load (i32.const 100)) (i64.const 0)) (then unreachable))";
    for cap in 0..5 {
        let ask = format!(
            "(drop (call $client_info (i32.const 1) (i32.const 0) (i32.const 3) (i32.const 100) (i32.const {cap})))"
        );
        assert_eq!(call("key", &format!("{ask} {check}")), Ok(Step::Done));
    }
    let ask =
        "(drop (call $client_info (i32.const 1) (i32.const 0) (i32.const 3) (i32.const 100) (i32.const 5)))";
    assert!(call("key", &format!("{ask} {check}")).is_err(), "this one fits");
}

#[test]
fn asking_is_paid_for_by_how_much_there_is_to_look_through() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "connect") (param i32) (local $n i32)
            (loop (drop (call $client_info (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000)))))"#;
    let run = |info: ClientInfo<'_>| {
        let mut limits = Limits::default();
        (limits.slice, limits.fuel) = (10_000, 1_000_000);
        let mut room = program_with(fields, limits).room("a", [0; 32]).unwrap();
        finish(&mut room, Event::Connect(ClientId(1), info)).map_err(|trap| trap.reason().clone())
    };
    assert_eq!(run(INFO), Ok(Step::Done));
    let long = "x".repeat(2_000);
    assert_eq!(run(ClientInfo(&[("key", &long)])), Err(TrapReason::OutOfFuel { limit: 1_000_000 }));
    assert_eq!(run(ClientInfo(&[("", ""); 250])), Err(TrapReason::OutOfFuel { limit: 1_000_000 }));
}
