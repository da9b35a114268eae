//! Measures the example guests: the size of the module, the memory of a new room, and the growth of the server's
//! resident memory for each room.
//!
//! `cargo bench -p stateroom-tests --bench sizes` measures it, and writes the table in `examples/README.md` anew. It also prints the
//! memory of a server with one large document, for `docs/guide/collaborative-text.md`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use stateroom_host_min::{Event, Limits, Program, Step};
use stateroom_tests::{Child, Client, Output, example};
use yrs::{
    Doc, ReadTxn as _, StateVector, Text as _, Transact as _, WriteTxn as _, updates::encoder::Encode as _,
};

const GUESTS: [&str; 13] = [
    "echo",
    "binary-echo",
    "counter",
    "clock",
    "cursors",
    "presence",
    "pixels",
    "duel",
    "chat",
    "todo",
    "vote",
    "yjs",
    "seed-echo",
];

/// The marks around the table.
const MARKS: [&str; 2] = ["<!-- sizes -->\n", "<!-- end of sizes -->"];

/// The number of rooms that are made before the measured ones, so that one-time costs of the server are not counted.
const EARLIER: usize = 100;
const ROOMS: usize = 2000;

fn main() {
    let mut table = String::from("| example | module | memory | room |\n| --- | ---: | ---: | ---: |\n");
    for name in GUESTS {
        let module = example(name).join("server.wasm");
        let bytes = fs::read(&module).expect("it has been built");
        let (size, memory) = (bytes.len(), memory(&bytes));
        let line = format!("| `{name}` | {size} | {memory} | {:.1} |\n", resident(&module) / 1024.0);
        print!("{line}");
        table.push_str(&line);
    }

    for (what, letters) in [("letters in changing places", 1), ("words of 1,000 letters", 1000)] {
        let (update, resident) = document(letters);
        println!("document of {what}: {update} bytes as an update, {} KiB resident", resident / 1024);
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/README.md");
    let page = fs::read_to_string(&path).expect("the examples have a README");
    let (before, rest) = page.split_once(MARKS[0]).expect("the table is marked");
    let (_, after) = rest.split_once(MARKS[1]).expect("the table is marked");
    let page = [before, MARKS[0], "\n", &table, "\n", MARKS[1], after].concat();
    fs::write(path, page).expect("the README can be written");
}

/// Returns the bytes of a new room's linear memory.
fn memory(module: &[u8]) -> usize {
    let program = Program::load(module, Limits::default()).expect("it has been built for this");
    let mut room = program.room("lobby", [0; 32]).expect("it begins");
    assert_eq!(room.handle(Event::Init, 0), Ok(Step::Done));
    room.memory_size()
}

/// The size up to which a document grows, as an update in bytes. The room takes no more than 1 MiB.
const DOCUMENT: usize = 1_000_000;

/// Edits a document until it is large, with so many letters in each edit. Returns its size as an update, and the resident memory of the
/// server with this one room.
fn document(letters: usize) -> (usize, u64) {
    let dist = example("yjs").display().to_string();
    let server = Child::start("stateroom", &["serve", &dist, "--ip", "127.0.0.1", "--port", "0"]);
    let address = server.line(Output::Stderr, "serving on ").parse().expect("an address");
    let mut client = Client::connect(address, "/ws/lobby").expect("an upgrade");
    let doc = Doc::with_client_id(0x1234_5678);
    let word = "x".repeat(letters);
    let whole = || doc.transact().encode_state_as_update_v1(&StateVector::default()).len();
    while whole() < DOCUMENT {
        let before = doc.transact().state_vector();
        // Edits in the same place would become one.
        for edit in 0..(1000 / letters as u32).max(1) {
            let mut change = doc.transact_mut();
            let text = change.get_or_insert_text("text");
            let at = (edit * 7 % 100).min(text.len(&change));
            text.insert(&mut change, at, &word);
        }
        client.binary(&message(&[0, 2], &doc.transact().encode_state_as_update_v1(&before)));
    }
    // The answer comes when all of it has been taken.
    client.binary(&message(&[0, 0], &doc.transact().state_vector().encode_v1()));
    while !client.next_binary().starts_with(&[0, 1]) {}
    (whole(), server.resident())
}

/// Returns a message of y-protocols.
fn message(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let (mut message, mut len) = (kind.to_vec(), content.len());
    while len > 0x7f {
        message.push(len as u8 | 0x80);
        len >>= 7;
    }
    message.push(len as u8);
    [&message[..], content].concat()
}

/// Returns the bytes by which the server's resident memory grows for each room, which nobody is in.
fn resident(module: &Path) -> f64 {
    let module = module.to_str().expect("cargo's directory has a name in UTF-8");
    let arguments = ["serve", module, "--ip", "127.0.0.1", "--port", "0", "--hibernate-after", "0"];
    let server = Child::start("stateroom", &arguments);
    let address = server.line(Output::Stderr, "serving on ");
    let create = |rooms: std::ops::Range<usize>| {
        for room in rooms {
            let mut stream = TcpStream::connect(&address).expect("it listens");
            write!(
                stream,
                "POST /ws/{room} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        }
    };
    create(0..EARLIER);
    let before = server.resident();
    create(EARLIER..EARLIER + ROOMS);
    (server.resident() - before) as f64 / ROOMS as f64
}
