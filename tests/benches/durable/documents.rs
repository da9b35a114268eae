use std::time::{Duration, Instant};

use stateroom_tests::{Client, grouped};
use yrs::{
    ClientID, Doc, GetString as _, OffsetKind, Options as DocOptions, ReadTxn as _, StateVector, Text as _,
    Transact as _, Update,
    updates::{decoder::Decode as _, encoder::Encode as _},
};

use crate::{
    log,
    options::Options,
    page::{head, quantile, row, size},
    server::{Place, Server},
};

/// The words of a document, and those that are typed while the client is connected.
const WORDS: usize = 600;
const TYPED: usize = 20;
/// The documents of the server that is compared with.
const FEW: usize = 10;
/// The documents that are opened again.
const OPENED: usize = 200;
/// Documents need more than the default journal.
const FLAGS: [&str; 2] = ["--journal-size", "8GiB"];

/// A document as its author sends it.
struct Recorded {
    text: String,
    /// The document that the author has had before, and the edits.
    update: Vec<u8>,
    edits: Vec<Vec<u8>>,
}

/// Measures documents that nobody has open.
pub(crate) fn measure(options: &Options) {
    let recorded = Recorded::new();
    println!(
        "\nYjs documents of {} characters ({} as an update), the last {TYPED} words of which were typed in the room\n",
        recorded.text.len(),
        size(recorded.update.len() as u64)
    );
    let numbers = [FEW, options.documents];
    let columns: Vec<_> =
        numbers.iter().map(|number| format!("{} documents", grouped(*number as u64))).collect();
    head(&["", &columns[0], &columns[1]]);
    let [few, many] = numbers.map(|number| measure_some(options, &recorded, number));
    for ((name, few), (_, many)) in few.iter().zip(&many) {
        row(&[name.as_str(), few, many]);
    }
}

fn measure_some(options: &Options, recorded: &Recorded, number: usize) -> Vec<(String, String)> {
    let place = Place::new(options.server(), options.yjs());
    let server = place.serve(&FLAGS);
    let begin = Instant::now();
    let fill = |documents| {
        server.fill(documents, |client| {
            client.binary(&message(&[0, 1], &recorded.update));
            for edit in &recorded.edits {
                client.binary(&message(&[0, 2], edit));
            }
            // The answer comes when the disk has all of it.
            assert_eq!(text(client), recorded.text);
        });
        server.wait_for_idleness();
        server.resident()
    };
    // The first tenth makes room for all that are in memory at a time.
    let (first, left) = (fill(0..number / 10), fill(number / 10..number));
    let filled = begin.elapsed();
    let added = (left[0] as f64 - first[0] as f64) / (number - number / 10) as f64;
    let opened = open(&server, recorded, number);
    server.wait_for_idleness();
    let on_disk = place.bytes_on_disk();
    server.kill();
    let live = log::live_bytes(&place.data());
    let server = place.serve(&FLAGS);
    let started = server.listening;
    let after = server.resident();
    let opened_after = open(&server, recorded, number);
    let ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    let waits = |waits: &[f64]| {
        let [p50, p99] = [500, 990].map(|thousandths| quantile(waits.iter().copied(), thousandths));
        format!("{p50:.1} / {p99:.1} ms")
    };
    let lines = [
        ("until all were made and left memory", format!("{:.1} s", filled.as_secs_f64())),
        ("RSS when all have left memory (at most)", left.map(size).join(" (") + ")"),
        ("RSS that all after the first tenth have added, for each document", format!("{added:.0} B")),
        ("on the disk", size(on_disk)),
        ("of it, histories of documents", size(live)),
        ("until a client has the text of an idle document, p50 / p99", waits(&opened)),
        ("from exec to listening, after SIGKILL", ms(started)),
        ("RSS then", size(after[0])),
        ("until a client has the text of a document, after SIGKILL, p50 / p99", waits(&opened_after)),
    ];
    lines.map(|(name, figure)| (name.to_owned(), figure)).into()
}

/// Opens documents, one after the other, and returns how long each client waits for its text in milliseconds.
fn open(server: &Server, recorded: &Recorded, number: usize) -> Vec<f64> {
    let step = (number / OPENED).max(1);
    let waits = (0..number).step_by(step).map(|document| {
        let begin = Instant::now();
        let mut client = server.connect(&format!("room-{document}"));
        let text = text(&mut client);
        let wait = begin.elapsed();
        assert_eq!(text, recorded.text, "document {document} has changed");
        client.hang_up();
        wait.as_secs_f64() * 1e3
    });
    waits.collect()
}

/// Asks for the document, and returns its text.
fn text(client: &mut Client) -> String {
    client.binary(&message(&[0, 0], &StateVector::default().encode_v1()));
    loop {
        let bytes = client.next_binary();
        if let [0, 1, content @ ..] = &bytes[..] {
            let doc = doc();
            let update = Update::decode_v1(without_length(content)).expect("an update");
            doc.transact_mut().apply_update(update).expect("it is complete");
            return doc.get_or_insert_text("text").get_string(&doc.transact());
        }
    }
}

impl Recorded {
    fn new() -> Self {
        let (doc, mut rng) = (doc(), fastrand::Rng::with_seed(7));
        let text = doc.get_or_insert_text("text");
        let mut type_word = || {
            let before = doc.transact().state_vector();
            let length = text.len(&doc.transact());
            // Most words come at the end, and some of them anywhere.
            let mut at = if rng.u8(..10) == 0 { rng.u32(..=length) } else { length };
            for _ in 0..rng.u32(2..9) {
                text.insert(&mut doc.transact_mut(), at, &rng.lowercase().to_string());
                at += 1;
            }
            text.insert(&mut doc.transact_mut(), at, " ");
            doc.transact().encode_state_as_update_v1(&before)
        };
        for _ in 0..WORDS - TYPED {
            type_word();
        }
        let update = doc.transact().encode_state_as_update_v1(&StateVector::default());
        let edits = (0..TYPED).map(|_| type_word()).collect();
        let text = text.get_string(&doc.transact());
        Self { text, update, edits }
    }
}

fn doc() -> Doc {
    let mut options = DocOptions::with_guid_and_client_id("document".into(), ClientID::new(7));
    options.offset_kind = OffsetKind::Utf16;
    Doc::with_options(options)
}

/// Returns a message of y-protocols: its kind, and bytes with their length before them.
fn message(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let mut message = kind.to_vec();
    let mut length = content.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(content);
    message
}

/// Returns the bytes behind their length.
fn without_length(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    &bytes[length..]
}
