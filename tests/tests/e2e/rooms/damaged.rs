//! Tests rooms whose histories are damaged, or cannot be restored.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
};

use stateroom_tests::{Directory, Module, TestServer, records_with};

use super::{guest, large_guest, order, serve_again, settings, wait_until_rooms_left};

#[test]
fn a_room_that_cannot_be_restored_is_deleted() {
    let other = || Module::new().told("(call $set_timer (i32.const 1000))").kept_program();
    let data = Directory::new();
    let server = TestServer::guests(settings(&data), guest());
    server.client("room").ask("a");
    drop(server);
    for module in fs::read_dir(data.path().join("data/modules")).expect("it is a directory") {
        fs::remove_file(module.expect("it can be read").path()).expect("it can be removed");
    }
    let server = serve_again(&data, settings(&data), other());
    let mut client = server.client("room");
    assert_eq!(client.closed(), 1011, "its module is gone");
    assert_eq!(order(&server, "DELETE", "/rooms/room").status, 200);
    assert_eq!(order(&server, "DELETE", "/rooms/room").status, 404);
    assert_eq!(server.client("room").ask("?"), "0");
    drop(server);
    assert_eq!(serve_again(&data, settings(&data), other()).client("room").ask("?"), "0");
}

/// Changes a byte of the first place in the journal's files that has these bytes. Returns what changes it back.
fn damage(data: &Directory, part: &[u8]) -> impl FnOnce() {
    for file in fs::read_dir(data.path().join("data/journal")).expect("it is a directory") {
        let path = file.expect("it can be read").path();
        let mut bytes = Vec::new();
        fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("it can be read");
        if let Some(at) = bytes.windows(part.len()).position(|window| window == part) {
            change(&path, at as u64, bytes[at] ^ 1);
            return move || change(&path, at as u64, bytes[at]);
        }
    }
    panic!("it is nowhere");
}

fn change(path: &Path, at: u64, byte: u8) {
    use std::io::{Seek as _, SeekFrom};
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("it can be opened");
    file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&[byte])).expect("it can be written");
}

#[test]
fn a_quarantined_room_is_shown_and_deleted() {
    let data = Directory::new();
    let server = TestServer::guests(settings(&data), Module::new().kept_program());
    server.client("room").ask("these words are in the journal");
    wait_until_rooms_left(&server);
    let mend = damage(&data, b"these words are in the journal");
    assert_eq!(server.client("room").closed(), 1011);
    let answer = order(&server, "GET", "/rooms/room");
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("is damaged"), "{}", answer.text());
    assert_eq!(order(&server, "GET", "/rooms/room/export").status, 500);
    assert!(order(&server, "GET", "/rooms").text().contains("\"room\""));
    assert_eq!(order(&server, "DELETE", "/rooms/room").status, 200);
    assert_eq!(server.client("room").ask("?"), "0", "there is a new one at once");
    drop(server);
    // Damage that is in what a start reads stops the start.
    mend();
    assert_eq!(
        serve_again(&data, settings(&data), Module::new().kept_program()).client("room").ask("?"),
        "0"
    );
}

#[test]
fn a_damaged_room_does_not_fill_the_journal() {
    let data = Directory::new();
    let settings = || settings(&data).with_journal_size(128 << 20);
    let server = TestServer::guests(settings(), large_guest());
    server.client("bad").ask("these words are in the journal");
    server.client("good").ask("these too");
    wait_until_rooms_left(&server);
    let _mend = damage(&data, b"these words are in the journal");
    let files = |prefix: &str| {
        let all = fs::read_dir(data.path().join("data/journal")).expect("it is a directory");
        all.filter(|file| {
            file.as_ref().is_ok_and(|file| file.file_name().to_string_lossy().starts_with(prefix))
        })
        .count()
    };
    let mut client = server.client("large");
    // The answer is short.
    let grow = format!("?{}", "x".repeat(60_000));
    let mut written = 0;
    while files("damaged-") == 0 {
        written += grow.len();
        assert!(written < 400 << 20, "its file is never freed");
        client.ask(&grow);
    }
    (0..300).for_each(|_| _ = client.ask(&grow));
    assert!(files("") <= 9 && files("damaged-") == 1, "{} files", files(""));
    assert_eq!(records_with("room \"bad\" is damaged on the disk").len(), 1);
    drop((client, server));
    for _ in 0..2 {
        let server = serve_again(&data, settings(), large_guest());
        assert_eq!(server.client("bad").closed(), 1011);
        assert_eq!(server.client("good").ask("?"), "1");
        let answer = order(&server, "GET", "/rooms/bad");
        assert!(answer.status == 500 && answer.text().contains("is damaged"), "{}", answer.text());
    }
    let server = serve_again(&data, settings(), large_guest());
    assert_eq!(order(&server, "DELETE", "/rooms/bad").status, 200);
    assert_eq!(server.client("bad").ask("?"), "0", "there is a new one at once");
}
