use std::{fmt, sync::Arc};

use stateroom_core::{
    ClientId,
    engine::{Durable, Engine, EngineContext, Event, Hibernation, Progress, Renewal, Replayed, Restoration},
};
use stateroom_host_min::{Migration, OwnedEvent, RecordsPosition, Room, Step, Trap};

use crate::settings::Upgrade;

use super::{
    deployment::{Deployed, Release},
    durable::{self, DurableState},
    recording::{BoxedRecorder, Recorder, Recordings, RoomRecording},
};

/// A room that runs a guest, whose program can be replaced.
#[derive(Debug)]
pub(crate) struct GuestRoom {
    room: Room,
    release: Deployed,
    /// Nothing if the room is not recorded.
    recorder: Option<BoxedRecorder>,
    /// Nothing if the room is not kept on disk.
    durability: Option<Box<DurableState>>,
    renewal: Option<Box<Ongoing>>,
}

/// A renewal that is not finished.
#[derive(Debug)]
enum Ongoing {
    Migration(Migration, Arc<Release>),
    Replay(Replay),
}

/// A room of another program, while it has all events of the present one.
#[derive(Debug)]
struct Replay {
    room: Room,
    release: Arc<Release>,
    recording: RoomRecording,
    /// The number of events up to now, and the places before and behind the last one.
    events: u64,
    before: RecordsPosition,
    position: RecordsPosition,
}

impl GuestRoom {
    pub(super) fn new(
        release: &Arc<Release>,
        id: &str,
        recordings: &Arc<Recordings>,
        is_durable: bool,
        context: &impl EngineContext,
    ) -> Result<Self, Trap> {
        let seed = seed(context);
        let mut room = release.program.room(id, seed)?;
        let recorder = Recorder::new(recordings, &mut room, &release.program, seed, context);
        let durability = is_durable.then(|| DurableState::of_new(&mut room, seed));
        let release = Deployed::new(release);
        Ok(Self { room, release, recorder, durability, renewal: None })
    }

    /// Makes a room that is to have the events of `records` again. Its recording in memory begins with a snapshot when it has had
    /// them.
    pub(super) fn restored(release: &Arc<Release>, room: Room, records: &[u8]) -> Self {
        let durability = Some(DurableState::of_restored(records));
        let release = Deployed::new(release);
        Self { room, release, recorder: None, durability, renewal: None }
    }

    /// Does a step towards running this release.
    pub(super) fn renew(
        &mut self,
        release: &Arc<Release>,
        upgrade: Upgrade,
        context: &impl EngineContext,
    ) -> Renewal {
        if self.release.is(release) {
            return Renewal::Unchanged;
        }
        // There may be another one in the meantime.
        let ongoing = self.renewal.take().filter(|ongoing| Arc::ptr_eq(ongoing.release(), release));
        match ongoing.map(|ongoing| *ongoing) {
            Some(Ongoing::Migration(migration, release)) => self.migrate(migration, release, context),
            Some(Ongoing::Replay(replay)) => self.replay(replay, upgrade, context),
            None => self.begin_renewal(release, upgrade, context),
        }
    }

    /// Returns whether the guest can take its state into this release, if it is another one.
    pub(super) fn can_migrate(&self, release: &Arc<Release>) -> bool {
        !self.release.is(release) && self.release.program().saves_state() && release.program.loads_state()
    }

    /// Chooses the way of the room into another release.
    fn begin_renewal(
        &mut self,
        release: &Arc<Release>,
        upgrade: Upgrade,
        context: &impl EngineContext,
    ) -> Renewal {
        let recording = self.recorder.as_ref().and_then(|recorder| recorder.memory());
        if release.is_reset {
            // Without either, nobody knows what the clients brought when they connected.
            let is_possible = recording.is_some() || upgrade == Upgrade::Reset;
            return if is_possible { self.start_afresh(release, context) } else { Renewal::Kept };
        }
        if self.can_migrate(release) {
            let migration = Migration::begin(&self.room, &release.program, seed(context), context.now_ms());
            return match migration {
                Ok(migration) => self.migrate(migration, Arc::clone(release), context),
                Err(error) => keep(&error, context),
            };
        }
        match recording.and_then(|recording| Some((recording.whole_since()?, recording))) {
            Some((seed, recording)) => {
                let recording = recording.replayed(seed);
                match new_room(release, self.room.id(), seed) {
                    Ok(room) => {
                        let (release, position) = (Arc::clone(release), RecordsPosition::default());
                        let replay =
                            Replay { room, release, recording, events: 0, before: position, position };
                        self.replay(replay, upgrade, context)
                    }
                    Err(trap) => keep(&trap, context),
                }
            }
            None if recording.is_some() => {
                self.give_in(release, upgrade, &"its recording is not complete", context)
            }
            None if upgrade == Upgrade::Keep => Renewal::Kept,
            None => self.start_afresh(release, context),
        }
    }

