//! The bodies of the fuzz targets in `tests/fuzz`. The tests run them with what fuzzing has found so far.
//!
//! Each function takes any bytes and panics where something is wrong: the host's promise is that nothing
//! does.

use std::sync::LazyLock;

use stateroom_host_min::{
    ClientInfo, Effect, Event, Limits, Program, Recording, Records, Room, Step, Trap, TrapReason,
};
use stateroom_sdk_core::{ClientId, MessagePayload, MessageRecipient};
use stateroom_server_smol::fuzzing::{query_parameters, room_id_of_path};

/// The name of a target and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 7] = [
    ("load", load),
    ("answers", answers),
    ("recv", recv),
    ("snapshot", snapshot),
    ("recording", recording),
    ("room_id", room_id),
    ("query", query),
];

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.memory = 1 << 20;
    (limits.startup_fuel, limits.fuel, limits.slice) = (100_000, 100_000, 10_000);
    (limits.effects, limits.effect_bytes, limits.message_size) = (100, 10_000, 5_000);
    limits
}

fn program(text: &str) -> Program {
    let module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Program::load(&module, limits()).unwrap_or_else(|error| panic!("{error}"))
}

const EVERY_KIND: [Event<'_>; 5] = [
    Event::Connect(ClientId(1), ClientInfo(&[("", "nameless"), ("key", "value"), ("key", "again")])),
    Event::Message(ClientId(1), MessagePayload::Text("text")),
    Event::Message(ClientId(2), MessagePayload::Bytes(&[0xff, 0])),
    Event::Timer,
    Event::Disconnect(ClientId(1)),
];

/// Checks a module: it is refused with a message of bounded length, or its rooms handle events until one traps.
pub fn load(bytes: &[u8]) {
    match Program::load(bytes, limits()) {
        Err(error) => assert!(error.to_string().len() < 50_000),
        Ok(program) => {
            let Ok(mut room) = program.room("fuzz", [1; 32]) else { return };
            if finish(&mut room, Event::Init).is_ok() {
                let _ = EVERY_KIND.into_iter().try_for_each(|event| check(&program, &mut room, event));
            }
        }
    }
}

/// Checks a guest that does what its memory says, which the fuzzer fills: it returns any addresses, and calls any
/// import with any arguments.
///
/// The memory is a list of calls, each of 16 bytes: which one, and up to three arguments. `jam_malloc`
/// answers with the word at 0.
pub fn answers(bytes: &[u8]) {
    static PROGRAM: LazyLock<Program> = LazyLock::new(|| program(ANSWERS));

    let mut room = PROGRAM.room("fuzz", [1; 32]).expect("there is memory");
    // It has room for this one.
    let bytes = &bytes[..bytes.len().min(5_000)];
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    assert_eq!(finish(&mut room, Event::Message(ClientId(1), MessagePayload::Bytes(bytes))), Ok(Step::Done));
    for _ in 0..2 {
        if EVERY_KIND.into_iter().try_for_each(|event| check(&PROGRAM, &mut room, event)).is_err() {
            break;
        }
    }
}

