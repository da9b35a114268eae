//! Rooms, and what is left of one that is folded.

use alloc::{boxed::Box, format, vec::Vec};
use core::{fmt, mem, ops::Range};

use crate::{
    Effects, Event, Program, SnapshotError, Step, Trap, TrapReason, effects::Arena, module, reader::Reader,
    room::Live, snapshot::resting,
};

/// One instance of a [`Program`], with state of its own. See the [crate's documentation](crate) for how to
/// drive it.
pub struct Room(Form);

enum Form {
    Live(Box<Live>),
    Folded(Box<Folded>),
}

/// A room without its instance: what its events have changed.
struct Folded {
    id: Box<str>,
    program: Program,
    started: bool,
    /// How its last event ended, or why it could not be brought back.
    last: Result<Step, Trap>,
    effects: Arena,
    memory_size: usize,
    /// That part of a snapshot which is neither the program's nor kept above.
    state: Box<[u8]>,
}

/// What the engine takes for a small room beside its memory, in bytes, roughly.
pub(crate) const INSTANCE: usize = 6 << 10;

impl Room {
    /// The id that the room was made with.
    #[must_use]
    pub fn id(&self) -> &str {
        match &self.0 {
            Form::Live(live) => &live.id,
            Form::Folded(folded) => &folded.id,
        }
    }

    /// Begins an event, at most one slice of it. `now_ms` is the time in milliseconds since the Unix epoch;
    /// the guest sees it stand still until the event is over.
    ///
    /// While another event is suspended, this does nothing but answer [`Step::Suspended`]. A room that is
    /// [folded](Self::fold) is brought back first.
    ///
    /// # Errors
    /// The event ended badly and the room is broken: all further events fail with the same [`Trap`].
    pub fn handle(&mut self, event: Event<'_>, now_ms: u64) -> Result<Step, Trap> {
        match &mut self.0 {
            Form::Live(live) => live.handle(event, now_ms),
            Form::Folded(folded) => {
                let mut live = folded.unfold()?;
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
            Form::Folded(folded) => folded.last.clone(),
        }
    }

    /// How the last event stands: what [`handle`](Self::handle) or [`resume`](Self::resume) answered.
    ///
    /// # Errors
    /// The room is broken.
    pub fn last(&self) -> Result<Step, &Trap> {
        match &self.0 {
            Form::Live(live) => live.last(),
            Form::Folded(folded) => folded.last.as_ref().copied(),
        }
    }

    /// What the last event asks of the world. Empty while an event is suspended; of an event that was
    /// refused or trapped only log lines are left.
    #[must_use]
    pub fn effects(&self) -> Effects<'_> {
        match &self.0 {
            Form::Live(live) => live.effects(),
            Form::Folded(folded) => folded.effects.iter(),
        }
    }

    /// Whether there are effects that have not been [carried out](Self::note_done).
    pub(crate) fn has_effects_left(&self) -> bool {
        self.effects().rest().next().is_some()
    }

    /// Notes that so many more effects of the last event have been carried out.
    pub(crate) fn note_done(&mut self, effects: usize) {
        match &mut self.0 {
            Form::Live(live) => live.store.data_mut().effects.done += effects,
            Form::Folded(folded) => folded.effects.done += effects,
        }
    }

