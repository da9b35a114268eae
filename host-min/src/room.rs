use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use crate::{
    Effects, Event, Hibernation, Program, SnapshotError, Step, Trap,
    hibernation::Hibernated,
    live::Live,
    snapshot::{self, resting},
};

/// One instance of a [`Program`], with state of its own. See the [crate's documentation](crate) for how to
/// drive it.
pub struct Room(Form);

enum Form {
    Live(Box<Live>),
    Hibernated(Box<Hibernated>),
}

impl Room {
    /// Returns the id that the room was made with.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0 {
            Form::Live(live) => &live.id,
            Form::Hibernated(hibernated) => &hibernated.id,
        }
    }

    /// Begins an event, at most one slice of it. `now_ms` is the time in milliseconds since the Unix epoch;
    /// the guest sees it stand still until the event is over.
    ///
    /// While another event is suspended, this does nothing but answer [`Step::Suspended`]. A room that
    /// [hibernates](Self::hibernate) is woken first, and a new one gets its memory; where that is more than some ten KiB,
    /// it takes slices of its own.
    ///
    /// # Errors
    /// The event ended badly and the room is broken: all further events fail with the same [`Trap`].
    pub fn handle(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        match &mut self.0 {
            Form::Live(live) => live.handle(event, now_ms),
            Form::Hibernated(hibernated) => {
                let mut live = hibernated.wake()?;
                let result = live.handle(event, now_ms);
                self.0 = Form::Live(live);
                result
            }
        }
    }

    /// Goes on with a suspended event, at most one slice of it. Without one, this does nothing but repeat the
    /// last answer.
    ///
    /// # Errors
    /// As for [`handle`](Self::handle).
    pub fn resume(&mut self) -> Result<Step, Trap> {
        match &mut self.0 {
            Form::Live(live) => live.resume(),
            Form::Hibernated(hibernated) => hibernated.last.clone(),
        }
    }

    /// Returns how the last event stands: what [`handle`](Self::handle) or [`resume`](Self::resume) answered.
    ///
    /// # Errors
    /// The room is broken.
    pub fn last(&self) -> Result<Step, &Trap> {
        match &self.0 {
            Form::Live(live) => live.last(),
            Form::Hibernated(hibernated) => hibernated.last.as_ref().copied(),
        }
    }

    /// Returns what the last event asks of the world. Empty while an event is suspended; of an event that was
    /// refused or trapped only log lines are left.
    #[must_use]
    pub fn effects(&self) -> Effects<'_> {
        match &self.0 {
            Form::Live(live) => live.effects(),
            Form::Hibernated(hibernated) => hibernated.effects.iter(),
        }
    }

    /// Returns whether there are effects that have not been [carried out](Self::note_done).
    pub(crate) fn has_effects_left(&self) -> bool {
        match &self.0 {
            Form::Live(live) => live.last() != Ok(Step::Suspended) && live.store.data().effects.has_left(),
            Form::Hibernated(hibernated) => hibernated.effects.has_left(),
        }
    }

    /// Notes that so many more effects of the last event have been carried out. Once all have, they take no more memory
    /// than those of an ordinary event.
    pub(crate) fn note_done(&mut self, effects: usize) {
        match &mut self.0 {
            Form::Live(live) => live.store.data_mut().effects.note_done(effects),
            Form::Hibernated(hibernated) => hibernated.effects.note_done(effects),
        }
    }

    /// Returns how many bytes of linear memory the guest has at present. It grows and never shrinks;
    /// [hibernating](Self::hibernate) makes no difference to the guest.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        match &self.0 {
            Form::Live(live) => live.memory_size(),
            Form::Hibernated(hibernated) => hibernated.memory_size,
        }
    }

    /// About how many bytes the room takes now: its memory as far as it has been made, its tables, effects that have
    /// not been given back, what a suspended event keeps, and what is left of it while it hibernates.
    ///
    /// It is told without looking anything through, and can be asked after each slice. Of the stack of a suspended call the
    /// engine does not tell how large it is: 1 MB at most, and usually 1 KB, as which it counts here.
    #[must_use]
    pub fn memory_held(&self) -> usize {
        match &self.0 {
            Form::Live(live) => live.held(),
            Form::Hibernated(hibernated) => hibernated.held(),
        }
    }

    /// About how many bytes the room would give back, at most, if it hibernated; 0 where it does.
    #[must_use]
    pub fn reclaimable(&self) -> usize {
        match &self.0 {
            Form::Live(live) => live.reclaimable(),
            Form::Hibernated(_) => 0,
        }
    }

    /// Gives up the room's instance, for as long as it has no event: what is kept is what its events have
    /// changed, which is often a thousandth of its memory. The next event wakes it as it was, and takes
    /// longer by what it takes to make a room and to write that into it.
    ///
    /// Nothing else can be told from it: not by the guest, nor by what the other methods answer.
    ///
    /// It takes some milliseconds for a memory of some ten MiB; [`hibernate_step`](Self::hibernate_step) does the same
    /// little by little. Where there is no memory to wake a room, it is broken: the event fails with a [`Trap`].
    ///
    /// # Errors
    /// The room is not between two events. It stays as it is.
    pub fn hibernate(&mut self) -> Result<(), SnapshotError> {
        let last = resting(self.last())?;
        if let Form::Live(live) = &mut self.0 {
            self.0 = Form::Hibernated(Box::new(live.hibernate(last)));
        }
        Ok(())
    }

    /// Takes a step on the way to what [`hibernate`](Self::hibernate) does, in a fraction of a millisecond, where that
    /// makes the room less than half as large.
    pub fn hibernate_step(&mut self) -> Hibernation {
        let Form::Live(live) = &mut self.0 else { return Hibernation::Done };
        let Ok(last) = resting(live.last()) else { return Hibernation::Kept };
        match live.hibernate_step(last) {
            Ok(hibernated) => {
                self.0 = Form::Hibernated(Box::new(hibernated));
                Hibernation::Done
            }
            Err(outcome) => outcome,
        }
    }

    /// Returns whether the room [hibernates](Self::hibernate).
    #[must_use]
    pub fn is_hibernating(&self) -> bool {
        matches!(self.0, Form::Hibernated(_))
    }

    /// Returns the state of the room between two events, from which [`Program::restore`](crate::Program::restore)
    /// makes a room that goes on as this one would: its id, memory, globals, tables, segments and random
    /// numbers.
    ///
    /// What is not in it is not the room's: who is connected, when its timer is due, and the effects of the
    /// last event, which are to be read before.
    ///
    /// Its size is about that of what the guest has changed in its memory. It is the same whether or not the
    /// room [hibernates](Self::hibernate).
    ///
    /// # Errors
    /// The room is not between two events.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let _ = resting(self.last())?;
        let mut out = snapshot::begin(self.program(), self.started(), self.id());
        match &self.0 {
            Form::Live(live) => live.put_state(&mut out),
            // It has been saved, as it could not be woken otherwise; then it is broken.
            Form::Hibernated(hibernated) => {
                hibernated.saved.iter().for_each(|saved| saved.put_state(&mut out))
            }
        }
        Ok(snapshot::finish(out))
    }

    pub(crate) fn program(&self) -> &Program {
        match &self.0 {
            Form::Live(live) => &live.program,
            Form::Hibernated(hibernated) => &hibernated.program,
        }
    }

    fn started(&self) -> bool {
        match &self.0 {
            Form::Live(live) => live.started,
            Form::Hibernated(hibernated) => hibernated.started,
        }
    }
}

impl From<Live> for Room {
    fn from(live: Live) -> Self {
        Self(Form::Live(Box::new(live)))
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
