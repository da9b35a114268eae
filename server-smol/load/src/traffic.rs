use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    connection::{Close, Connection, Filled},
    crowd::Crowd,
    histogram::Histogram,
    ledger::{Faults, Ledger, Shape},
    mark::Mark,
    meter::Meter,
    process::Process,
    schedule::Schedule,
};

/// The messages to send, and the times.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    /// The maximum number of messages of one sender that are not delivered yet.
    pub(crate) window: usize,
    /// The size of a message.
    pub(crate) size: usize,
    /// The kind of frame.
    pub(crate) opcode: u8,
    /// The number of messages a second, of all senders together; `None` for as many as possible.
    pub(crate) rate: Option<u64>,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) patience: Duration,
    pub(crate) process: Option<Process>,
}

/// The results of the run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The messages that were sent and that arrived while it was measured.
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    /// True if no message has ever come back, neither before nor after the measured time.
    pub(crate) is_silent: bool,
    pub(crate) unsent: u64,
    pub(crate) others: u64,
    pub(crate) latency: Histogram,
    pub(crate) faults: Faults,
    pub(crate) meter: Meter,
}

/// The time after which an unanswered call is repeated.
const CALL: Duration = Duration::from_millis(50);
/// The time that a server has to answer the close frames.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends messages in a loop: when a message has arrived, the next one is sent.
#[derive(Debug)]
pub(crate) struct Traffic<'a> {
    plan: &'a Plan,
    crowd: Crowd,
    begin: Instant,
    /// The end of each message.
    filler: Vec<u8>,
    ledger: Ledger,
    schedule: Option<Schedule>,
    is_sending: bool,
    tally: Tally,
    /// The senders that may send. The list is used again.
    freed: Vec<usize>,
}

/// The counts of the time that is measured.
#[derive(Debug, Default)]
struct Tally {
    messages: u64,
    deliveries: u64,
    others: u64,
    latency: Histogram,
    /// Messages from before this are not in the histogram.
    since: u64,
}

impl<'a> Traffic<'a> {
    /// Creates it for connections that have joined their rooms.
    pub(crate) fn new(plan: &'a Plan, crowd: Crowd) -> Self {
        Self {
            plan,
            crowd,
            begin: Instant::now(),
            filler: vec![b'.'; plan.size - Mark::SIZE],
            ledger: Ledger::new(plan.shape),
            schedule: plan.rate.map(|rate| Schedule::new(rate, plan.shape.senders())),
            is_sending: true,
            tally: Tally::default(),
            freed: Vec::new(),
        }
    }

    /// Runs it to its end. This is at most `patience` after the measured time.
    pub(crate) fn run(mut self) -> Result<Outcome> {
        if self.plan.shape.clients > 1 {
            self.gather()?;
        }
        self.begin = Instant::now();
        let warm = self.begin + self.plan.warmup;
        let end = warm + self.plan.duration;
        for sender in 0..self.plan.shape.senders() {
            self.send(sender, 0)?;
        }
        self.pass(warm)?;
        self.tally = Tally { since: self.now(), ..Tally::default() };
        let mut meter = Meter::start(self.plan.process)?;
        let owed = self.sent();
        let due = self.schedule.as_ref().map_or(0, Schedule::due);

        self.pass(end)?;
        meter.stop()?;
        self.is_sending = false;
        let (messages, deliveries) = (self.tally.messages, self.tally.deliveries);
        let late = self
            .schedule
            .as_ref()
            .map_or(0, |schedule| (schedule.due() - due).saturating_sub(self.sent() - owed));

        let end = Instant::now() + self.plan.patience;
        while !self.ledger.is_settled() && !self.ledger.is_hopeless() && Instant::now() < end {
            self.step(end)?;
        }
        let Self { crowd, ledger, tally, filler, begin, .. } = &mut self;
        // Messages before the server's close frame must also be correct.
        crowd.leave(Instant::now() + FAREWELL, |hearer, message| {
            tally.take(ledger, filler, hearer, message, begin.elapsed().as_nanos() as u64);
        })?;
        Ok(Outcome {
            messages,
            deliveries,
            is_silent: self.ledger.is_silent(),
            unsent: late,
            others: self.tally.others,
            faults: self.ledger.faults(),
            latency: self.tally.latency,
            meter,
        })
    }

    fn now(&self) -> u64 {
        // Five hundred years of nanoseconds.
        self.begin.elapsed().as_nanos() as u64
    }

    fn sent(&self) -> u64 {
        (0..self.plan.shape.senders()).map(|sender| u64::from(self.ledger.sent(sender))).sum()
    }

    /// Repeats a message of the first sender in each room until all clients of the room receive it. A server
    /// may accept a connection first, and put the client into the room later.
    fn gather(&mut self) -> Result<()> {
        let shape = self.plan.shape;
        let end = Instant::now() + self.plan.patience;
        let mut present: Vec<_> =
            (0..shape.connections()).map(|one| shape.except_sender && one % shape.clients == 0).collect();
        let mut missing = present.iter().filter(|present| !**present).count();
        while missing > 0 {
            for (group, present) in present.chunks(shape.clients).enumerate() {
                if present.contains(&false) {
                    let caller = group * shape.clients;
                    let call = Mark { sender: caller as u32, number: Mark::CALL };
                    let caller = &mut self.crowd.connections[caller];
                    caller.queue(self.plan.opcode, &call.to_bytes(), &self.filler);
                    caller.flush(&self.crowd.poller)?;
                }
            }
            let again = Instant::now() + CALL;
            while missing > 0 && Instant::now() < again {
                let ready = self.crowd.wait(again)?;
                for &hearer in &ready {
                    self.hear(hearer, |_, message| {
                        let called = Mark::read(message).is_some_and(|(mark, _)| {
                            mark.number == Mark::CALL
                                && mark.sender as usize / shape.clients == hearer / shape.clients
                        });
                        if called && !present[hearer] {
                            present[hearer] = true;
                            missing -= 1;
                        }
                    })?;
                }
                self.crowd.keep(ready);
            }
            ensure!(
                missing == 0 || Instant::now() < end,
                "{missing} of {} clients do not hear the first client of their room: is this a service that sends \
                 what it is sent to everyone?",
                shape.connections()
            );
        }
        Ok(())
    }

