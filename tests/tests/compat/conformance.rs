//! The guest that watches its host, `docs/reference/conformance.wat`, finds nothing wrong with those here.

use stateroom_host_min::{Effect, Event, Limits, Program, Step};
use stateroom_sdk_core::ClientId;
use stateroom_tests::{Foreign, Message, TestServer, in_json, inspect, run_in_changed_host, run_in_node};

use crate::conversation::{Exchange, Host, bytes, bytes_to, connect, everyone, others, text, to};

fn guest() -> Vec<u8> {
    wat::parse_str(include_str!("../../../docs/reference/conformance.wat")).expect("it is valid")
}

/// Returns everything that its clients can say.
fn script() -> Vec<Exchange> {
    vec![
        (Event::Init, vec![]),
        (connect(1), vec![]),
        (text(1, "all"), vec![everyone("all")]),
        (connect(2), vec![]),
        (text(2, "others"), vec![others(2, "others")]),
        (text(2, "Grüße ☃"), vec![to(2, "Grüße ☃")]),
        (bytes(1, &[0, 128, 255]), vec![bytes_to(1, &[0, 128, 255])]),
        (text(1, ""), vec![to(1, "")]),
        (bytes(1, &[]), vec![bytes_to(1, &[])]),
        (text(1, "empty"), vec![to(1, ""), bytes_to(1, &[])]),
        (text(1, "later"), vec![Effect::SetTimer { ms: 10 }]),
        (Event::Disconnect(ClientId(1)), vec![]),
        (Event::Timer, vec![everyone("time")]),
        (text(2, "later"), vec![Effect::SetTimer { ms: 10 }]),
        (text(2, "never"), vec![Effect::CancelTimer]),
        (text(2, "check"), vec![to(2, "ok")]),
    ]
}

#[test]
fn this_host_keeps_its_promises() {
    let mut room = Host::load(&guest());
    room.converse(script());
    let (most, more) = ([7; 64 << 10], [7; (64 << 10) + 1]);
    assert_eq!(room.run(bytes(2, &more)), Ok(Step::Refused));
    assert_eq!(room.ask(bytes(2, &most)), [bytes_to(2, &most)]);
    assert_eq!(room.ask(text(2, "check")), [to(2, "ok")]);
}

#[test]
fn the_host_in_javascript_keeps_its_promises() {
    let script = script();
    let events: Vec<_> = script.iter().map(|(event, _)| *event).collect();
    let effects: Vec<_> = script.iter().map(|(_, effects)| in_json(effects)).collect();
    assert_eq!(run_in_node(&guest(), &events), effects);
}

#[test]
fn the_server_keeps_its_promises() {
    let server = TestServer::new(Program::load(&guest(), Limits::default()).expect("it is a guest"));
    let (mut one, mut two) = (server.client("lobby"), server.client("lobby"));
    // It is there: otherwise not everyone would hear of it.
    assert_eq!(two.ask("hello"), "hello");
    assert_eq!(one.ask("all"), "all");
    two.expect(&["all"]);
    two.text("others");
    one.expect(&["others"]);
    one.text("empty");
    assert_eq!([one.message(), one.message()], [Message::Text(String::new()), Message::Binary(vec![])]);
    one.text("later");
    one.expect(&["time"]);
    two.expect(&["time"]);
    one.hang_up();
    let mut three = server.client("lobby");
    assert_eq!(three.ask("check"), "ok");
    assert_eq!(two.ask("check"), "ok");
    two.binary(&[7; (64 << 10) + 1]);
    assert_eq!(two.closed(), 1009);
    assert_eq!(three.ask("check"), "ok");
}

/// Hosts can be wrong, and host-min does what it is told.
#[test]
fn broken_promises_are_told() {
    let begun = || vec![Event::Init, connect(1)];
    let gone = Event::Disconnect(ClientId(2));
    for (events, told) in [
        (vec![connect(1)], "an event before initialize"),
        (vec![Event::Init, Event::Init, connect(1)], "initialize twice"),
        ([begun(), vec![connect(0)]].concat(), "a client without a valid id"),
        ([begun(), vec![connect(1 << 31)]].concat(), "a client without a valid id"),
        ([begun(), vec![connect(1)]].concat(), "a client that has come already"),
        ([begun(), vec![connect(2), gone, connect(2)]].concat(), "a client that has come already"),
        ([begun(), vec![gone]].concat(), "a client that is not there"),
        ([begun(), vec![connect(2), gone, gone]].concat(), "a client that is not there"),
        ([begun(), vec![text(2, "hello")]].concat(), "a client that is not there"),
        ([begun(), vec![connect(2), gone, bytes(2, b"hello")]].concat(), "a client that is not there"),
        ([begun(), vec![Event::Timer]].concat(), "a timer that is not set"),
        (
            [begun(), vec![text(1, "later"), text(1, "never"), Event::Timer]].concat(),
            "a timer that is not set",
        ),
        ([begun(), vec![text(1, "later"), Event::Timer, Event::Timer]].concat(), "a timer that is not set"),
    ] {
        let mut room = Host::load(&guest());
        for event in events {
            assert_eq!(room.run(event), Ok(Step::Done), "{told}");
        }
        assert_eq!(room.ask(text(1, "check")), [to(1, told)]);
    }
}

#[test]
fn memory_that_is_not_handed_over_as_promised_is_told() {
    let free = "room.jam_free(at, bytes.length);";
    let initialize = "room.initialize(at, len)";
    for (piece, other, told) in [
        (free, "", "jam_malloc before the last jam_free"),
        (free, "room.jam_free(at, 0);", "jam_free of what jam_malloc has not given"),
        (
            free,
            "room.jam_free(at, bytes.length); room.jam_free(at, bytes.length);",
            "jam_free of what jam_malloc has not given",
        ),
        (initialize, "room.initialize(at + 1, len)", "data where jam_malloc has not put it"),
        (initialize, "room.initialize(at, len + 1)", "data where jam_malloc has not put it"),
        (
            "(to, at, len) => effects.push({ to, text",
            "(to, at, len) => room.connect(7) ?? effects.push({ to, text",
            "an event before the last one is over",
        ),
    ] {
        let events = [Event::Init, connect(1), text(1, "hello"), text(1, "check")];
        let answers = run_in_changed_host(&guest(), &events, &[(piece, other)]);
        let answer = answers.last().map(ToString::to_string).unwrap_or_default();
        assert!(answer.contains(told), "{other}: {answers:?}");
    }
}

#[test]
fn guests_in_every_language_conform() {
    inspect(&guest(), &["later", "never", "empty"]);
    for guest in [Foreign::C, Foreign::AssemblyScript, Foreign::Text] {
        inspect(&guest.module(), &["increment", "later", "never", "others"]);
    }
}
