//! Many connections that all do the same, on one thread.

mod connection;
mod plan;

use std::{
    io, mem,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    fd::OwnedFd,
    io::Errno,
};

use stateroom_tests::dial;

use crate::address::attacker;

use self::connection::{Connection, Heard, Stage};
pub(crate) use self::plan::{Plan, text};

/// The maximum number of connections that are being opened at a time: fewer than wait in a server's queue.
const AT_A_TIME: usize = 100;
/// The size of the socket's buffer of a client that does not read. The system takes twice that.
const LITTLE: usize = 4096;
/// The time to wait for sockets before the clock is looked at.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// The connections.
pub(crate) struct Swarm {
    address: SocketAddr,
    plan: Plan,
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Vec<u8>,
    connections: Vec<Option<Connection>>,
    /// The number of connections that have been begun, those included that have come back.
    begun: usize,
    /// The number of connections that have neither got in nor been refused yet.
    opening: usize,
    /// Places whose connections are to be begun, or begun again.
    waiting: Vec<usize>,
    tally: Tally,
}

/// The counts of the connections' results.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    /// The number of connections that have got in.
    pub(crate) up: usize,
    /// The number of connections that got another answer.
    pub(crate) refused: usize,
    /// The number of connections that have ended after they had got in, or while they tried.
    pub(crate) ended: usize,
    /// The number of connections that have sent everything.
    pub(crate) said: usize,
    /// The number of bytes that have come for connections that are up.
    pub(crate) received: u64,
}

impl Swarm {
    pub(crate) fn new(address: SocketAddr, count: usize, plan: Plan) -> Result<Self, String> {
        let mut connections = Vec::new();
        connections.resize_with(count, || None);
        Ok(Self {
            address,
            plan,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(|error| error.to_string())?,
            events: Vec::with_capacity(1024),
            buffer: vec![0; 64 << 10],
            connections,
            begun: 0,
            opening: 0,
            waiting: (0..count).rev().collect(),
            tally: Tally::default(),
        })
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Goes on for so long.
    pub(crate) fn run(&mut self, time: Duration) -> Result<(), String> {
        self.run_until(time, |_| false)
    }

    /// Goes on until all have got in, or have been turned away, or do not get in within so long.
    pub(crate) fn enter(&mut self, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && (self.opening > 0 || !self.waiting.is_empty()) {
            self.step()?;
        }
        Ok(())
    }

    /// Goes on until that is so, or for so long.
    pub(crate) fn run_until(
        &mut self,
        time: Duration,
        is_over: impl Fn(&Tally) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline && !is_over(&self.tally) {
            self.step()?;
        }
        Ok(())
    }

    /// Sends bytes on one connection when it can. A connection that has gone sends nothing.
    pub(crate) fn say(&mut self, index: usize, bytes: impl Into<Arc<[u8]>>) {
        if let Some(connection) = &mut self.connections[index] {
            connection.say(bytes.into());
            self.advance(index, EventFlags::OUT);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.try_step().map_err(|error| format!("the attackers have a problem: {error}"))
    }

    fn try_step(&mut self) -> io::Result<()> {
        for _ in self.opening..AT_A_TIME {
            let Some(index) = self.waiting.pop() else { break };
            self.begin(index)?;
        }
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&PAUSE)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let events = mem::take(&mut self.events);
        for event in &events {
            self.advance({ event.data }.u64() as usize, event.flags);
        }
        self.events = events;
        Ok(())
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let from = if self.plan.is_from_one_address { Ipv4Addr::LOCALHOST } else { attacker(self.begun) };
        self.begun += 1;
        let socket = match dial(self.address, from, (!self.plan.is_reading).then_some(LITTLE)) {
            Ok(socket) => socket,
            // Ports come back, and a server that has gone does not.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable) =>
            {
                self.tally.ended += 1;
                self.waiting.insert(0, index);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        epoll::add(&self.epoll, &socket, EventData::new_u64(index as u64), EventFlags::OUT)?;
        let mut connection = Connection::new(socket, EventFlags::OUT);
        connection.say((self.plan.begin)(self.begun - 1).into());
        self.opening += 1;
        self.connections[index] = Some(connection);
        Ok(())
    }

    /// Does what a connection can do.
    fn advance(&mut self, index: usize, flags: EventFlags) {
        let Some(connection) = &mut self.connections[index] else { return };
        if connection.stage == Stage::Connecting {
            if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
                return self.end(index);
            }
            connection.stage = Stage::Asking;
            if !self.plan.is_client {
                self.up(index);
            }
        }
        let Some(connection) = &mut self.connections[index] else { return };
        if flags.contains(EventFlags::OUT) {
            match connection.write() {
                // A request is not what it came to say.
                Ok(true) if connection.stage == Stage::Up => self.tally.said += 1,
                Ok(_) => {}
                Err(_) => return self.end(index),
            }
        }
        let is_reading = self.plan.is_reading || connection.stage == Stage::Asking;
        if flags.contains(EventFlags::IN) && is_reading {
            match connection.read(&mut self.buffer) {
                Heard::Nothing => {}
                Heard::Bytes(count) => self.tally.received += count as u64,
                Heard::Joined => {
                    self.up(index);
                    return self.advance(index, EventFlags::OUT);
                }
                Heard::Refused => {
                    self.tally.refused += 1;
                    return self.leave(index);
                }
                Heard::End => return self.end(index),
            }
        } else if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            return self.end(index);
        }
        self.watch(index);
    }

    /// Notes that a connection has got to where it wanted.
    fn up(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else { return };
        connection.stage = Stage::Up;
        connection.say(Arc::clone(&self.plan.says));
        connection.is_repeating = self.plan.is_repeating;
        self.opening -= 1;
        self.tally.up += 1;
    }

    fn end(&mut self, index: usize) {
        self.tally.ended += 1;
        self.leave(index);
    }

    fn leave(&mut self, index: usize) {
        if self.connections[index].take().is_some_and(|connection| connection.stage != Stage::Up) {
            self.opening -= 1;
        }
        if self.plan.is_returning {
            self.waiting.push(index);
        }
    }

    /// Waits for what a connection can do next.
    fn watch(&mut self, index: usize) {
        let Some(connection) = &mut self.connections[index] else { return };
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, self.plan.is_reading || connection.stage == Stage::Asking);
        wanted.set(EventFlags::OUT, connection.has_something_to_say());
        if wanted != connection.watched {
            connection.watched = wanted;
            let data = EventData::new_u64(index as u64);
            if epoll::modify(&self.epoll, &connection.socket, data, wanted).is_err() {
                self.end(index);
            }
        }
    }
}
