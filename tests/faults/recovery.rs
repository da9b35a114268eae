//! Kills the server in each system call of its start, after it was killed under load.

use std::thread;

use rustix::process::Signal;
use stateroom_tests::{Child, Output};

use crate::{
    client::Client,
    disk::{check, count_until_the_end},
    server::{Place, address},
};

/// The system calls that change what is on the disk, or that open it. Not every processor has all of them.
const CALLS: [&str; 6] =
    ["pwrite64", "fdatasync", "fsync", "?rename,?renameat,?renameat2", "?unlink,?unlinkat", "openat"];

/// The number of counts that are seen before the server is killed. The room has more than one base then.
const COUNTS: u64 = 300;

/// The most starts that one kind of call can be tried in.
const MOST: usize = 200;

pub(crate) fn is_killed() {
    let mut killed = 0;
    for calls in CALLS {
        let place = Place::new();
        let seen = killed_under_load(&place);
        // Each start finds what the one before has left.
        let through = (1..=MOST).find(|number| {
            let injected = format!("{calls}:signal=KILL:when={number}");
            let server = place.serve_with(&[&injected], &[]);
            let is_through = address(&server).is_some();
            end(server);
            killed += usize::from(!is_through);
            is_through
        });
        assert!(through.is_some(), "a start has more than {MOST} calls of {calls}");
        check(&place, seen);
    }
    assert!(killed > 20, "hardly any start was killed");
    println!(
        "| the same, and the next starts are killed in their first, second, third … `pwrite`, `fdatasync`, `fsync`, `rename`, `unlink` and `open` | \
         {killed} | each count that a client had seen |"
    );
}

pub(crate) fn fails_to_sync() {
    let mut failed = 0;
    for calls in ["fdatasync", "fsync"] {
        let place = Place::new();
        let seen = killed_under_load(&place);
        for number in 1..=MOST {
            let mut server = place.serve_with(&[&format!("{calls}:error=EIO:when={number}")], &[]);
            let Err(lines) = server.find_line(Output::Stderr, "serving on ") else {
                end(server);
                break;
            };
            assert_ne!(
                server.exit().0,
                Some(0),
                "a start whose {calls} number {number} fails does not go on"
            );
            let names_it = lines.iter().any(|line| line.contains("Input/output error"));
            assert!(names_it, "{}", lines.join("\n"));
            failed += 1;
        }
        check(&place, seen);
    }
    assert!(failed > 2, "no start has failed");
    println!(
        "| `fdatasync` and `fsync` fail with EIO while the server starts | {failed} | the process ends and names the error; each count that a client had seen |"
    );
}

/// Kills a server while a client counts. Returns the last count that the client has seen.
fn killed_under_load(place: &Place) -> u64 {
    let server = place.serve();
    let mut client = Client::join(address(&server).expect("it starts"), "room").expect("it can be joined");
    for number in 1..=COUNTS {
        client.send().expect("the server reads");
        assert_eq!(client.count().expect("the room answers"), number);
    }
    let counting = thread::spawn(move || count_until_the_end(&mut client));
    end(server);
    // Nothing may have come since.
    counting.join().expect("it does not panic").max(COUNTS)
}

fn end(mut server: Child) {
    server.signal(Signal::KILL);
    server.exit();
}