const ANSWERS: &str = r#"(module
    (import "env" "send_message" (func $send_message (param i32 i32 i32)))
    (import "env" "send_binary" (func $send_binary (param i32 i32 i32)))
    (import "env" "set_timer" (func $set_timer (param i32)))
    (import "env" "stateroom_send" (func $stateroom_send (param i32 i32)))
    (import "stateroom" "log" (func $log (param i32 i32 i32)))
    (import "stateroom" "random" (func $random (param i32 i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
    (import "stateroom" "close" (func $close (param i32 i32 i32 i32)))
    (import "stateroom" "client_info" (func $client_info (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (global $ready (mut i32) (i32.const 0))
    (global $long (mut i64) (i64.const 1))
    (global $single (mut f32) (f32.const 1))
    (global $double (mut f64) (f64.const 1))
    (table $table 4 funcref)
    (elem (table $table) (i32.const 0) func $run)
    (elem $more func $run $run)
    (data $spare "spare")
    (func (export "jam_malloc") (param i32) (result i32)
        (if (result i32) (global.get $ready) (then (i32.load (i32.const 0))) (else (i32.const 0))))
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func $run (local $at i32) (local $a i32) (local $b i32) (local $c i32)
        (local.set $at (i32.const 16))
        (loop $next
            (local.set $a (i32.load offset=4 (local.get $at)))
            (local.set $b (i32.load offset=8 (local.get $at)))
            (local.set $c (i32.load offset=12 (local.get $at)))
            (block $done
            (block $b13 (block $b12 (block $b11 (block $b10 (block $b9 (block $b8 (block $b7 (block $b6 (block $b5 (block $b4 (block $b3
            (block $b2 (block $b1
                (br_table $done $b1 $b2 $b3 $b4 $b5 $b6 $b7 $b8 $b9 $b10 $b11 $b12 $b13 $done (i32.load8_u (local.get $at))))
                (call $send_message (local.get $a) (local.get $b) (local.get $c)) (br $done))
                (call $send_binary (local.get $a) (local.get $b) (local.get $c)) (br $done))
                (call $set_timer (local.get $a)) (br $done))
                (call $stateroom_send (local.get $a) (local.get $b)) (br $done))
                (call $log (local.get $a) (local.get $b) (local.get $c)) (br $done))
                (call $random (local.get $a) (local.get $b)) (br $done))
                (drop (call $fd_write (i32.const 1) (local.get $a) (local.get $b) (local.get $c))) (br $done))
                (drop (call $clock (local.get $a) (i64.const 0) (local.get $b))) (br $done))
                (drop (call $environ (local.get $a) (local.get $b))) (br $done))
                (drop (call $random_get (local.get $a) (local.get $b))) (br $done))
                (call $abort (local.get $a) (local.get $b) (local.get $c) (local.get $c)) (br $done))
                (call $close (local.get $a) (i32.load16_u offset=2 (local.get $at)) (local.get $b) (local.get $c))
                (br $done))
                (drop (call $client_info (i32.load8_u offset=1 (local.get $at)) (local.get $a) (local.get $b)
                    (local.get $c) (i32.load16_u offset=2 (local.get $at)))))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $next (i32.load8_u (local.get $at)))))
    (func (export "connect") (param i32) (call $run))
    (func (export "disconnect") (param i32)
        (call $run)
        (table.init $table $more (i32.const 2) (i32.const 0) (i32.const 2))
        (memory.init $spare (i32.const 60000) (i32.const 0) (i32.const 5))
        (elem.drop $more)
        (data.drop $spare))
    (func (export "timer")
        (call_indirect $table (i32.const 0))
        (global.set $long (i64.mul (global.get $long) (i64.const 3)))
        (global.set $single (f32.div (global.get $single) (f32.const 3)))
        (global.set $double (f64.sqrt (global.get $double))))
    (func (export "message") (param i32 i32 i32) (call $run))
    (func (export "binary") (param i32 i32 i32)
        (if (global.get $ready) (then (call $run)))
        (global.set $ready (i32.const 1))))"#;

/// Checks a request of a guest of the 0.4 line: it is one effect, as the bytes say, or a trap.
pub fn recv(bytes: &[u8]) {
    static PROGRAM: LazyLock<Program> = LazyLock::new(|| {
        program(
            r#"(module
            (import "env" "stateroom_send" (func $send (param i32 i32)))
            (memory (export "memory") 1)
            (func (export "stateroom_malloc") (param i32) (result i32) i32.const 1024)
            (func (export "stateroom_free") (param i32 i32))
            (func (export "stateroom_recv") (param $at i32) (param $len i32)
                (if (i32.eq (i32.load (local.get $at)) (i32.const 3)) (then
                    (call $send (i32.add (local.get $at) (i32.const 20)) (i32.sub (local.get $len) (i32.const 20)))))))"#,
        )
    });

    let bytes = &bytes[..bytes.len().min(5_000)];
    let mut room = PROGRAM.room("fuzz", [0; 32]).expect("there is memory");
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    match finish(&mut room, Event::Message(ClientId(1), MessagePayload::Bytes(bytes))) {
        Ok(Step::Done) => {
            let effects: Vec<_> = room.effects().collect();
            let [effect] = effects[..] else { panic!("{effects:?}") };
            assert!(bytes.starts_with(&encoded(effect)), "{effect:?}");
        }
        Err(trap) => {
            assert!(matches!(trap.reason(), TrapReason::Malformed(_)), "{trap}");
            assert_eq!(room.effects().count(), 0);
        }
        Ok(step) => panic!("{step:?}"),
    }
}

/// Returns the bytes that ask for an effect, up to a timer of 0 ms, which becomes one of 1 ms.
fn encoded(effect: Effect<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |number: u32| bytes.extend(number.to_le_bytes());
    match effect {
        Effect::Send { recipient, payload } => {
            put(0);
            match recipient {
                MessageRecipient::Broadcast => put(0),
                MessageRecipient::Client(client) => {
                    put(1);
                    put(client.0);
                }
                MessageRecipient::EveryoneExcept(client) => {
                    put(2);
                    put(client.0);
                }
            }
            let (kind, data) = match payload {
                MessagePayload::Bytes(data) => (0, data),
                MessagePayload::Text(text) => (1, text.as_bytes()),
            };
            put(kind);
            bytes.extend((data.len() as u64).to_le_bytes());
            bytes.extend(data);
        }
        Effect::SetTimer { ms: 1 } => put(1),
        Effect::SetTimer { ms } => {
            put(1);
            put(ms);
        }
        other => panic!("{other:?}"),
    }
    bytes
}

/// Checks a snapshot with any content and the right checksum: it is refused, or makes a room that has the same
/// snapshot.
pub fn snapshot(bytes: &[u8]) {
    static PROGRAM: LazyLock<Program> = LazyLock::new(|| program(ANSWERS));

    let room = PROGRAM.room("fuzz", [1; 32]).expect("there is memory");
    let valid = room.snapshot().expect("it is between events");
    // The magic number, the version and the module's hash are those of the module; the rest is the fuzzer's.
    let mut forged = [&valid[..44], bytes].concat();
    forged.extend(crc32fast::hash(&forged).to_le_bytes());
    if let Ok(mut room) = PROGRAM.restore(&forged) {
        let again = PROGRAM.restore(&room.snapshot().expect("it is between events")).expect("it is valid");
        assert_eq!(again.snapshot(), room.snapshot());
        let _ = EVERY_KIND.into_iter().try_for_each(|event| check(&PROGRAM, &mut room, event));
    }
}

/// Checks a recording, and records without a header: they are refused, or are the same when they are written again. Rooms can have
/// any events.
pub fn recording(bytes: &[u8]) {
    static PROGRAM: LazyLock<Program> = LazyLock::new(|| program(ANSWERS));

    if let Ok(recording) = Recording::read(bytes) {
        let mut again = Vec::new();
        recording.header.write(&mut again);
        assert_eq!(Recording::read(&again).map(|again| again.header), Ok(recording.header.clone()));
        // The memory of the machine is not what is tried here.
        if recording.header.limits == limits() {
            let _ = recording.start(&PROGRAM);
        }
    }
    let mut room = PROGRAM.room("fuzz", [1; 32]).expect("there is memory");
    room.start_recording();
    let (mut records, mut events, mut now_ms) = (Vec::new(), Vec::new(), 0);
    for record in Records::new(bytes).map_while(Result::ok) {
        let is_broken = room.last().is_err();
        let outcome = record.run(&mut room);
        records.extend(room.take_records());
        if !is_broken {
            // For a room, the time never goes back.
            now_ms = record.now_ms.max(now_ms);
            events.push((now_ms, record.event, outcome));
        }
    }
    let again = Records::new(&records).map(|record| record.expect("it is whole"));
    assert!(again.map(|record| (record.now_ms, record.event, record.outcome)).eq(events));
}

/// Checks the last part of a path: it names a room, whose path leads back to it, or it is refused.
pub fn room_id(bytes: &[u8]) {
    if let Ok(path) = str::from_utf8(bytes)
        && let Ok((id, path)) = room_id_of_path(path)
    {
        assert!((1..=512).contains(&id.len()));
        assert!(path.is_ascii(), "{path}");
        assert_eq!(room_id_of_path(&path), Ok((id, path.clone())));
    }
}

/// Checks a query: its parameters are those of any other way to write them.
pub fn query(bytes: &[u8]) {
    let Ok(query) = str::from_utf8(bytes) else { return };
    let parameters = query_parameters(query);
    assert!(parameters.len() <= query.split('&').count());
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let again: Vec<_> =
        parameters.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    assert_eq!(query_parameters(&again.join("&")), parameters);
}

/// Runs an event to its end, on a room and on its copy, which has hibernated: both come to the same.
fn check(program: &Program, room: &mut Room, event: Event<'_>) -> Result<(), Trap> {
    let snapshot = room.snapshot().expect("it is between events");
    let mut copy = program.restore(&snapshot).expect("it has just been made");
    copy.hibernate().expect("it is between events");
    let outcome = finish(room, event);
    assert_eq!(outcome, finish(&mut copy, event));
    assert!(room.effects().eq(copy.effects()));
    assert!(room.effects().count() <= 100);
    assert_eq!(room.snapshot(), copy.snapshot());
    outcome.map(drop)
}

fn finish(room: &mut Room, event: Event<'_>) -> Result<Step, Trap> {
    let mut step = room.handle(event, 0)?;
    // 100,000 units of fuel in slices of 10,000, and imports that are dearer than what is left of one.
    for _ in 0..1_000 {
        if step != Step::Suspended {
            return Ok(step);
        }
        step = room.resume()?;
    }
    panic!("{event:?} does not end")
}
