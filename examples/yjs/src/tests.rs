use std::panic::{AssertUnwindSafe, catch_unwind};

use stateroom_sdk_core::testing::*;
use yrs::{
    Any, ClientID, Doc, GetString as _, Map as _, OffsetKind, Options, ReadTxn as _, StateVector,
    Text as _, Transact as _, Update,
    updates::{decoder::Decode as _, encoder::Encode as _},
};

use super::room;

/// A Yjs client.
struct Editor {
    doc: Doc,
    client: TestClient,
}

impl Editor {
    /// Connects, as `y-websocket` does: with its own question.
    fn new(room: &TestRoom, id: u64) -> Self {
        let editor = Self {
            doc: doc(id),
            client: room.connect(),
        };
        editor.ask();
        editor
    }

    fn ask(&self) {
        let state = self.doc.transact().state_vector().encode_v1();
        self.client.send(message(&[0, 0], &state));
        self.listen();
    }

    /// Edits the text, and sends the edit.
    fn insert(&self, at: u32, text: &str) {
        self.client
            .send(message(&[0, 2], &insert(&self.doc, at, text)));
    }

    /// Reads what has arrived, and answers the room's question.
    fn listen(&self) {
        for received in self.client.received() {
            let bytes = received.bytes().expect("all messages are binary");
            match bytes[..2] {
                [0, 0] => {
                    let state =
                        StateVector::decode_v1(content(&bytes[2..])).expect("a state vector");
                    let news = self.doc.transact().encode_state_as_update_v1(&state);
                    self.client.send(message(&[0, 1], &news));
                }
                [0, 1 | 2] => apply(&self.doc, content(&bytes[2..])),
                _ => {}
            }
        }
    }

    fn text(&self) -> String {
        self.listen();
        text(&self.doc)
    }
}

