use std::{fmt, sync::Arc};

use stateroom_core::engine::{Engine, EngineContext, Event, Hibernation, Progress, Renewal};
use stateroom_host_min::{OwnedEvent, RecordsPosition, Room, Step, Trap};

use super::{
    deployment::Release,
    recorder::Recorder,
    recordings::{Recordings, RoomRecording},
};

/// A room that runs a guest, whose program can be replaced.
#[derive(Debug)]
pub(crate) struct GuestRoom {
    room: Room,
    release: Arc<Release>,
    /// Nothing if the room is not recorded.
    recorder: Option<Box<Recorder>>,
    replay: Option<Box<Replay>>,
}

/// A room of another program, while it has all events of the present one.
#[derive(Debug)]
struct Replay {
    room: Room,
    release: Arc<Release>,
    recording: RoomRecording,
    /// The number of events up to now, and the place behind them.
    events: u64,
    position: RecordsPosition,
}

impl GuestRoom {
    pub(super) fn new(
        release: Arc<Release>,
        id: &str,
        recordings: &Arc<Recordings>,
        context: &impl EngineContext,
    ) -> Result<Self, Trap> {
        let seed = seed(context);
        let mut room = release.program.room(id, seed)?;
        let recorder = Recorder::new(recordings, &mut room, &release.program, seed, context);
        Ok(Self { room, release, recorder: recorder.map(Box::new), replay: None })
    }

    /// Does a step towards running this release.
    pub(super) fn renew(&mut self, release: &Arc<Release>, context: &impl EngineContext) -> Renewal {
        if Arc::ptr_eq(&self.release, release) {
            return Renewal::Unchanged;
        }
        // There may be another one in the meantime.
        if let Some(replay) = self.replay.take_if(|replay| Arc::ptr_eq(&replay.release, release)) {
            return self.go_on(replay, context);
        }
        self.replay = None;
        let Some(recording) = self.recorder.as_ref().and_then(|recorder| recorder.memory()) else {
            return Renewal::Kept;
        };
        match recording.whole_since() {
            Some(seed) if !release.is_reset => {
                let recording = recording.restarted(seed);
                match new_room(release, self.room.id(), seed) {
                    Ok(room) => {
                        let release = Arc::clone(release);
                        let position = RecordsPosition::default();
                        let replay = Replay { room, release, recording, events: 0, position };
                        self.go_on(Box::new(replay), context)
                    }
                    Err(trap) => keep(&trap, context),
                }
            }
            _ => {
                if !release.is_reset {
                    context.warn(&"its recording does not go back to its begin, so it starts afresh");
                }
                self.start_afresh(release, context)
            }
        }
    }

    /// Hands in the next event, or goes on with it.
    fn go_on(&mut self, mut replay: Box<Replay>, context: &impl EngineContext) -> Renewal {
        let recording = self.recorder.as_ref().and_then(|recorder| recorder.memory());
        let is_between = replay.room.last() != Ok(Step::Suspended);
        let recorded = recording.filter(|_| is_between).and_then(|recording| recording.next(replay.position));
        // The outcome is read below.
        match &recorded {
            Some((record, position)) => {
                (replay.events, replay.position) = (replay.events + 1, *position);
                let _ = record.begin(&mut replay.room);
            }
            None if !is_between => _ = replay.room.resume(),
            None => return self.take_over(*replay, context),
        }
        match replay.room.last() {
            Ok(Step::Suspended) => {}
            Ok(_) => {
                let records = replay.room.take_records();
                replay.recording.add(&records, &replay.room);
            }
            Err(trap) => {
                let event =
                    recorded.map_or_else(String::new, |(record, _)| format!(" ({})", kind(&record.event)));
                let number = replay.events;
                context.warn(&format_args!(
                    "the new version does not get through the events up to now, so the room starts afresh: event {number}{event}: {trap}"
                ));
                return self.start_afresh(&replay.release, context);
            }
        }
        self.replay = Some(replay);
        Renewal::Unfinished
    }

