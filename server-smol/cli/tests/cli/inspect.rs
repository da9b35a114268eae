//! `stateroom inspect`

use crate::{
    directory::Directory,
    guests::{ECHO, HEAP, QUIET, STD},
    running::{fails, run, stateroom, succeeds},
};

/// The guest that has all that a guest needs.
const CONFORMANCE: &str = include_str!("../../../../docs/reference/conformance.wat");

/// Returns the conformance guest with one piece of it replaced.
#[track_caller]
fn with(piece: &str, other: &str) -> String {
    assert_eq!(CONFORMANCE.matches(piece).count(), 1, "{piece}");
    CONFORMANCE.replace(piece, other)
}

/// Returns the conformance guest with something added at the beginning of one of its functions.
#[track_caller]
fn in_function(begin: &str, added: &str) -> String {
    with(begin, &format!("{begin} {added}"))
}

/// Expects one finding that has all of `parts` in it.
#[track_caller]
fn lacks(module: &str, parts: &[&str]) {
    let here = Directory::new().with("room.wat", module);
    finds(&here, &["inspect", "--check", "--say", "later", "--say", "others", "room.wat"], parts);
}

#[track_caller]
fn finds(here: &Directory, arguments: &[&str], parts: &[&str]) {
    let (status, text) = run(stateroom(here, arguments));
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("does not conform: there is one thing to fix"), "{text}");
    let mut findings = text.lines().filter(|line| line.starts_with("- "));
    let finding = findings.next().unwrap_or_default();
    for part in parts.iter().chain(&[". Fix: "]) {
        assert!(finding.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(findings.next(), None, "{text}");
}

#[test]
fn the_conformance_guest_conforms() {
    let here = Directory::new().with("room.wat", CONFORMANCE);
    let said = succeeds(stateroom(&here, &["inspect", "--check", "room.wat", "--say", "later"]));
    assert!(said.contains("room.wat conforms.") && !said.contains("- "), "{said}");
    // What is as it may be is told all the same.
    assert!(said.contains("no space for messages of 1048576 bytes"), "{said}");
    assert!(!said.contains("timer"), "{said}");

    let said = succeeds(stateroom(&here, &["inspect", "--check", "room.wat"]));
    assert!(said.contains("`timer` has not been tried (`--say`"), "{said}");
    // Who cannot set the timer has none to try.
    let here = here.with("room.wat", QUIET);
    let said = succeeds(stateroom(&here, &["inspect", "--check", "room.wat"]));
    assert!(!said.contains("timer"), "{said}");
}

#[test]
fn guests_of_the_sdk_conform() {
    for (features, source) in [("", ECHO), ("'alloc'", HEAP), ("'std'", STD)] {
        let here = Directory::new().with_guest(features, source);
        succeeds(stateroom(&here, &["build"]));
        let said = succeeds(stateroom(&here, &["inspect", "--check", "dist", "--say", "hello"]));
        assert!(said.contains("dist/server.wasm conforms."), "{said}");
    }
}

#[test]
fn a_module_that_is_no_guest_lacks_what_it_does_not_have() {
    let export = "(func (export \"timer\")";
    lacks(
        &with(export, "(func (export \"tick\")"),
        &["does not export `timer`", "a function ()", "empty body"],
    );
    let export = "(func (export \"connect\") (param $client i32)";
    let found = ["its export `connect` has to be a function (i32)", "not a function (i32, i32)", "32 bits"];
    lacks(&in_function(export, "(param $key i32)"), &found);
    lacks(&with("(memory (export \"memory\") 2)", "(memory 2)"), &["does not export `memory`"]);
    lacks(&with("\"set_timer\"", "\"set_clock\""), &["imports `env.set_clock`", "define it"]);
    let import = in_function("(module", "(import \"stateroom\" \"now_ms\" (func (result i32)))");
    lacks(&import, &["imports `stateroom.now_ms`", "(i64)", "as it is here"]);
    let version = "(global (export \"JAMSOCKET_API_VERSION\") i32 (i32.const 0x800))";
    let version = with("(global $clients i32", &format!("{version} (global $clients i32"));
    lacks(&version, &["version 0", "this host has version 1"]);
    lacks("(module (func (export \"_start\")))", &["exports `_start`", "a library"]);
}

#[test]
fn everything_that_is_missing_is_listed() {
    let here = Directory::new().with("empty.wat", "(module)");
    let (status, text) = run(stateroom(&here, &["inspect", "--check", "empty.wat"]));
    assert_eq!(status, 1);
    for name in [
        "memory",
        "jam_malloc",
        "jam_free",
        "initialize",
        "connect",
        "disconnect",
        "timer",
        "message",
        "binary",
    ] {
        assert!(text.contains(&format!("- it does not export `{name}`")), "{text}");
    }
    assert!(text.contains("there are 9 things to fix"), "{text}");
}

#[test]
fn a_module_that_cannot_begin_lacks_that() {
    let many =
        in_function("(memory (export \"memory\") 2)", "(func (result i32 i32) (i32.const 1) (i32.const 2))");
    lacks(&many, &["invalid", "multi-value", "docs/reference/abi.md"]);
    lacks(
        &in_function("(memory (export \"memory\") 2)", "(func $fail unreachable) (start $fail)"),
        &["cannot be started", "`start`"],
    );
    lacks(&with("\"memory\") 2)", "\"memory\") 1000)"), &["65536000 bytes of memory", "smaller memory"]);
    let here = Directory::new().with("room.wasm", "no module");
    finds(&here, &["inspect", "--check", "room.wasm"], &["not a WebAssembly module"]);
}

#[test]
fn a_room_that_cannot_begin_is_found() {
    let initialize = "(func (export \"initialize\") (param $room_id i32) (param $len i32)";
    lacks(&in_function(initialize, "unreachable"), &["`initialize` fails", "4 bytes", "`unreachable`"]);
    let empty = "(if (i32.eqz (local.get $len)) (then unreachable))";
    lacks(&in_function(initialize, empty), &["`initialize` fails", "an empty room id", "any id"]);
    let long = "(if (i32.gt_u (local.get $len) (i32.const 100)) (then unreachable))";
    lacks(&in_function(initialize, long), &["`initialize` fails", "a room id of 512 bytes"]);
}

#[test]
fn memory_that_is_not_handed_over_well_is_found() {
    let malloc = "(func (export \"jam_malloc\") (param $size i32) (result i32)";
    let large = with("(then (return (i32.const -1)))", "(then unreachable)");
    lacks(&large, &["`jam_malloc` fails", "a text of 1048576 bytes", "0xffffffff"]);
    let empty = "(if (i32.eqz (local.get $size)) (then (return (i32.const -1))))";
    lacks(&in_function(malloc, empty), &["an empty room id", "no space", "an address"]);
    let one = "(if (i32.eq (local.get $size) (i32.const 1)) (then (return (i32.const -1))))";
    lacks(&in_function(malloc, one), &["no space for a message of 1 bytes"]);
    let free = "(func (export \"jam_free\") (param $at i32) (param $size i32)";
    lacks(&in_function(free, "unreachable"), &["`jam_free` fails", "the same size"]);
}

#[test]
fn an_allocator_that_means_nothing_by_0_is_found() {
    let null = with("(then (return (i32.const -1)))", "(then (return (i32.const 0)))");
    let null = null.replacen("\"memory\") 2)", "\"memory\") 20)", 1);
    lacks(&null, &["`jam_malloc` answers 0 for 1048576 bytes", "0 is an address", "0xffffffff"]);
    // Who always answers 0 means the address.
    let here = Directory::new().with(
        "room.wat",
        QUIET.replace("\"memory\") 1)", "\"memory\") 17)").replace("(i32.const 1024)", "(i32.const 0)"),
    );
    succeeds(stateroom(&here, &["inspect", "--check", "room.wat"]));
}

#[test]
fn memory_that_is_never_given_back_is_found() {
    let malloc = "(func (export \"jam_malloc\") (param $size i32) (result i32)";
    let leak = with("(global $clients i32", "(global $calls (mut i32) (i32.const 0)) (global $clients i32");
    let slow = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (if (i32.eqz (i32.rem_u (global.get $calls) (i32.const 64))) (then (drop (memory.grow (i32.const 1)))))";
    let slow = leak.replacen(malloc, &format!("{malloc} {slow}"), 1);
    lacks(&slow, &["after 2000 messages of 1024 bytes", "goes on growing", "`jam_free`"]);
    let fast = "(return (i32.mul (memory.grow (i32.const 1)) (i32.const 0x10000)))";
    lacks(&in_function(malloc, fast), &["of 1024 bytes, and then no more", "`jam_free`"]);
    // Three pages for each message are more than there is for ten thousand, and it counts on them.
    let used_up = "(if (i32.eq (memory.grow (i32.const 3)) (i32.const -1)) (then unreachable))";
    lacks(&in_function(malloc, used_up), &["it fails after", "bytes of memory", "`jam_free`"]);
    // It leaks from the first message on, and makes do with its last page when there is no more.
    let last = "(if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (return (i32.const 0x10000))))";
    lacks(
        &in_function(malloc, last),
        &["after 20 messages of 1024 bytes and 33554432 after 10000, of 33554432", "`jam_free`"],
    );
    // It grows for what is in use, and then not any more.
    let once = "(if (i32.lt_u (memory.size) (i32.const 64)) (then (drop (memory.grow (i32.const 1)))))";
    let here = Directory::new().with("room.wat", in_function(malloc, once));
    succeeds(stateroom(&here, &["inspect", "--check", "room.wat"]));
}

#[test]
fn an_event_that_ends_the_room_is_found() {
    let of_client =
        |number: u32| format!("(if (i32.eq (local.get $client) (i32.const {number})) (then unreachable))");
    let connect = "(func (export \"connect\") (param $client i32)";
    lacks(&in_function(connect, &of_client(5)), &["`connect` fails", "that has become empty"]);
    let disconnect = "(func (export \"disconnect\") (param $client i32)";
    lacks(&in_function(disconnect, &of_client(3)), &["`disconnect` fails", "the last client"]);
    let message = "(func (export \"message\") (param $client i32) (param $text i32) (param $len i32)";
    let empty = "(if (i32.eqz (local.get $len)) (then unreachable))";
    lacks(
        &in_function(message, empty),
        &["`message` fails", "a text of 0 bytes", "one client ends the room"],
    );
    let binary = "(func (export \"binary\") (param $client i32) (param $bytes i32) (param $len i32)";
    let large = "(if (i32.gt_u (local.get $len) (i32.const 4096)) (then unreachable))";
    lacks(&in_function(binary, large), &["`binary` fails", "a binary message of 65536 bytes"]);
    // Bytes are not text.
    let as_text = with(
        "(call $send_binary (local.get $client) (local.get $bytes)",
        "(call $send_message (local.get $client) (local.get $bytes)",
    );
    lacks(&as_text, &["`binary` fails", "not UTF-8", "send as binary"]);
    let more = "(drop (memory.grow (i32.const 96)))
        (call $send_message (i32.const 0) (i32.const 0x10000) (i32.const 0x500000))";
    lacks(&in_function(message, more), &["`message` fails", "more than 4194304 bytes", "send less"]);
    lacks(&in_function("(func (export \"timer\")", "unreachable"), &["`timer` fails", "`later`"]);
    let word = "(call $say (i32.sub (i32.const 0) (local.get $client)) (i32.const 0x320))";
    lacks(&with(word, "unreachable"), &["`message` fails", "`others`"]);
}

const CONNECT: &str = "(func (export \"connect\") (param $client i32)";
const DISCONNECT: &str = "(func (export \"disconnect\") (param $client i32)";
const MESSAGE: &str = "(func (export \"message\") (param $client i32) (param $text i32) (param $len i32)";

/// The guest's state: whether it has closed a client (1), and whether that client has gone (2).
const STATE: &str = "(i32.load8_u (i32.add (i32.const 0x20000) (local.get $client)))";

/// Returns a guest that can close its clients, and traps where one that it has closed says something, or goes twice.
/// With something added at the beginning of some of its functions.
#[track_caller]
fn closing(added: &[(&str, &str)]) -> String {
    let imports = r#"(module
        (import "stateroom" "close" (func $close_all (param i32 i32 i32 i32)))
        (import "stateroom" "client_info" (func $client_info (param i32 i32 i32 i32 i32) (result i32)))"#;
    let functions = r#"(data (i32.const 0x3a0) "query:name")
        (func $mark (param $client i32) (param $state i32)
            (i32.store8 (i32.add (i32.const 0x20000) (local.get $client)) (local.get $state)))
        (func $close (param $client i32)
            (call $mark (local.get $client) (i32.const 1))
            (call $close_all (local.get $client) (i32.const 4000) (i32.const 0) (i32.const 0)))
        (func $has_name (param $client i32) (result i32)
            (i32.le_s (i32.const 0) (call $client_info (local.get $client) (i32.const 0x3a0) (i32.const 10)
                (i32.const 0) (i32.const 0))))
        ;; Exports"#;
    let message = format!("{MESSAGE} (if (i32.ge_u {STATE} (i32.const 1)) (then unreachable))");
    let disconnect = format!(
        "{DISCONNECT} (if (i32.ge_u {STATE} (i32.const 2)) (then unreachable))
        (call $mark (local.get $client) (i32.const 2))"
    );
    let mut guest = CONFORMANCE.to_owned();
    for (piece, other) in [
        ("(module", imports),
        ("\"memory\") 2)", "\"memory\") 3)"),
        (";; Exports", functions),
        (MESSAGE, &message),
        (DISCONNECT, &disconnect),
    ] {
        assert_eq!(guest.matches(piece).count(), 1, "{piece}");
        guest = guest.replacen(piece, other, 1);
    }
    for (begin, added) in added {
        assert_eq!(guest.matches(begin).count(), 1, "{begin}");
        guest = guest.replacen(begin, &format!("{begin} {added}"), 1);
    }
    guest
}

const TURN_AWAY: (&str, &str) =
    (CONNECT, "(if (i32.eqz (call $has_name (local.get $client))) (then (call $close (local.get $client))))");
const SPEAK_ONCE: (&str, &str) = (
    "(func $answer (param $client i32) (param $text i32) (param $len i32)",
    "(call $close (local.get $client))",
);

#[test]
fn nobody_hears_of_a_closed_client_any_more() {
    let here =
        Directory::new().with("door.wat", closing(&[TURN_AWAY])).with("once.wat", closing(&[SPEAK_ONCE]));
    let said = succeeds(stateroom(&here, &["inspect", "--check", "door.wat"]));
    let note = "closed every client at once, so `message` and `binary` have not been tried (`--with";
    assert!(said.contains(note), "{said}");
    let named = ["inspect", "--check", "--with", "query:name=Ada", "door.wat"];
    let said = succeeds(stateroom(&here, &named));
    assert!(!said.contains(note), "{said}");
    let said = succeeds(stateroom(&here, &["inspect", "--check", "--say", "later", "once.wat"]));
    assert!(!said.contains(note), "{said}");
}

#[test]
fn what_a_room_does_with_those_it_lets_in_is_tried() {
    let here = Directory::new().with(
        "room.wat",
        closing(&[TURN_AWAY, ("(func $say (param $recipient i32) (param $text i32)", "unreachable")]),
    );
    let named = ["inspect", "--check", "--say", "all", "--with", "query:name=Ada", "room.wat"];
    finds(&here, &named, &["`message` fails (`all`)"]);
}

#[test]
fn a_room_that_closes_its_clients_is_tried_to_the_end() {
    // A closed client goes. Another one comes and is heard.
    let gone = format!("(if {STATE} (then unreachable))");
    lacks(&closing(&[TURN_AWAY, (DISCONNECT, &gone)]), &["`disconnect` fails", "the first client"]);
    let grow = "(drop (memory.grow (i32.eqz (i32.rem_u (local.get $client) (i32.const 64)))))";
    lacks(&closing(&[SPEAK_ONCE, (CONNECT, grow)]), &["goes on growing"]);
}

#[test]
fn the_fix_fits_the_reason() {
    let message = "(func (export \"message\") (param $client i32) (param $text i32) (param $len i32)";
    let fails = |how: &str, parts: &[&str]| lacks(&in_function(message, how), parts);
    fails("unreachable", &["`unreachable`", "ignore what", "`stateroom dev`"]);
    fails(
        "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable))",
        &["its memory could not grow to 65", "33554432 is the limit `memory`", "or raise `memory`"],
    );
    fails("(drop (i32.load (i32.const -8)))", &["outside its memory", "no pointer", "`stack_size`"]);
    let recursion = "(call $deeper (i32.const 1)))
        (func $deeper (param $client i32) (local $text i32) (local $len i32) (call $deeper (i32.const 1))";
    fails(recursion, &["stack is full", "recursion", "`call_depth`"]);
    fails(
        "(call $send_message (i32.const 1) (i32.const -8) (i32.const 4))",
        &["4 bytes at address 4294967288", "an address and a length"],
    );
    let close = "(import \"stateroom\" \"close\" (func $close (param i32 i32 i32 i32)))";
    let closes = |code: u32, len: u32| {
        let close_all =
            format!("(call $close (i32.const 0) (i32.const {code}) (i32.const 0x400) (i32.const {len}))");
        in_function(message, &close_all).replacen("(module", &format!("(module {close}"), 1)
    };
    lacks(&closes(1001, 0), &["the code 1001", "Fix: close with 1000, or with 3000 to 4999"]);
    lacks(&closes(4000, 124), &["a reason of 124 bytes", "Fix: give no more than 123 bytes"]);
}

#[test]
fn the_limits_of_a_dist_directory_hold() {
    let message = "(func (export \"message\") (param $client i32) (param $text i32) (param $len i32)";
    let endless = wat::parse_str(in_function(message, "(loop $on (br $on))")).unwrap();
    let here =
        Directory::new().with("dist/server.wasm", endless).with("dist/stateroom.toml", "limits.fuel = '1M'");
    finds(
        &here,
        &["inspect", "--check", "dist"],
        &["`message` fails", "1000000 units of fuel", "a timer", "raise `fuel`"],
    );
    // Such an event takes seconds, and there may be many.
    let (_, said) = run(stateroom(&here, &["inspect", "--check", "dist", "--say", "later"]));
    for part in ["INFO  trying clients that come and go", "INFO  trying messages of many sizes"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("trying `later`") && said.contains("Note: nothing else has been tried"), "{said}");
}

#[test]
fn what_a_module_is_is_told() {
    let here = Directory::new()
        .with("quiet.wat", QUIET)
        .with("small.wat", QUIET.replace("\"memory\") 1)", "\"memory\") 100 2000 (pagesize 1))"))
        .with("other.wat", "(module (import \"js\" \"alert\" (func)) (func (export \"main\")))")
        .with("recv.wat", "(module (func (export \"stateroom_recv\") (param i32 i32)))");
    let said = succeeds(stateroom(&here, &["inspect", "quiet.wat"]));
    for part in [
        "quiet.wat: ",
        " bytes, made for the documented interface\n",
        "65536 bytes at first, no maximum, in pages of 65536",
        "exports  memory, jam_malloc, jam_free, initialize",
        "imports  none",
        "It loads.",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let said = succeeds(stateroom(&here, &["inspect", "small.wat"]));
    assert!(said.contains("100 bytes at first, at most 2000, in pages of 1\n"), "{said}");

    // What does not load is described all the same.
    let (status, said) = run(stateroom(&here, &["inspect", "other.wat"]));
    assert_eq!(status, 1);
    for part in [
        "no interface",
        "memory   none",
        "from js: alert",
        "1, none of them",
        "error: cannot run `other.wat`",
    ] {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
    let (_, said) = run(stateroom(&here, &["inspect", "recv.wat"]));
    assert!(said.contains("the interface of the 0.4 line"), "{said}");
    fails(stateroom(&here, &["inspect", "gone.wasm"]), &["there is no `gone.wasm`"]);

    let here = here.with("page.wasm", "<!doctype html>").with("empty.wasm", "");
    for module in ["page.wasm", "empty.wasm"] {
        let (status, said) = run(stateroom(&here, &["inspect", module]));
        let expected = format!("error: cannot run `{module}`: this is not a WebAssembly module");
        assert!(status == 1 && said.starts_with(&expected), "{said}");
    }
    let here = here.with("dist/server.wasm", "");
    fails(
        stateroom(&here, &["inspect", "--check", "."]),
        &["there is no `server.wasm` in `.`: give `./dist`"],
    );
}

#[test]
fn a_module_cannot_command_the_terminal() {
    let here = Directory::new()
        .with("room.wat", "(module (import \"\\1b[2J\" \"a\\nb\" (func)) (@custom \"\\9b\" \"x\"))")
        .with("long.wat", format!("(module (import \"{0}\" \"{0}\" (func)))", "x".repeat(10_000)));
    for module in ["room.wat", "long.wat"] {
        for arguments in [&["inspect", module][..], &["inspect", "--check", module]] {
            let (_, said) = run(stateroom(&here, arguments));
            assert!(!said.contains('\u{1b}') && said.len() < 4000, "{said}");
        }
    }
}