    /// Continues with the guest's own way, of saving and loading its state.
    fn migrate(
        &mut self,
        mut migration: Migration,
        release: Arc<Release>,
        context: &impl EngineContext,
    ) -> Renewal {
        match migration.advance(&self.room) {
            Ok(None) => {
                self.renewal = Some(Box::new(Ongoing::Migration(migration, release)));
                Renewal::Unfinished
            }
            Ok(Some(mut room)) => {
                if self.is_recorded() {
                    room.start_recording();
                }
                // The timer goes on as it was. If `load` has set it, that is an effect.
                (self.room, self.release) = (room, Deployed::new(&release));
                if let Some(recorder) = &mut self.recorder {
                    recorder.go_on_from_snapshot(&mut self.room, self.release.program(), context);
                }
                Renewal::Loaded
            }
            Err(error) => keep(&error, context),
        }
    }

    /// Hands in the next recorded event, or continues with it.
    fn replay(&mut self, mut replay: Replay, upgrade: Upgrade, context: &impl EngineContext) -> Renewal {
        let recording = self.recorder.as_ref().and_then(|recorder| recorder.memory());
        let is_between = replay.room.last() != Ok(Step::Suspended);
        let recorded = recording.filter(|_| is_between).and_then(|recording| recording.next(replay.position));
        // The outcome is read below.
        match &recorded {
            Some((record, position)) => {
                replay.events += 1;
                (replay.before, replay.position) = (replay.position, *position);
                let _ = record.begin(&mut replay.room);
            }
            None if !is_between => _ = replay.room.resume(),
            None => return self.take_over(replay, context),
        }
        match replay.room.last() {
            Ok(Step::Suspended) => {}
            Ok(_) => {
                let records = replay.room.take_records();
                replay.recording.add(&records, &replay.room);
            }
            Err(trap) => {
                // It may have begun some slices before.
                let event = recording.and_then(|recording| recording.next(replay.before));
                let event =
                    event.map_or_else(String::new, |(record, _)| format!(" ({})", kind(&record.event)));
                let number = replay.events;
                let reason =
                    format_args!("event {number} of its recording{event} fails in the new module: {trap}");
                return self.give_in(&replay.release, upgrade, &reason, context);
            }
        }
        self.renewal = Some(Box::new(Ongoing::Replay(replay)));
        Renewal::Unfinished
    }

    /// Runs the room that has had all events, from now on.
    fn take_over(&mut self, replay: Replay, context: &impl EngineContext) -> Renewal {
        let Replay { room, release, recording, .. } = replay;
        Self::set_timer(&room, context);
        (self.room, self.release) = (room, Deployed::new(&release));
        if let Some(recorder) = &mut self.recorder {
            recorder.go_on(recording, &self.room, self.release.program(), context);
        }
        Renewal::Replayed
    }

    /// Does what the operator wants where the room's state cannot be taken along, for this reason.
    fn give_in(
        &mut self,
        release: &Arc<Release>,
        upgrade: Upgrade,
        reason: &impl fmt::Display,
        context: &impl EngineContext,
    ) -> Renewal {
        if upgrade == Upgrade::Keep {
            return keep(reason, context);
        }
        context.warn(&format_args!("it starts afresh: {reason}"));
        self.start_afresh(release, context)
    }

    /// Runs a new room from now on.
    fn start_afresh(&mut self, release: &Arc<Release>, context: &impl EngineContext) -> Renewal {
        let seed = seed(context);
        match release.program.room(self.room.id(), seed) {
            Ok(mut room) => {
                if self.is_recorded() {
                    room.start_recording();
                }
                if let Some(durability) = &mut self.durability {
                    durability.begin_anew(seed);
                }
                context.set_timer(0);
                (self.room, self.release) = (room, Deployed::new(release));
                if let Some(recorder) = &mut self.recorder {
                    recorder.restart(&mut self.room, self.release.program(), seed, context);
                }
                Renewal::Fresh
            }
            Err(trap) => keep(&trap, context),
        }
    }

