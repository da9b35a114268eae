use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    connection::{Connection, Filled},
    crowd::unanswered,
    histogram::Histogram,
    meter::Meter,
    opening::{Opening, OpeningState},
    poller::Poller,
    process::Process,
    target::Target,
};

/// Opens WebSockets and closes them.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) target: &'a Target,
    pub(crate) rooms: usize,
    /// The number of connections that are open or being opened at a time.
    pub(crate) concurrency: usize,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) patience: Duration,
    pub(crate) process: Option<Process>,
}

/// The results of the run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) handshakes: u64,
    /// The times from the beginning of a connection until it is a WebSocket.
    pub(crate) latency: Histogram,
    pub(crate) meter: Meter,
}

/// A slot for one connection after the other.
#[derive(Debug)]
enum Slot {
    Empty,
    Opening(Opening),
    /// Open, and on its way to its end.
    Closing(Connection),
}

impl Plan<'_> {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let address = self.target.resolve()?;
        let mut poller = Poller::new()?;
        let mut slots = Vec::new();
        slots.resize_with(self.concurrency, || Slot::Empty);
        let (mut ready, mut buffer, mut number) = (Vec::new(), Vec::new(), 0);
        let (mut handshakes, mut latency) = (0, Histogram::default());
        let warm = Instant::now() + self.warmup;
        let end = warm + self.duration;
        let mut meter = None;
        let mut deadline = Instant::now() + self.patience;
        for (token, slot) in slots.iter_mut().enumerate() {
            *slot = self.begin(address, &mut number, &poller, token)?;
        }
        loop {
            let now = Instant::now();
            if now >= warm && meter.is_none() {
                (handshakes, latency) = (0, Histogram::default());
                meter = Some(Meter::start(self.process)?);
            }
            if let Some(mut meter) = meter.take_if(|_| now >= end) {
                meter.stop()?;
                return Ok(Outcome { handshakes, latency, meter });
            }
            if now >= deadline {
                return Err(unanswered(address, self.patience));
            }
            poller.wait(deadline.min(if meter.is_some() { end } else { warm }), &mut ready)?;
            for &token in &ready {
                match std::mem::replace(&mut slots[token], Slot::Empty) {
                    Slot::Empty => {}
                    Slot::Opening(opening) => {
                        let began = opening.began();
                        slots[token] = match opening.advance(address, &poller)? {
                            OpeningState::Opening(opening) => Slot::Opening(opening),
                            OpeningState::Open(mut connection) => {
                                handshakes += 1;
                                latency.record(began.elapsed().as_nanos() as u64);
                                connection.queue_close();
                                connection.flush(&poller)?;
                                Slot::Closing(connection)
                            }
                        };
                    }
                    Slot::Closing(mut connection) => {
                        // The server ends the connection, so that its ports are free here and not kept for a minute.
                        let has_ended = match connection.fill(&mut buffer) {
                            Filled::Nothing => false,
                            Filled::End => true,
                            Filled::Bytes(count) => {
                                connection.hear(&buffer[..count], |_| {})?;
                                false
                            }
                        };
                        if has_ended {
                            deadline = Instant::now() + self.patience;
                            slots[token] = self.begin(address, &mut number, &poller, token)?;
                        } else {
                            slots[token] = Slot::Closing(connection);
                        }
                    }
                }
            }
        }
    }

    fn begin(&self, address: SocketAddr, number: &mut usize, poller: &Poller, token: usize) -> Result<Slot> {
        let room = *number % self.rooms;
        let opening = Opening::begin(self.target, address, *number, room, poller, token);
        *number += 1;
        match opening {
            Ok(opening) => Ok(Slot::Opening(opening)),
            Err(error) if *number > 1 => bail!("after {} connections: {error:#}", *number - 1),
            Err(error) => Err(error),
        }
    }
}
