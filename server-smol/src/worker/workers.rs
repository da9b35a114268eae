use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use smol::channel::{Receiver, Sender, bounded};

use crate::{
    close::CloseReason,
    journal::KeptRooms,
    room::{CreateRoomError, Renewals, RoomId, RoomStatus},
};

#[cfg(feature = "metrics")]
use crate::metrics::Snapshot;
#[cfg(feature = "rooms")]
use crate::room::{Action, Base, NotDone, NotImported, Presence};
#[cfg(feature = "built-in")]
use {
    crate::{
        requests::{Body, EventSender, event_stream},
        settings::EVENT_STREAMS,
    },
    hyper::Response,
    std::sync::{Mutex, MutexGuard, PoisonError},
};

#[cfg(feature = "rooms")]
use super::RemoteCharge;
use super::{Command, Counts};

/// The workers of all threads.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    commands: Vec<Sender<Command>>,
    /// Spreads rooms over the workers. Its keys are random: a client that chooses ids cannot choose the thread.
    hasher: RandomState,
    /// The rooms on disk, if rooms are kept, and as soon as they have been recovered.
    kept_rooms: Arc<OnceLock<KeptRooms>>,
    phase: Arc<AtomicU8>,
    /// The numbers of each thread that has taken its last command: those of a server never get smaller.
    #[cfg(feature = "metrics")]
    last: Arc<[OnceLock<Snapshot>]>,
    /// The streams of events that clients listen to. Nothing if the server is ending.
    #[cfg(feature = "built-in")]
    streams: Arc<Mutex<Option<Vec<EventSender>>>>,
}

/// The reason why there is no further stream of events.
#[cfg(feature = "built-in")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoStream {
    TooMany,
    Ending,
}

/// The maximum number of rooms on a page: the thread of rooms serves nobody while it lists them.
pub(crate) const MOST_LISTED: usize = 1_000;

/// The phases of a server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Rooms on disk are being recovered. Requests wait.
    Starting,
    Ready,
    Ending,
    /// Like [`Ready`](Self::Ready), but all rooms wait for space on the disk.
    Stalled,
}

/// The server is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending;

