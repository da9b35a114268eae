use std::time::Instant;

use stateroom_tests::{Client, grouped};

use crate::{
    log,
    options::Options,
    page::{head, milliseconds, row, size},
    server::{Place, Server},
};

/// A guest that counts messages, and tells the sender.
const GUEST: &str = r#"(module
    (import "env" "send_binary" (func $send (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32))
    (func (export "disconnect") (param i32))
    (func (export "timer"))
    (func (export "message") (param i32 i32 i32))
    (func (export "binary") (param i32 i32 i32)
        (i64.store (i32.const 16) (i64.add (i64.load (i32.const 16)) (i64.const 1)))
        (call $send (local.get 0) (i32.const 16) (i32.const 8))))"#;

/// The rooms of the server that is compared with, so that the difference is the price of the others.
const FEW: usize = 100;
/// The number of starts of each kind.
const STARTS: usize = 5;

/// Starts a server with many rooms on the disk, after it was killed.
pub(crate) fn measure(options: &Options) {
    let module = wat::parse_str(GUEST).expect("a module");
    let program = options.server();
    let counter = stateroom_tests::Directory::new().with("counter.wasm", module);
    let rooms = [FEW, options.rooms];
    let columns: Vec<_> = rooms.iter().map(|rooms| format!("{} rooms", grouped(*rooms as u64))).collect();
    println!("\nA counter in each room; SIGKILL before each start\n");
    head(&["", &columns[0], &columns[1]]);
    let [few, many] = rooms.map(|rooms| Figures::of(&program, &counter.path().join("counter.wasm"), rooms));
    for ((name, few), (_, many)) in few.lines.iter().zip(&many.lines) {
        row(&[name.as_str(), few, many]);
    }
    let each = (many.resident as f64 - few.resident as f64) / (options.rooms - FEW) as f64;
    row(&["RSS after a start, for each room", "", &format!("{each:.0} B")]);
}

/// What was measured with a number of rooms.
struct Figures {
    lines: Vec<(String, String)>,
    /// The memory after a start, in bytes.
    resident: u64,
}

impl Figures {
    fn of(program: &std::path::Path, module: &std::path::Path, rooms: usize) -> Self {
        let place = Place::new(program.to_owned(), module.to_owned());
        let server = place.serve(&[]);
        let (begin, cpu) = (Instant::now(), server.cpu());
        // The first tenth makes room for all that are in memory at a time. What the others add stays for each of them.
        let fill = |rooms| {
            server.fill(rooms, |client| assert_eq!(count(client), 1));
            server.wait_for_idleness();
            server.resident()
        };
        let (first, left) = (fill(0..rooms / 10), fill(rooms / 10..rooms));
        let (filled, cpu) = (begin.elapsed(), server.cpu() - cpu);
        let added = (left[0] as f64 - first[0] as f64) / (rooms - rooms / 10) as f64;
        server.kill();
        let mut lines = vec![
            (
                "until all were made, had a client and a message, and left memory".to_owned(),
                format!("{:.1} s", filled.as_secs_f64()),
            ),
            (
                "processor time of the server for each".to_owned(),
                format!("{:.0} µs", cpu.as_secs_f64() * 1e6 / rooms as f64),
            ),
            ("on the disk".to_owned(), size(place.bytes_on_disk())),
            ("of it, histories of rooms".to_owned(), size(log::live_bytes(&place.data()))),
            ("RSS when all have left memory (at most)".to_owned(), left.map(size).join(" (") + ")"),
            (
                "RSS that all after the first tenth have added, for each room".to_owned(),
                format!("{added:.0} B"),
            ),
        ];
        let mut resident = 0;
        for is_cold in [false, true] {
            let what = if is_cold { "nothing in the cache" } else { "all in the cache" };
            let (mut listening, mut answered, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
            let (mut read, mut memory) = (0, [0, 0]);
            for start in 0..STARTS {
                if is_cold {
                    place.drop_cache();
                }
                let begin = Instant::now();
                let server = place.serve(&[]);
                // Another room each time, that has waited on the disk since it was made.
                let room = (start * 2 + usize::from(is_cold)) * rooms / (2 * STARTS);
                expect_restored(&server, room);
                answered.push(begin.elapsed());
                (memory, read) = (server.resident(), server.read_from_disk());
                listening.push(server.listening);
                cpu.push(server.cpu_listening);
                server.kill();
            }
            resident = memory[0];
            lines.push((format!("from exec to listening, {what}"), milliseconds(&listening)));
            lines.push((format!("from exec to the first answer of a room, {what}"), milliseconds(&answered)));
            lines.push((format!("processor time until it listens, {what}"), milliseconds(&cpu)));
            lines.push((format!("read from the disk, {what}"), size(read)));
            lines.push((format!("RSS after a start, {what} (at most)"), memory.map(size).join(" (") + ")"));
        }
        Self { lines, resident }
    }
}

/// Checks that a room continues.
fn expect_restored(server: &Server, room: usize) {
    let mut client = server.connect(&format!("room-{room}"));
    assert_eq!(count(&mut client), 2, "room {room} has lost its message");
}

/// Sends a message, and returns its number in the room.
fn count(client: &mut Client) -> u64 {
    client.binary(b"+");
    let bytes = client.next_binary();
    u64::from_le_bytes(bytes.try_into().expect("a number"))
}