    /// How many bytes of linear memory the guest has at present. It grows and never shrinks; [folding](Self::fold)
    /// it makes no difference to the guest.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        match &self.0 {
            Form::Live(live) => live.memory_size(),
            Form::Folded(folded) => folded.memory_size,
        }
    }

    /// Gives up the room's instance, for as long as it has no event: what is kept is what its events have
    /// changed, which is often a thousandth of its memory. The next event brings it back as it was, and takes
    /// longer by what it takes to make a room and to write that into it.
    ///
    /// Nothing else can be told from it: not by the guest, nor by what the other methods answer.
    ///
    /// Where there is no memory to bring a room back, it is broken: the event fails with a [`Trap`].
    ///
    /// # Errors
    /// The room is not between two events. It stays as it is.
    pub fn fold(&mut self) -> Result<(), SnapshotError> {
        let last = resting(self.last())?;
        if let Form::Live(live) = &mut self.0 {
            let differences = live.differences();
            self.0 = Form::Folded(Box::new(Folded::of(live, last, &differences)));
        }
        Ok(())
    }

    /// Whether the room is [folded](Self::fold).
    #[must_use]
    pub fn is_folded(&self) -> bool {
        matches!(self.0, Form::Folded(_))
    }

    /// About how many bytes it takes: of a room with its instance the memory, of one that is folded what has changed.
    pub(crate) fn memory_held(&self) -> usize {
        match &self.0 {
            Form::Live(live) => INSTANCE + live.memory_size(),
            Form::Folded(folded) => folded.state.len(),
        }
    }

    /// About how many bytes it would give back to be folded.
    pub(crate) fn foldable(&self) -> usize {
        match &self.0 {
            Form::Live(live) => INSTANCE + live.memory_size(),
            Form::Folded(_) => 0,
        }
    }

    /// Folds the room where that makes it less than half as large. The last event's effects have been read.
    pub(crate) fn fold_if_smaller(&mut self) {
        let Form::Live(live) = &mut self.0 else { return };
        let Ok(last) = resting(live.last()) else { return };
        let differences = live.differences();
        let changed: usize = differences.iter().map(ExactSizeIterator::len).sum();
        if changed <= (INSTANCE + live.memory_size()) / 2 {
            live.store.data_mut().effects = Arena::default();
            self.0 = Form::Folded(Box::new(Folded::of(live, last, &differences)));
        }
    }

    pub(crate) fn program(&self) -> &Program {
        match &self.0 {
            Form::Live(live) => &live.program,
            Form::Folded(folded) => &folded.program,
        }
    }

    pub(crate) fn started(&self) -> bool {
        match &self.0 {
            Form::Live(live) => live.started,
            Form::Folded(folded) => folded.started,
        }
    }

    /// Writes down what events may have changed; the room is between two of them.
    pub(crate) fn put_state(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Form::Live(live) => live.put_state(&live.differences(), out),
            Form::Folded(folded) => out.extend(&folded.state),
        }
    }
}

impl Folded {
    /// `differences` are those of its memory from a new room's.
    fn of(live: &mut Live, last: Step, differences: &[Range<usize>]) -> Self {
        let mut state = Vec::new();
        live.put_state(differences, &mut state);
        let mut effects = mem::take(&mut live.store.data_mut().effects);
        effects.shrink();
        Self {
            id: mem::take(&mut live.id),
            program: live.program.clone(),
            started: live.started,
            last: Ok(last),
            effects,
            memory_size: live.memory_size(),
            state: state.into(),
        }
    }

    fn unfold(&mut self) -> Result<Box<Live>, Trap> {
        let last = self.last.clone()?;
        self.restored(last).inspect_err(|trap| {
            self.last = Err(trap.clone());
            self.state = Box::default();
            self.effects = Arena::default();
        })
    }

    fn restored(&self, last: Step) -> Result<Box<Live>, Trap> {
        let mut live = self.program.live(&self.id, [0; 32])?;
        live.restore_state(&mut Reader::new(&self.state)).map_err(|error| {
            Trap::new(module::START, TrapReason::Wasm(format!("the room cannot be brought back: {error}")))
        })?;
        live.started = self.started;
        live.rest(last);
        Ok(Box::new(live))
    }
}

impl From<Live> for Room {
    fn from(live: Live) -> Self {
        Self(Form::Live(Box::new(live)))
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match (self.last(), self.is_folded()) {
            (Err(_), _) => "broken",
            (Ok(Step::Suspended), _) => "suspended",
            (Ok(_), true) => "folded",
            (Ok(_), false) => "ready",
        };
        f.debug_struct("Room").field("id", &self.id()).field("status", &status).finish_non_exhaustive()
    }
}