impl Workers {
    pub(crate) fn new(commands: Vec<Sender<Command>>) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            last: commands.iter().map(|_| OnceLock::new()).collect(),
            commands,
            hasher: RandomState::new(),
            kept_rooms: Arc::default(),
            phase: Arc::new(AtomicU8::new(Phase::Starting as u8)),
            #[cfg(feature = "built-in")]
            streams: Arc::new(Mutex::new(Some(Vec::new()))),
        }
    }

    /// Notes that the rooms on disk have been recovered, if rooms are kept, and that the server is ready.
    pub(crate) fn begin(&self, kept_rooms: Option<KeptRooms>) {
        // Nobody has set it before.
        kept_rooms.into_iter().for_each(|kept_rooms| _ = self.kept_rooms.set(kept_rooms));
        self.phase.store(Phase::Ready as u8, Ordering::Release);
    }

    /// Returns the phase that the server is in.
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 if self.kept_rooms.get().is_some_and(KeptRooms::is_stalled) => Phase::Stalled,
            1 => Phase::Ready,
            _ => Phase::Ending,
        }
    }

    /// Returns true if no worker answers any more, because all of them are ending.
    pub(crate) fn are_silent(&self) -> bool {
        self.commands.iter().all(Sender::is_closed)
    }

    /// Returns the rooms on disk, if rooms are kept.
    #[cfg(any(feature = "rooms", feature = "metrics"))]
    pub(crate) fn kept_rooms(&self) -> Option<&KeptRooms> {
        self.kept_rooms.get()
    }

    /// Returns the number of the worker that a room lives with.
    pub(crate) fn home(&self, room: &RoomId) -> usize {
        let hash = self.hasher.hash_one(room);
        // The remainder is less than the number of workers, of which there is at least one.
        (hash % self.commands.len() as u64) as usize
    }

    /// Tells the worker with this number to do something that is not answered.
    pub(crate) fn tell(&self, number: usize, command: Command) -> Result<(), Ending> {
        self.commands[number].try_send(command).map_err(|_| Ending)
    }

    /// Tells all other workers to end an empty room, one after the other, until there is space.
    pub(crate) fn end_empty_room_elsewhere(&self, number: usize) {
        let others = self.commands.iter().enumerate().filter(|(other, _)| *other != number);
        others.for_each(|(_, worker)| _ = worker.try_send(Command::EndEmptyRoom));
    }

    /// Tells all workers to end, and to close their clients with this reason.
    pub(crate) fn end(&self, reason: &CloseReason) {
        self.phase.store(Phase::Ending as u8, Ordering::Release);
        // Fails only where one has ended already.
        self.commands.iter().for_each(|worker| _ = worker.try_send(Command::End(reason.clone())));
        // The threads would wait for them.
        #[cfg(feature = "built-in")]
        self.lock_streams().take().iter().flatten().for_each(EventSender::close);
    }

    /// Makes a response that goes on until the server ends, and the sender of what is in it.
    #[cfg(feature = "built-in")]
    pub(crate) fn open_stream(&self) -> Result<(EventSender, Response<Body>), NoStream> {
        let mut streams = self.lock_streams();
        let streams = streams.as_mut().ok_or(NoStream::Ending)?;
        streams.retain(|stream| !stream.is_closed());
        if streams.len() >= EVENT_STREAMS {
            return Err(NoStream::TooMany);
        }
        let (sender, response) = event_stream();
        streams.push(sender.clone());
        Ok((sender, response))
    }

    #[cfg(feature = "built-in")]
    fn lock_streams(&self) -> MutexGuard<'_, Option<Vec<EventSender>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends records of what happens in a room from now on.
    #[cfg(feature = "built-in")]
    pub(crate) fn trace(&self, room: RoomId, sender: EventSender) {
        // Where the server is ending, so is the stream.
        _ = self.tell(self.home(&room), Command::Trace(room, sender));
    }

    /// Creates a room that does not exist.
    pub(crate) async fn create(&self, room: &RoomId) -> Result<Result<(), CreateRoomError>, Ending> {
        ask(&self.commands[self.home(room)], |answer| Command::Create(room.clone(), answer)).await
    }

    /// Returns whether a room exists.
    pub(crate) async fn exists(&self, room: &RoomId) -> Result<bool, Ending> {
        let exists =
            ask(&self.commands[self.home(room)], |answer| Command::Exists(room.clone(), answer)).await?;
        Ok(exists != Ok(false))
    }

    /// Returns what is known of a room.
    #[cfg(feature = "rooms")]
    pub(crate) async fn find(&self, room: &RoomId) -> Result<Presence, Ending> {
        ask(&self.commands[self.home(room)], |answer| Command::Find(room.clone(), answer)).await
    }

    /// Charges memory that another thread takes for a room from elsewhere.
    #[cfg(feature = "rooms")]
    pub(crate) async fn charge(&self, bytes: usize) -> Result<Option<RemoteCharge>, Ending> {
        ask(&self.commands[0], |answer| Command::Charge(bytes, answer)).await
    }

    /// Does in a room what the operator wants. Returns the number of clients that it concerns.
    #[cfg(feature = "rooms")]
    pub(crate) async fn act(&self, room: &RoomId, action: Action) -> Result<Result<usize, NotDone>, Ending> {
        ask(&self.commands[self.home(room)], |answer| Command::Act(room.clone(), action, answer)).await
    }

    /// Adds a room that comes from elsewhere.
    #[cfg(feature = "rooms")]
    pub(crate) async fn import(&self, room: &RoomId, base: Base) -> Result<Result<(), NotImported>, Ending> {
        ask(&self.commands[self.home(room)], |answer| Command::Import(room.clone(), base, answer)).await
    }

    /// Ends a room. Answers whether there was one, or why it cannot be deleted from the disk.
    pub(crate) async fn close(&self, room: &RoomId) -> Result<Result<bool, String>, Ending> {
        let worker = &self.commands[self.home(room)];
        // The room's thread may wait for the space that this makes.
        if let Some(kept_rooms) = self.kept_rooms.get().filter(|kept_rooms| kept_rooms.is_stalled()) {
            let deleted = kept_rooms.delete(room.as_str()).await;
            if deleted == Ok(true) {
                // If it is in memory, its clients are closed as soon as that is possible.
                worker.try_send(Command::Close(room.clone(), bounded(1).0)).map_err(|_| Ending)?;
            }
            return Ok(deleted);
        }
        ask(worker, |answer| Command::Close(room.clone(), answer)).await
    }

    /// Returns the recording of a room, if there is one.
    pub(crate) async fn recording(&self, room: &RoomId) -> Result<Option<Vec<u8>>, Ending> {
        ask(&self.commands[self.home(room)], |answer| Command::Recording(room.clone(), answer)).await
    }

    /// Tells all workers to renew their rooms.
    pub(crate) fn begin_renewal(&self) -> OngoingRenewal {
        let begin = |worker: &Sender<Command>| {
            let (sender, answer) = bounded(1);
            // If the worker has ended, the sender is dropped, and the answer says so.
            let _ = worker.try_send(Command::Renew(sender));
            answer
        };
        OngoingRenewal(self.commands.iter().map(begin).collect())
    }

    /// Returns the counts of all threads. Those that have ended have nothing.
    pub(crate) async fn counts(&self) -> Result<Counts, Ending> {
        let mut counts = Err(Ending);
        for worker in &self.commands {
            add(&mut counts, ask(worker, Command::Count).await);
        }
        counts
    }

    /// Notes what has happened on a thread that answers nothing more.
    #[cfg(feature = "metrics")]
    pub(crate) fn note_last(&self, number: usize, snapshot: Snapshot) {
        self.last.get(number).into_iter().for_each(|last| _ = last.set(snapshot.clone()));
    }

    /// Returns the counts of all threads, those of what there is and those since the start.
    #[cfg(feature = "metrics")]
    pub(crate) async fn measure(&self) -> Result<(Counts, Snapshot), Ending> {
        let (mut counts, mut snapshot) = (Err(Ending), Snapshot::default());
        for (worker, last) in self.commands.iter().zip(&*self.last) {
            let measured = ask(worker, Command::Measure).await;
            if measured.is_err()
                && let Some(last) = last.get()
            {
                snapshot += last.clone();
            }
            add(
                &mut counts,
                measured.map(|(there, since_start)| {
                    snapshot += since_start;
                    there
                }),
            );
        }
        Ok((counts?, snapshot))
    }

    /// Returns up to `most` rooms after the one with this id, in the order of their ids. There is at most one more than
    /// [`MOST_LISTED`], from which the caller sees that there is another page.
    pub(crate) async fn list(&self, after: Option<&RoomId>, most: usize) -> Result<Vec<RoomStatus>, Ending> {
        let most = most.min(MOST_LISTED + 1);
        let (mut rooms, mut has_answer) = (Vec::new(), false);
        for worker in &self.commands {
            let listed = ask(worker, |answer| Command::List(after.cloned(), most, answer)).await;
            has_answer |= listed.is_ok();
            for room in listed.unwrap_or_default() {
                let index = rooms.partition_point(|other: &RoomStatus| other.id < room.id);
                rooms.insert(index, room);
            }
        }
        rooms.truncate(most);
        has_answer.then_some(rooms).ok_or(Ending)
    }
}