    /// Continues until `end`.
    fn pass(&mut self, end: Instant) -> Result<()> {
        while Instant::now() < end {
            if self.ledger.is_hopeless() {
                bail!("{}", described(&self.ledger.faults()));
            }
            let next =
                self.schedule.as_ref().map(|schedule| self.begin + Duration::from_nanos(schedule.next()));
            self.step(next.map_or(end, |next| next.min(end)))?;
            let now = self.now();
            while let Some(sender) = self.schedule.as_mut().and_then(|schedule| schedule.pop(now)) {
                self.send(sender, now)?;
            }
        }
        Ok(())
    }

    /// Waits for messages until `deadline`. Senders whose messages have arrived send again.
    fn step(&mut self, deadline: Instant) -> Result<()> {
        let ready = self.crowd.wait(deadline)?;
        for &hearer in &ready {
            let mut now = None;
            let begin = self.begin;
            self.hear(hearer, |this, message| {
                // Messages of one read have the same arrival time.
                let now = *now.get_or_insert_with(|| begin.elapsed().as_nanos() as u64);
                this.freed.extend(this.tally.take(this.ledger, this.filler, hearer, message, now));
            })?;
            let now = now.unwrap_or_default();
            let mut freed = std::mem::take(&mut self.freed);
            for sender in freed.drain(..) {
                self.send(sender, now)?;
            }
            self.freed = freed;
        }
        self.crowd.keep(ready);
        Ok(())
    }

    /// Reads a connection, and answers the server's pings.
    fn hear(&mut self, hearer: usize, mut each: impl FnMut(Books<'_>, &[u8])) -> Result<()> {
        let connection = &mut self.crowd.connections[hearer];
        let close = match connection.fill(&mut self.crowd.buffer) {
            Filled::Nothing => None,
            Filled::End => Some(Close::ABNORMAL),
            Filled::Bytes(count) => {
                let (tally, ledger, filler, freed) =
                    (&mut self.tally, &mut self.ledger, &self.filler, &mut self.freed);
                connection.hear(&self.crowd.buffer[..count], |message| {
                    each(Books { tally, ledger, filler, freed }, message);
                })?
            }
        };
        match close {
            Some(close) => bail!("the server has closed connection {hearer} ({close})"),
            None => connection.flush(&self.crowd.poller).context("cannot send any more"),
        }
    }

    /// Sends the messages that a sender may send.
    fn send(&mut self, sender: usize, now: u64) -> Result<()> {
        let connection: &mut Connection = &mut self.crowd.connections[self.plan.shape.connection(sender)];
        while self.is_sending && self.ledger.outstanding(sender) < self.plan.window {
            let at = match &self.schedule {
                Some(schedule) => schedule.time(sender, self.ledger.sent(sender)),
                None => now,
            };
            if at > now {
                break;
            }
            ensure!(self.ledger.sent(sender) < Mark::CALL, "there are no numbers left for more messages");
            let mark = self.ledger.send(sender, at);
            connection.queue(self.plan.opcode, &mark.to_bytes(), &self.filler);
            self.tally.messages += 1;
        }
        connection.flush(&self.crowd.poller).context("cannot send any more")
    }
}

/// The records to which a message is added.
struct Books<'a> {
    tally: &'a mut Tally,
    ledger: &'a mut Ledger,
    filler: &'a [u8],
    freed: &'a mut Vec<usize>,
}

impl Tally {
    /// Records a message that has arrived now. Returns the sender that may send another one.
    fn take(
        &mut self,
        ledger: &mut Ledger,
        filler: &[u8],
        hearer: usize,
        message: &[u8],
        now: u64,
    ) -> Option<usize> {
        let Some((mark, rest)) = Mark::read(message) else {
            self.others += 1;
            return None;
        };
        if mark.number == Mark::CALL {
            return None;
        }
        if rest != filler {
            ledger.altered();
            return None;
        }
        let arrival = ledger.arrive(hearer, mark);
        if let Some(at) = arrival.at {
            self.deliveries += 1;
            if at >= self.since {
                self.latency.record(now.saturating_sub(at));
            }
        }
        arrival.freed
    }
}

/// The faults as a text.
pub(crate) fn described(faults: &Faults) -> String {
    let Faults { missing, duplicate, reordered, altered } = *faults;
    let kinds = [
        (missing, "missing"),
        (duplicate, "there more than once"),
        (reordered, "out of order"),
        (altered, "changed or for somebody else"),
    ];
    let kinds =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} are {kind}"));
    format!(
        "the server has not delivered what it was sent: of the deliveries, {}",
        kinds.collect::<Vec<_>>().join(", ")
    )
}
