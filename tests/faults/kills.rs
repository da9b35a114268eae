//! Kills the server, and lets its clients compare what they have seen with what they find.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use fastrand::Rng;
use rustix::process::Signal;

use crate::{
    client::Client,
    returning::Returning,
    seen::Seen,
    server::{Place, address},
};

pub(crate) const ROOMS: usize = 4;
/// The number of clients, of which one in each room resumes its session.
const CLIENTS: usize = 16;

pub(crate) fn run(rounds: usize) {
    let place = Place::new();
    let seen: Vec<Arc<Seen>> = (0..ROOMS).map(|_| Arc::default()).collect();
    let returning: Vec<_> = (0..ROOMS).map(|room| Arc::new(Mutex::new(Returning::new(room)))).collect();
    let (checked, mut before_serving) = (Arc::new(AtomicUsize::new(0)), 0);
    let mut rng = Rng::with_seed(0x0dd);
    for round in 0..rounds {
        let server = place.serve();
        let delay = Duration::from_micros(rng.u64(..150_000));
        // Every fifth is killed while it starts.
        if round % 5 == 4 {
            thread::sleep(delay / 5);
            before_serving += 1;
            server.signal(Signal::KILL);
            continue;
        }
        let Some(address) = address(&server) else { panic!("the server does not start in round {round}") };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (seen, checked) = (Arc::clone(&seen[number % ROOMS]), Arc::clone(&checked));
                let before = seen.greatest();
                if let Some(returning) = returning.get(number) {
                    let returning = Arc::clone(returning);
                    return thread::spawn(move || lock(&returning).talk(address, &seen, before.1));
                }
                thread::spawn(move || talk(address, number % ROOMS, &seen, before, &checked))
            })
            .collect();
        thread::sleep(delay);
        // Now and then, it says goodbye.
        server.signal(if round % 7 == 6 { Signal::TERM } else { Signal::KILL });
        for client in clients {
            // It ends with its connection, or because something is wrong.
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    }
    let server = place.serve();
    let address = address(&server).expect("it starts");
    let mut resumptions = 0;
    for (returning, seen) in returning.iter().zip(&seen) {
        let mut returning = lock(returning);
        returning.finish(address, seen);
        resumptions += returning.resumptions();
    }
    assert!(resumptions > rounds, "sessions hardly ever go on");
    let counts: u64 = seen.iter().map(|seen| seen.greatest().0).sum();
    assert!(checked.load(Ordering::Relaxed) > rounds, "clients hardly come to anything");
    println!(
        "| the process is killed with SIGKILL; {before_serving} times while it starts; every seventh time it gets SIGTERM | {rounds} | each count that a \
         client had seen, {} times; no count without its message ({counts} messages); no id twice |\n\
         | the same, and four of the clients resume their sessions | {resumptions} | the id of the client; each message to it once, in order; each of its \
         messages once |",
        checked.load(Ordering::Relaxed)
    );
}

/// Joins a room, and sends messages until the connection ends.
pub(crate) fn talk(address: SocketAddr, room: usize, seen: &Seen, before: (u64, u32), checked: &AtomicUsize) {
    let talk = || -> io::Result<()> {
        let (mut client, mut last) = join(address, room, seen, before)?;
        checked.fetch_add(1, Ordering::Relaxed);
        loop {
            seen.note_sent();
            client.send()?;
            let count = client.count()?;
            assert_eq!(count, last + 1, "a client sees each count, in order");
            last = count;
            seen.note_count(count);
        }
    };
    // The connection ends with the server.
    let _ = talk();
}

/// Joins a room, sends a message, and compares its count and its id with the greatest that were seen before.
pub(crate) fn join(
    address: SocketAddr,
    room: usize,
    seen: &Seen,
    (count_before, ids_before): (u64, u32),
) -> io::Result<(Client, u64)> {
    let mut client = Client::join(address, &format!("room-{room}"))?;
    seen.note_id(client.id, ids_before);
    seen.note_sent();
    client.send()?;
    let count = client.count()?;
    assert!(count > count_before, "a client had seen {count_before}, and now the count is {count}");
    seen.note_count(count);
    Ok((client, count))
}

fn lock(returning: &Mutex<Returning>) -> std::sync::MutexGuard<'_, Returning> {
    returning.lock().unwrap_or_else(PoisonError::into_inner)
}