/// A renewal of the rooms of all workers. It continues if this is dropped.
#[derive(Debug)]
pub(crate) struct OngoingRenewal(Vec<Receiver<Renewals>>);

impl OngoingRenewal {
    /// Waits until all rooms are renewed.
    pub(crate) async fn finish(self) -> Result<Renewals, Ending> {
        let mut renewals = Renewals::default();
        for answer in self.0 {
            renewals += answer.recv().await.map_err(|_| Ending)?;
        }
        Ok(renewals)
    }
}

/// Adds the counts of a thread, if it has not ended.
fn add(counts: &mut Result<Counts, Ending>, there: Result<Counts, Ending>) {
    match (counts, there) {
        (Ok(counts), Ok(there)) => *counts += there,
        (counts, Ok(there)) => *counts = Ok(there),
        (_, Err(Ending)) => {}
    }
}

/// Asks a worker.
async fn ask<T>(worker: &Sender<Command>, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, Ending> {
    let (sender, answer): (_, Receiver<T>) = bounded(1);
    worker.send(command(sender)).await.map_err(|_| Ending)?;
    answer.recv().await.map_err(|_| Ending)
}

#[cfg(all(test, feature = "metrics"))]
mod tests {
    use std::thread;

    use smol::{block_on, channel::unbounded};

    use super::*;

    #[test]
    fn what_has_happened_on_a_thread_that_has_ended_still_counts() {
        let ((ended, _), (answering, commands)) = (unbounded(), unbounded());
        let workers = Workers::new(vec![ended, answering]);
        let events = |events| {
            let mut snapshot = Snapshot::default();
            snapshot.events = events;
            snapshot
        };
        let answering = thread::spawn(move || {
            while let Ok(command) = commands.recv_blocking() {
                if let Command::Measure(answer) = command {
                    answer.try_send((Counts::default(), events(2))).expect("somebody waits");
                }
            }
        });
        workers.note_last(0, events(5));
        // It does not count while the thread answers.
        workers.note_last(1, events(3));
        assert_eq!(block_on(workers.measure()).expect("one answers").1.events, 7);
        drop(workers);
        answering.join().expect("it ends");
    }
}
