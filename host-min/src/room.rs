use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use crate::{
    ClientId, Effects, Event, Hibernation, Program, SnapshotError, Step, Trap,
    hibernation::{Hibernated, HibernationProgress, Saved},
    live::Live,
    presence::Presence,
    recording::{RecordEvents, Recorder},
    snapshot::{self, resting},
};

/// One instance of a [`Program`], with its own state. The [crate's documentation](crate) describes how to use
/// it.
pub struct Room {
    form: Form,
    /// The records of its events, if it is recorded. As a trait object, so that programs that record nothing do not contain the
    /// code for it.
    recorder: Option<Box<dyn RecordEvents>>,
}

enum Form {
    Live(Box<Live>),
    Hibernated(Box<Hibernated>),
}

impl Room {
    /// Returns the id of the room.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.form {
            Form::Live(live) => &live.id,
            Form::Hibernated(hibernated) => &hibernated.id,
        }
    }

    /// Begins an event, and runs at most one slice of it. `now_ms` is the time in milliseconds since the Unix
    /// epoch. For the guest it stays the same until the event is over, and it never goes back: if it is earlier than the time of the
    /// event before, the guest gets that time.
    ///
    /// While another event is suspended, this only returns [`Step::Suspended`]. A room that
    /// [hibernates](Self::hibernate) wakes first. A new room gets its memory first. If the memory is larger
    /// than about ten KiB, this takes additional slices.
    ///
    /// # Errors
    /// The event failed and the room is broken. All further events fail with the same [`Trap`].
    pub fn handle(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        if self.recorder.is_some() { self.record(event, now_ms) } else { self.begin(event, now_ms) }
    }

    #[inline(always)]
    fn begin(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        match &mut self.form {
            Form::Live(live) => live.handle(event, now_ms),
            Form::Hibernated(hibernated) => {
                let mut live = hibernated.wake()?;
                let result = live.handle(event, now_ms);
                self.form = Form::Live(live);
                result
            }
        }
    }

    /// Continues a suspended event for at most one slice. If no event is suspended, this only returns the
    /// last result again.
    ///
    /// # Errors
    /// As for [`handle`](Self::handle).
    pub fn resume(&mut self) -> Result<Step, Trap> {
        let result = match &mut self.form {
            Form::Live(live) => live.resume(),
            Form::Hibernated(hibernated) => hibernated.last.clone(),
        };
        if self.recorder.is_some() {
            self.note_outcome();
        }
        result
    }

    /// Begins to record the events of the room. [`take_records`](Self::take_records) returns them. Does nothing if the room
    /// is recorded already.
    ///
    /// This does not change what the events do. While it runs, an event is also in memory as its record.
    pub fn start_recording(&mut self) {
        self.recorder.get_or_insert_with(|| Box::<Recorder>::default());
    }

    /// Returns true if the events of the room are [recorded](Self::start_recording).
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.recorder.is_some()
    }

    /// Returns the records of the events that are over, and forgets them. The records of all calls together, with a
    /// [header](crate::RecordingHeader) before them, are a [recording](crate::Recording).
    pub fn take_records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        self.drain_records(|new| records.extend_from_slice(new));
        records
    }

    /// Does the same as [`take_records`](Self::take_records), without an allocation: passes the records to `read`, if there are some.
    pub fn drain_records(&mut self, mut read: impl FnMut(&[u8])) {
        if let Some(recorder) = &mut self.recorder {
            recorder.drain(&mut read);
        }
    }

    /// Begins an event, and its record.
    #[cold]
    fn record(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        let now_ms = self.presence().time(now_ms);
        if matches!(self.last(), Ok(Step::Done | Step::Refused))
            && let Some(recorder) = &mut self.recorder
        {
            recorder.begin(&event, now_ms);
        }
        let result = self.begin(event, now_ms);
        self.note_outcome();
        result
    }

    /// Ends the record of the event, if it is over.
    #[cold]
    fn note_outcome(&mut self) {
        if let Some(mut recorder) = self.recorder.take() {
            recorder.note_outcome(self);
            self.recorder = Some(recorder);
        }
    }

    /// Returns the state of the last event: the last result of [`handle`](Self::handle) or
    /// [`resume`](Self::resume).
    ///
    /// # Errors
    /// The room is broken.
    pub fn last(&self) -> Result<Step, &Trap> {
        match &self.form {
            Form::Live(live) => live.last(),
            Form::Hibernated(hibernated) => hibernated.last.as_ref().copied(),
        }
    }

    /// Returns the effects of the last event. There are none while an event is suspended. After an event that
    /// was refused or trapped, there are only log lines.
    #[must_use]
    pub fn effects(&self) -> Effects<'_> {
        match &self.form {
            Form::Live(live) => live.effects(),
            Form::Hibernated(hibernated) => hibernated.effects.iter(),
        }
    }

    /// Returns the export that an event is in, if it is suspended in one, with the fuel that the event has used.
    pub(crate) fn running(&self) -> Option<(&'static str, u64)> {
        match &self.form {
            Form::Live(live) => live.running(),
            Form::Hibernated(_) => None,
        }
    }

    /// Returns true if there are effects that have not been [carried out](Self::note_done).
    #[inline]
    pub(crate) fn has_effects_left(&self) -> bool {
        match &self.form {
            Form::Live(live) => live.last() != Ok(Step::Suspended) && live.store.data().effects.has_left(),
            Form::Hibernated(hibernated) => hibernated.effects.has_left(),
        }
    }

    /// Notes that `effects` more effects of the last event have been carried out. After all of them, their
    /// memory is freed, except for the amount that an ordinary event needs.
    pub(crate) fn note_done(&mut self, effects: usize) {
        match &mut self.form {
            Form::Live(live) => live.store.data_mut().effects.note_done(effects),
            Form::Hibernated(hibernated) => hibernated.effects.note_done(effects),
        }
    }

    /// Returns the connected clients in order of their ids. The room knows them from the events that it was given.
    #[must_use]
    pub fn clients(&self) -> &[ClientId] {
        self.presence().clients()
    }

    /// Returns the lowest id that no client of the room has ever had; at first 1.
    #[must_use]
    pub fn next_client(&self) -> ClientId {
        self.presence().next_client()
    }

    /// Returns the time at which the host should hand in [`Event::Timer`], in milliseconds since the Unix epoch. Returns
    /// `None` if the guest has set no timer since the last one.
    #[must_use]
    pub fn timer_due(&self) -> Option<u64> {
        self.presence().timer_due()
    }

    /// Returns how many milliseconds the time of the room is ahead of `now_ms`, because the clock was set back after an event: for the
    /// guest, the time never goes back. [`timer_due`](Self::timer_due) is so much too late then.
    #[must_use]
    pub fn ahead_of(&self, now_ms: u64) -> u64 {
        self.presence().time(now_ms) - now_ms
    }

    pub(crate) fn presence(&self) -> &Presence {
        match &self.form {
            Form::Live(live) => &live.presence,
            Form::Hibernated(hibernated) => &hibernated.presence,
        }
    }

    /// Returns the present size of the guest's linear memory, in bytes. It grows and never shrinks.
    /// [Hibernation](Self::hibernate) does not change it.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        match &self.form {
            Form::Live(live) => live.memory_size(),
            Form::Hibernated(hibernated) => hibernated.memory_size,
        }
    }

    /// Returns the approximate number of bytes that the room takes now. It counts the memory that is
    /// allocated, the tables, effects whose memory is not freed yet, the data of a suspended event, the
    /// stored state of a hibernating room, and records that have not been taken.
    ///
    /// This is fast and can be called after each slice. The engine does not report the stack size of a
    /// suspended call. It is 1 MB at most and usually 1 KB. It counts as 1 KB here.
    #[must_use]
    pub fn memory_held(&self) -> usize {
        match &self.recorder {
            None => self.memory_held_without_records(),
            Some(recorder) => self.memory_held_with(recorder.held()),
        }
    }

    /// Returns the same and `records`. Most rooms have no recorder, and need no space for this.
    #[cold]
    #[inline(never)]
    fn memory_held_with(&self, records: usize) -> usize {
        records + self.memory_held_without_records()
    }

    #[inline(always)]
    fn memory_held_without_records(&self) -> usize {
        match &self.form {
            Form::Live(live) => live.held(),
            Form::Hibernated(hibernated) => hibernated.held(),
        }
    }

    /// Returns the fuel that the last event has used up to now. Returns 0 if the room hibernates.
    #[must_use]
    pub fn fuel_used(&self) -> u64 {
        match &self.form {
            Form::Live(live) => live.fuel_used(),
            Form::Hibernated(_) => 0,
        }
    }

    /// Returns the approximate maximum number of bytes that hibernation would free. Returns 0 if the room
    /// hibernates.
    #[must_use]
    pub fn reclaimable(&self) -> usize {
        match &self.form {
            Form::Live(live) => live.reclaimable(),
            Form::Hibernated(_) => 0,
        }
    }

    /// Drops the room's instance until its next event. The room keeps only the memory that its events have
    /// changed, often a thousandth of all its memory. The next event first restores the instance, so it takes
    /// longer.
    ///
    /// Hibernation has no other effect on the guest, or on the results of the other methods.
    ///
    /// It takes a few milliseconds for a memory of about ten MiB. [`hibernate_step`](Self::hibernate_step)
    /// does the same in small steps. If there is no memory to wake a room, the room is broken: the event
    /// fails with a [`Trap`].
    ///
    /// # Errors
    /// The room is not between two events. It is not changed.
    pub fn hibernate(&mut self) -> Result<(), SnapshotError> {
        let last = resting(self.last())?;
        if let Form::Live(live) = &mut self.form {
            self.form = Form::Hibernated(Box::new(live.hibernate(last)));
        }
        Ok(())
    }

    /// Does one step of [`hibernate`](Self::hibernate), in a fraction of a millisecond. Does nothing if
    /// hibernation would not make the room less than half as large.
    pub fn hibernate_step(&mut self) -> Hibernation {
        let Form::Live(live) = &mut self.form else { return Hibernation::Done };
        let Ok(last) = resting(live.last()) else { return Hibernation::Kept };
        match live.hibernate_step(last) {
            Ok(hibernated) => {
                self.form = Form::Hibernated(Box::new(hibernated));
                Hibernation::Done
            }
            Err(outcome) => outcome,
        }
    }

    /// Returns true if the room [hibernates](Self::hibernate).
    #[must_use]
    pub fn is_hibernating(&self) -> bool {
        matches!(self.form, Form::Hibernated(_))
    }

    /// Returns the state of the room between two events. [`Program::restore`](crate::Program::restore) makes
    /// a room from it that continues as this one would. The state is the room's id, clients, timer, memory,
    /// globals, tables, segments and random numbers.
    ///
    /// It does not contain the effects of the last event. Read these before the snapshot.
    ///
    /// Its size is about the size of the guest's changes to its memory. It is the same if the room
    /// [hibernates](Self::hibernate).
    ///
    /// # Errors
    /// The room is not between two events.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        self.snapshot_as(self.id())
    }

    /// Returns the same, but for a room with another id. A room that has [started](Self::started) was told its id before: its guest may
    /// remember that.
    ///
    /// # Errors
    /// The room is not between two events.
    pub fn snapshot_as(&self, id: &str) -> Result<Vec<u8>, SnapshotError> {
        let _ = resting(self.last())?;
        let mut out = snapshot::begin(self.program(), self.started(), id, self.presence());
        match &self.form {
            Form::Live(live) => live.put_state(&mut out),
            // There is a stored state unless the room could not be brought back. Then the status above is the trap.
            Form::Hibernated(hibernated) => {
                hibernated.saved.iter().for_each(|saved| saved.put_state(&mut out))
            }
        }
        Ok(snapshot::finish(out))
    }

    /// Copies another window of the room's state, which does not change the room. Returns the copy after the last window.
    pub(crate) fn copy_step(&self, progress: &mut HibernationProgress) -> Option<Saved> {
        match &self.form {
            Form::Live(live) => live.copy_step(progress),
            Form::Hibernated(hibernated) => hibernated.saved.as_ref()?.copy_step(progress),
        }
    }

    pub(crate) fn program(&self) -> &Program {
        match &self.form {
            Form::Live(live) => &live.program,
            Form::Hibernated(hibernated) => &hibernated.program,
        }
    }

    /// Returns true if the room has had its first event, which is [`Event::Init`].
    #[must_use]
    pub fn started(&self) -> bool {
        match &self.form {
            Form::Live(live) => live.started,
            Form::Hibernated(hibernated) => hibernated.started,
        }
    }
}

impl From<Live> for Room {
    fn from(live: Live) -> Self {
        Self { form: Form::Live(Box::new(live)), recorder: None }
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match (self.last(), self.is_hibernating()) {
            (Err(_), _) => "broken",
            (Ok(Step::Suspended), _) => "suspended",
            (Ok(_), true) => "hibernating",
            (Ok(_), false) => "ready",
        };
        f.debug_struct("Room").field("id", &self.id()).field("status", &status).finish_non_exhaustive()
    }
}
