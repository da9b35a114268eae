//! Guests that are made with this project's SDK for any engine: `stateroom build --portable`.

use stateroom_host_min::Event;
use stateroom_sdk_core::ClientId;
use stateroom_tests::{Foreign, Guest, in_json, run_in_node};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::conversation::{
    Exchange, Host, bytes, bytes_to, connect, conversation, everyone, text, to, whisper,
};

const COUNTER: &str = include_str!("../../../examples/counter/src/lib.rs");
const ECHO: &str = include_str!("../../../examples/echo/src/lib.rs");
/// With the allocator.
const CHAT: &str = include_str!("../../../examples/chat/src/lib.rs");
/// With the standard library.
const VOTE: &str = include_str!("../../../examples/vote/src/lib.rs");
const ROOM: &str = include_str!("../../guests/sdk/room.rs");

fn portable(name: &str, features: &str, source: &str) -> Vec<u8> {
    Guest::new(&format!("portable-{name}"), features, source).portable().module()
}

/// Returns what a module needs of an engine beyond WebAssembly 1.0 and bulk memory.
fn excess(module: &[u8]) -> Option<String> {
    let features = WasmFeatures::WASM1 | WasmFeatures::BULK_MEMORY;
    Validator::new_with_features(features).validate_all(module).err().map(|error| error.to_string())
}

/// Returns the modules that a module imports from.
fn imports(module: &[u8]) -> Vec<String> {
    let mut modules = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload.expect("it is valid") {
            modules.extend(imports.into_iter().map(|import| import.expect("it is valid").module.to_owned()));
        }
    }
    modules.dedup();
    modules
}

#[test]
fn a_portable_module_is_webassembly_1_with_bulk_memory() {
    for (name, features, source) in [
        ("echo", "[]", ECHO),
        ("counter", "[]", COUNTER),
        ("chat", "['alloc']", CHAT),
        ("vote", "['std']", VOTE),
    ] {
        assert_eq!(excess(&portable(name, features, source)), None, "{name}");
    }
}

#[test]
fn a_module_for_this_host_alone_uses_more() {
    let module = Guest::new("here-echo", "[]", ECHO).module();
    assert!(excess(&module).is_some_and(|reason| reason.contains("page size")));
}

#[test]
fn a_portable_module_imports_the_documented_interface_alone() {
    assert_eq!(imports(&portable("counter", "[]", COUNTER)), ["env"]);
    assert_eq!(imports(&portable("echo", "[]", ECHO)), ["env"]);
}

/// Holds a conversation with the same module on this host and on Node.js.
#[track_caller]
fn converses_everywhere(module: &[u8], conversation: Vec<Exchange>) {
    let events: Vec<_> = conversation.iter().map(|(event, _)| *event).collect();
    let effects: Vec<_> = conversation.iter().map(|(_, effects)| in_json(effects)).collect();
    assert_eq!(run_in_node(module, &events), effects);
    Host::load(module).converse(conversation);
}

#[test]
fn a_portable_counter_runs_in_node() {
    let conversation = vec![
        (Event::Init, vec![]),
        (connect(1), vec![]),
        (text(1, "increment"), vec![everyone("new value: 1")]),
        (text(1, "increment"), vec![everyone("new value: 2")]),
        (text(2, "decrement"), vec![everyone("new value: 1")]),
        (text(2, "anything"), vec![]),
        (bytes(2, b"increment"), vec![]),
        (Event::Disconnect(ClientId(1)), vec![]),
    ];
    converses_everywhere(&portable("counter", "[]", COUNTER), conversation);
}

#[test]
fn a_portable_echo_runs_in_node() {
    let large = vec![7; 20_000];
    let module = portable("echo", "[]", ECHO);
    let mut conversation = vec![(Event::Init, vec![])];
    conversation.extend(["", "hello", "Grüße ☃"].map(|message| (text(1, message), vec![to(1, message)])));
    conversation.push((bytes(2, &[]), vec![bytes_to(2, &[])]));
    conversation.push((bytes(2, &[0, 255]), vec![bytes_to(2, &[0, 255])]));
    converses_everywhere(&module, conversation);

    // The memory grows for it.
    let answers = run_in_node(&module, &[Event::Init, bytes(3, &large), text(3, "small")]);
    assert_eq!(answers[1..], [in_json(&[bytes_to(3, &large)]), in_json(&[to(3, "small")])]);
}

#[test]
fn the_conversation_is_the_interface_s_and_not_this_host_s() {
    let whole: Vec<_> = conversation().into_iter().chain([whisper()]).collect();
    converses_everywhere(&portable("room", "[]", ROOM), whole.clone());
    for guest in [Foreign::C, Foreign::AssemblyScript, Foreign::Text] {
        converses_everywhere(&guest.module(), whole.clone());
    }
}