fn doc(id: u64) -> Doc {
    let mut options = Options::with_guid_and_client_id("client".into(), ClientID::new(id));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

fn insert(doc: &Doc, at: u32, text: &str) -> Vec<u8> {
    let shared = doc.get_or_insert_text("text");
    let before = doc.transact().state_vector();
    shared.insert(&mut doc.transact_mut(), at, text);
    doc.transact().encode_state_as_update_v1(&before)
}

fn apply(doc: &Doc, update: &[u8]) {
    let update = Update::decode_v1(update).expect("an update");
    doc.transact_mut().apply_update(update).expect("it fits");
}

fn text(doc: &Doc) -> String {
    doc.get_or_insert_text("text").get_string(&doc.transact())
}

fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn message(kind: &[u8], content: &[u8]) -> Vec<u8> {
    [kind, &number(content.len()), content].concat()
}

/// Returns bytes that have their length before them.
fn content(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .position(|byte| *byte < 0x80)
        .expect("a length")
        + 1;
    &bytes[end..]
}

/// Returns an awareness message about one Yjs client.
fn cursor(id: u8, clock: u8, json: &str) -> Vec<u8> {
    message(
        &[1],
        &[&[1, id, clock, json.len() as u8], json.as_bytes()].concat(),
    )
}

#[test]
fn edits_of_all_come_to_all_and_to_late_joiners() {
    let room = room();
    let (alice, bob) = (Editor::new(&room, 1), Editor::new(&room, 2));
    alice.insert(0, "hé😀llo");
    assert_eq!(bob.text(), "hé😀llo");
    // At the same time, in the same place.
    alice.insert(4, "A");
    bob.insert(4, "B");
    assert_eq!(alice.text(), bob.text());
    assert_eq!(alice.text().len(), "hé😀llo".len() + 2);
    let carol = Editor::new(&room, 3);
    assert_eq!(carol.text(), alice.text());
}

#[test]
fn offline_edits_merge() {
    let room = room();
    let (alice, bob) = (Editor::new(&room, 1), Editor::new(&room, 2));
    alice.insert(0, "shared");
    assert_eq!(bob.text(), "shared");
    let Editor { doc, client } = bob;
    client.leave();
    insert(&doc, 6, " by bob");
    alice.insert(0, "alice ");
    let bob = Editor {
        doc,
        client: room.connect(),
    };
    bob.ask();
    assert_eq!(bob.text(), "alice shared by bob");
    assert_eq!(alice.text(), "alice shared by bob");
}

#[test]
fn an_edit_that_is_known_is_not_sent_again() {
    let room = room();
    let (alice, bob) = (Editor::new(&room, 1), Editor::new(&room, 2));
    let edit = message(&[0, 2], &insert(&alice.doc, 0, "once"));
    alice.client.send(&edit);
    assert_eq!(bob.client.received().len(), 1);
    alice.client.send(&edit);
    assert_eq!(bob.client.received(), NOTHING);
    assert_eq!(alice.client.received(), NOTHING);
}

#[test]
fn edits_that_wait_for_others_are_applied_with_them() {
    let room = room();
    let (alice, bob) = (Editor::new(&room, 1), Editor::new(&room, 2));
    let first = message(&[0, 2], &insert(&alice.doc, 0, "one"));
    let second = message(&[0, 2], &insert(&alice.doc, 3, " two"));
    alice.client.send(second);
    assert_eq!(bob.text(), "");
    alice.client.send(first);
    assert_eq!(bob.text(), "one two");
}

#[test]
fn cursors_come_and_go_with_their_connections() {
    let room = room();
    let (alice, bob) = (room.connect(), room.connect());
    let here = cursor(7, 1, r#"{"name":"Alice"}"#);
    let gone = cursor(7, 1, "null");
    alice.received();
    bob.received();
    alice.send(&here);
    assert_eq!(alice.received(), [&here[..]]);
    assert_eq!(bob.received(), [&here[..]]);
    // `y-websocket` sends back what it receives.
    bob.send(&here);
    assert_eq!(bob.received(), NOTHING);
    let carol = room.connect();
    assert_eq!(carol.received()[1..], [&here[..]]);
    carol.send([3]);
    assert_eq!(carol.received(), [&here[..]]);
    alice.received();
    bob.received();
    alice.leave();
    assert_eq!(bob.received(), [&gone[..]]);
    bob.send(&here);
    assert_eq!(bob.received(), NOTHING);
    assert_eq!(room.connect().received().len(), 1);
}

#[test]
fn a_cursor_moves_to_the_connection_that_has_changed_it_last() {
    let room = room();
    let (old, new) = (room.connect(), room.connect());
    old.send(cursor(7, 1, "{}"));
    new.send(cursor(7, 2, "{}"));
    new.received();
    old.leave();
    assert_eq!(new.received(), NOTHING);
    // It goes by itself, too.
    new.send(cursor(7, 3, "null"));
    assert_eq!(new.received(), [cursor(7, 3, "null")]);
}

#[test]
fn other_messages_are_ignored_or_close_their_sender() {
    let room = room();
    let witness = Editor::new(&room, 1);
    for harmless in [&[2, 0, 0][..], &[9], &[3]] {
        witness.client.send(harmless);
    }
    witness.insert(0, "still here");
    let long = "x".repeat(5000);
    let long = [&[1, 1, 1][..], &number(long.len()), long.as_bytes()].concat();
    // A length in 32 bits that wraps round, behind one deletion.
    let wrapping = [0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    let deep = [
        &[1, 1, 5, 0, 8, 1, 1, b't', 1][..],
        &[117, 1].repeat(100_000),
        &[126, 0],
    ]
    .concat();
    for bad in [
        vec![],
        vec![0],
        vec![0, 0],
        vec![0, 3, 0],
        vec![1],
        message(&[0, 0], &[1]),
        message(&[0, 0], &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        message(&[0, 1], &[]),
        message(&[0, 2], &[0xff; 20]),
        message(&[0, 2], &wrapping),
        message(&[0, 2], &deep),
        message(&[1], &[5]),
        message(&[1], &long),
    ] {
        let client = room.connect();
        client.send(&bad);
        assert_eq!(
            client.closed().map(|closed| closed.code),
            Some(4400),
            "{bad:?}"
        );
    }
    let text = room.connect();
    text.send("hello");
    assert_eq!(text.closed().map(|closed| closed.code), Some(4400));
    assert_eq!(Editor::new(&room, 2).text(), "still here");
}

#[test]
fn a_document_is_bounded() {
    let room = room();
    let alice = Editor::new(&room, 1);
    let chunk = "x".repeat(100_000);
    for _ in 0..10 {
        alice.insert(0, &chunk);
        assert_eq!(alice.client.closed(), None);
    }
    alice.insert(0, &chunk);
    assert_eq!(alice.client.closed().map(|closed| closed.code), Some(4413));
    assert_eq!(Editor::new(&room, 2).text().len(), 1_000_000);
}

/// Returns updates of all kinds that a client may send.
fn corpus() -> Vec<Vec<u8>> {
    let doc = doc(5);
    let updates = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = std::rc::Rc::clone(&updates);
    doc.observe_update_v1("corpus", move |_, event| {
        sink.borrow_mut().push(event.update.clone())
    })
    .unwrap();
    let (shared, map) = (doc.get_or_insert_text("text"), doc.get_or_insert_map("map"));
    shared.insert(&mut doc.transact_mut(), 0, "hello 😀 world");
    shared.insert(&mut doc.transact_mut(), 5, "abc");
    shared.remove_range(&mut doc.transact_mut(), 2, 4);
    let bold = [("bold".into(), Any::Bool(true))].into_iter().collect();
    shared.format(&mut doc.transact_mut(), 1, 3, bold);
    map.insert(&mut doc.transact_mut(), "key", Any::from(vec![1.5, 2.0]));
    map.insert(
        &mut doc.transact_mut(),
        "text",
        yrs::TextPrelim::new("inner"),
    );
    map.insert(&mut doc.transact_mut(), "key", "other");
    let all = doc
        .transact()
        .encode_state_as_update_v1(&StateVector::default());
    let mut corpus = updates.borrow().clone();
    corpus.push(all);
    corpus
}

#[test]
fn garbage_never_ends_the_room() {
    let corpus = corpus();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let rounds = std::env::var("YJS_FUZZ")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(30);
    for round in 0..rounds {
        let room = room();
        let mut sent = Vec::new();
        let result = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..12 {
                let mut update = corpus[random(corpus.len())].clone();
                for _ in 0..random(4) {
                    let at = random(update.len());
                    match random(4) {
                        0 => update[at] = random(256) as u8,
                        1 => update[at] = random(12) as u8,
                        2 => drop(update.remove(at)),
                        _ => update.insert(at, random(10) as u8),
                    }
                    if update.is_empty() {
                        break;
                    }
                }
                sent.push(update.clone());
                let client = room.connect();
                client.send(message(&[0, 2], &update));
                let reader = room.connect();
                reader.send(message(&[0, 0], &[0]));
                assert_eq!(reader.closed(), None);
                if client.closed().is_none() {
                    client.leave();
                }
                reader.leave();
            }
        }));
        assert!(result.is_ok(), "round {round}: {sent:?}");
    }
}