    /// Runs the room that has had all events, from now on.
    fn take_over(&mut self, replay: Replay, context: &impl EngineContext) -> Renewal {
        let Replay { room, release, recording, .. } = replay;
        let delay = room.timer_due().map_or(0, |due| {
            // What is overdue is due at once.
            u32::try_from(due.saturating_sub(context.now_ms()).max(1)).unwrap_or(u32::MAX)
        });
        context.set_timer(delay);
        (self.room, self.release) = (room, release);
        if let Some(recorder) = &mut self.recorder {
            recorder.go_on(recording, &self.room, &self.release.program, context);
        }
        Renewal::Replayed
    }

    /// Runs a new room from now on.
    fn start_afresh(&mut self, release: &Arc<Release>, context: &impl EngineContext) -> Renewal {
        let seed = seed(context);
        match new_room(release, self.room.id(), seed) {
            Ok(room) => {
                context.set_timer(0);
                (self.room, self.release) = (room, Arc::clone(release));
                if let Some(recorder) = &mut self.recorder {
                    recorder.restart(self.room.id(), &self.release.program, seed, context);
                }
                Renewal::Fresh
            }
            Err(trap) => keep(&trap, context),
        }
    }

    pub(super) fn cancel_renewal(&mut self) {
        self.replay = None;
    }

    /// Keeps the records of the last event.
    #[cold]
    fn record(&mut self, context: &impl EngineContext) {
        if let Some(recorder) = &mut self.recorder {
            recorder.add_records(&mut self.room, &self.release.program, context);
        }
    }
}

impl Engine for GuestRoom {
    #[inline]
    fn begin(&mut self, event: Event<'_>, context: &impl EngineContext) {
        Engine::begin(&mut self.room, event, context);
    }

    #[inline]
    fn advance(&mut self, context: &impl EngineContext) -> Progress<'_> {
        if self.recorder.is_none() {
            return self.room.advance(context);
        }
        if matches!(self.room.advance(context), Progress::Unfinished) {
            return Progress::Unfinished;
        }
        self.record(context);
        // Of an event that is over, this is the result again.
        self.room.advance(context)
    }

    #[inline]
    fn memory_held(&self) -> usize {
        let replay = self.replay.as_ref().map_or(0, |replay| replay.room.memory_held());
        self.room.memory_held() + replay
    }

    fn fuel_used(&self) -> Option<u64> {
        Engine::fuel_used(&self.room)
    }

    fn reclaimable(&self) -> usize {
        self.room.reclaimable()
    }

    fn recording(&self, write: &mut dyn FnMut(&[u8])) -> bool {
        let recording = self.recorder.as_ref().and_then(|recorder| recorder.memory());
        let file = recording.and_then(|recording| recording.file(&self.release.program, self.room.id()));
        file.iter().for_each(|file| write(file));
        file.is_some()
    }

    fn hibernate(&mut self) -> Hibernation {
        Engine::hibernate(&mut self.room)
    }
}

fn new_room(release: &Release, id: &str, seed: [u8; 32]) -> Result<Room, Trap> {
    let mut room = release.program.room(id, seed)?;
    room.start_recording();
    Ok(room)
}

fn seed(context: &impl EngineContext) -> [u8; 32] {
    let mut seed = [0; 32];
    context.random(&mut seed);
    seed
}

fn keep(reason: &impl fmt::Display, context: &impl EngineContext) -> Renewal {
    context.warn(&format_args!("it stays on its present version: {reason}"));
    Renewal::Kept
}

/// Returns the kind of an event, and its client.
fn kind(event: &OwnedEvent) -> String {
    match event {
        OwnedEvent::Init => "init".to_owned(),
        OwnedEvent::Connect(client, _) => format!("connect of client {}", client.0),
        OwnedEvent::Disconnect(client) => format!("disconnect of client {}", client.0),
        OwnedEvent::Text(client, _) | OwnedEvent::Bytes(client, _) => {
            format!("message of client {}", client.0)
        }
        OwnedEvent::Timer => "timer".to_owned(),
    }
}
