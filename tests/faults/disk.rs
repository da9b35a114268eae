//! Lets system calls of the server's disk fail.

use std::time::Duration;

use stateroom_tests::{Frame, Output};

use crate::{
    client::Client,
    server::{Place, address},
};

/// The exit code of a server whose disk does not keep what it was given.
pub(crate) const EXIT_CODE: i32 = 74;

const ROUNDS: usize = 12;

/// The number of messages that are on their way.
const AHEAD: u64 = 3;

/// Sends messages until the connection ends. Returns the last count that came.
fn count_until_the_end(client: &mut Client) -> u64 {
    let mut last = 0;
    if (1..AHEAD).all(|_| client.send().is_ok()) {
        while client.send().is_ok()
            && let Ok(count) = client.count()
        {
            last = count;
        }
    }
    last
}

/// Asks for a count that is greater than `seen`.
fn check(place: &Place, seen: u64) {
    let server = place.serve();
    let mut client = Client::join(address(&server).expect("it starts"), "room").expect("it can be joined");
    client.send().expect("the server reads");
    let count = client.count().expect("the room answers");
    assert!(
        (seen + 1..=seen + AHEAD + 1).contains(&count),
        "a client had seen {seen}, and now the count is {count}"
    );
}

pub(crate) fn fails_to_sync() {
    // The first calls belong to the start.
    fails("fdatasync:error=EIO", 3);
    println!(
        "| `fdatasync` fails with EIO, at one place after the other | {ROUNDS} | the process ends with exit code 74; each count that a client had seen |"
    );
}

pub(crate) fn is_full() {
    fails("pwrite64:error=ENOSPC", 4);
    println!("| a write fails with ENOSPC, at one place after the other | {ROUNDS} | the same |");
}

/// Lets a system call fail from the one with the number `first` on, then from the next one on, and so on.
fn fails(injected: &str, first: usize) {
    for round in 0..ROUNDS {
        let place = Place::new();
        let injected = format!("{injected}:when={}+", first + round);
        let mut server = place.serve_with(&injected, &[]);
        let seen = match address(&server).map(|address| Client::join(address, "room")) {
            Some(Ok(mut client)) => count_until_the_end(&mut client),
            _ => 0,
        };
        assert_eq!(server.exit().0, Some(EXIT_CODE), "in round {round}");
        server.line(Output::Stderr, "the journal cannot be written");
        check(&place, seen);
    }
}

pub(crate) fn is_slow() {
    // A connection that is closed has 1 s. The time of the disk does not count.
    const DELAY: Duration = Duration::from_millis(1_200);
    let place = Place::new();
    let injected = format!("fdatasync:delay_exit={}", DELAY.as_micros());
    let server = place.serve_with(&injected, &[]);
    let address = address(&server).expect("it starts");
    let mut client = Client::join(address, "room").expect("it can be joined");
    let is_quiet = |client: &mut Client| {
        assert!(client.is_quiet(DELAY / 2), "something was sent before it was on the disk");
    };
    for round in 0..3 {
        client.send().expect("the server reads");
        is_quiet(&mut client);
        // This one comes while the disk is busy with the first, and waits for the next time.
        client.send().expect("the server reads");
        assert_eq!(client.count().expect("the room answers"), 2 * round + 1);
        is_quiet(&mut client);
        assert_eq!(client.count().expect("the room answers"), 2 * round + 2);
    }
    client.send().expect("the server reads");
    client.write(&Frame::close(1000)).expect("the server reads");
    assert_eq!(client.count().expect("what was sent before the close arrives"), 7);
    assert!(client.is_closed(), "the close frame arrives");
    println!(
        "| each `fdatasync` takes 1.2 s | 7 | nothing is sent before; a client that leaves gets everything |"
    );
    drop(server);
    assert!(place.data().join("journal").is_dir());
}