    /// Sets the timer to the time at which that of this room is due.
    fn set_timer(room: &Room, context: &impl EngineContext) {
        let delay = room.timer_due().map_or(0, |due| {
            let now_ms = context.now_ms();
            // What is overdue is due at once.
            let left = due.saturating_sub(now_ms + room.ahead_of(now_ms));
            u32::try_from(left.max(1)).unwrap_or(u32::MAX)
        });
        context.set_timer(delay);
    }

    pub(super) fn cancel_renewal(&mut self) {
        self.renewal = None;
    }

    /// Returns whether its events are recorded: it has a recorder, or is kept on disk.
    fn is_recorded(&self) -> bool {
        self.recorder.is_some() || self.durability.is_some()
    }

    /// Keeps the record of the event for those who asked for a recording, if it is over.
    #[cold]
    #[inline(never)]
    fn record(&mut self, context: &impl EngineContext) {
        if self.room.last() == Ok(Step::Suspended) {
            return;
        }
        let records = self.room.take_records();
        if let Some(recorder) = &mut self.recorder {
            recorder.add_records(&records, &self.room, context);
        }
        if let Some(durability) = &mut self.durability {
            durability.add_records(&records);
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
        let is_over = self.room.run_on(context);
        // The effects of the event may not be carried out yet.
        if self.recorder.is_some() {
            self.record(context);
        }
        if is_over { self.room.progress() } else { Progress::Unfinished }
    }

    #[inline]
    fn memory_held(&self) -> usize {
        match &self.renewal {
            None => self.room.memory_held(),
            Some(renewal) => self.room.memory_held() + renewal.memory_held(),
        }
    }

    fn fuel_used(&self) -> Option<u64> {
        Engine::fuel_used(&self.room)
    }

    fn reclaimable(&self) -> usize {
        self.room.reclaimable()
    }

    fn failure_kind(&self) -> &'static str {
        Engine::failure_kind(&self.room)
    }

    fn report_failure(&mut self, context: &impl EngineContext) {
        if let Some(recorder) = &self.recorder {
            recorder.report_failure(self.room.id(), self.release.program(), context);
        }
    }

    fn recording(&self, write: &mut dyn FnMut(&[u8])) -> bool {
        let recording = self.recorder.as_ref().and_then(|recorder| recorder.memory());
        let file = recording.and_then(|recording| recording.file(self.release.program(), self.room.id()));
        file.iter().for_each(|file| write(file));
        file.is_some()
    }

    fn durable(&mut self) -> Option<&mut dyn Durable> {
        if self.durability.is_some() { Some(self) } else { None }
    }

    fn hibernate(&mut self) -> Hibernation {
        Engine::hibernate(&mut self.room)
    }
}

impl Durable for GuestRoom {
    fn take_records(&mut self, write: &mut dyn FnMut(&[u8])) {
        match &mut self.durability {
            Some(durability) if self.recorder.is_some() => durability.take_records(write),
            _ => self.room.drain_records(write),
        }
    }

    fn write_base(&mut self, write: &mut dyn FnMut(&[u8])) -> bool {
        let seed = self.durability.as_mut().and_then(|durability| durability.seed.take());
        let base = durable::base(&self.room, self.release.program(), seed);
        base.iter().for_each(|base| write(base));
        base.is_some()
    }

    fn restore_step(&mut self, watch: Option<&mut dyn FnMut(Replayed<'_>)>) -> Restoration<'_> {
        match &mut self.durability {
            Some(durability) => durability.restore_step(&mut self.room, watch),
            None => Restoration::Done,
        }
    }

    fn restored_fuel(&self) -> u64 {
        self.durability.as_ref().map_or(0, |durability| durability.restored_fuel)
    }

    fn started(&self) -> bool {
        self.room.started()
    }

    fn clients(&self) -> &[ClientId] {
        self.room.clients()
    }

    fn next_client(&self) -> ClientId {
        self.room.next_client()
    }

    fn timer_due(&self, now_ms: u64) -> Option<u64> {
        self.room.timer_due().map(|due| due.saturating_sub(self.room.ahead_of(now_ms)))
    }
}

impl Ongoing {
    fn release(&self) -> &Arc<Release> {
        match self {
            Self::Migration(_, release) | Self::Replay(Replay { release, .. }) => release,
        }
    }

    fn memory_held(&self) -> usize {
        match self {
            Self::Migration(migration, _) => migration.memory_held(),
            Self::Replay(replay) => replay.room.memory_held(),
        }
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
    context.warn(&format_args!("it keeps its module: {reason}"));
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
