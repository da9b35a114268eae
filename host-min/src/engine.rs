//! Implements the engine traits for rooms, so that servers handle guests and native services in the same way.

use alloc::{string::String, vec::Vec};

use stateroom_core::{
    ClientId,
    engine::{self, Engine, EngineContext, EngineFactory, Hibernation, Progress},
};

use crate::{ClientInfo, Effect, Event, Program, Room, Step, Trap};

/// The fuel after which an event that still runs is reported, once: about half a second of computing. By default it is an
/// eighth of what an event may use.
const LONG_EVENT: u64 = 750_000_000;

impl EngineFactory for Program {
    type Engine = Room;
    type Error = Trap;

    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<Room, Trap> {
        let mut seed = [0; 32];
        context.random(&mut seed);
        self.room(room_id, seed)
    }

    fn room_size(&self) -> usize {
        Self::room_size(self)
    }
}

impl Room {
    /// Continues with the last event for a slice, and carries out its effects until a pause is needed. Returns false if effects are
    /// left.
    ///
    /// It is for engines that contain a room. They call it in one place, so that it becomes a part of what runs for each event.
    #[inline]
    pub fn run_on(&mut self, context: &impl EngineContext) -> bool {
        if matches!(self.last(), Ok(Step::Suspended)) {
            let before = self.running().map_or(0, |(_, used)| used);
            // The result is read below.
            let _ = self.resume();
            if let Some((name, used)) = self.running()
                && before < LONG_EVENT
                && used >= LONG_EVENT
            {
                let limit = self.program().limits().fuel;
                context.warn(&format_args!(
                    "`{name}` still runs, and has used {used} units of fuel; it fails at {limit} (the limit `fuel`)"
                ));
            }
        }
        !self.has_effects_left() || carry_out(self, context)
    }

    /// Returns the state of the last event, of which no effects are left.
    #[inline]
    pub fn progress(&self) -> Progress<'_> {
        match self.last() {
            Ok(Step::Done) => Progress::Done,
            Ok(Step::Suspended) => Progress::Unfinished,
            Ok(Step::Refused) => Progress::Refused,
            Err(trap) => Progress::Failed(trap),
        }
    }
}

/// Takes the time from the context, and gives the effects to it when the event is over.
impl Engine for Room {
    fn begin(&mut self, event: engine::Event<'_>, context: &impl EngineContext) {
        let event = match event {
            engine::Event::Init => Event::Init,
            engine::Event::Connect(client) => return connect(self, client, context),
            engine::Event::Disconnect(client) => Event::Disconnect(client),
            engine::Event::Message(client, message) => Event::Message(client, message),
            engine::Event::Timer => Event::Timer,
        };
        begin(self, event, context);
    }

    #[inline]
    fn advance(&mut self, context: &impl EngineContext) -> Progress<'_> {
        if self.run_on(context) { self.progress() } else { Progress::Unfinished }
    }

    #[inline]
    fn memory_held(&self) -> usize {
        Self::memory_held(self)
    }

    fn fuel_used(&self) -> Option<u64> {
        Some(Self::fuel_used(self))
    }

    fn failure_kind(&self) -> &'static str {
        self.last().err().map_or("failed", |trap| trap.reason().kind())
    }

    fn reclaimable(&self) -> usize {
        Self::reclaimable(self)
    }

    fn hibernate(&mut self) -> Hibernation {
        self.hibernate_step()
    }
}

/// Begins a `connect`, with the client's information if the guest may ask for it.
fn connect(room: &mut Room, client: ClientId, context: &impl EngineContext) {
    let mut info: Vec<(String, String)> = Vec::new();
    // Another program that runs the recorded event may ask.
    if room.program().asks_for_client_info() || room.is_recorded() {
        context.each_client_info(client, &mut |key, value| info.push((key.into(), value.into())));
    }
    let info: Vec<_> = info.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    begin(room, Event::Connect(client, ClientInfo(&info)), context);
}

fn begin(room: &mut Room, event: Event<'_>, context: &impl EngineContext) {
    // `advance` reads the result and carries out the effects.
    let _ = room.handle(event, context.now_ms());
}

/// Carries out effects of the last event, until a pause is needed. Returns true if all of them have been
/// carried out.
fn carry_out(room: &mut Room, context: &impl EngineContext) -> bool {
    let (mut done, mut is_pausing) = (0, false);
    for effect in room.effects().rest() {
        done += 1;
        match effect {
            Effect::Send { recipient, payload } => context.send_message(recipient, payload),
            Effect::SetTimer { ms } => context.set_timer(ms),
            Effect::CancelTimer => context.set_timer(0),
            Effect::Close { recipient, code, reason } => context.close(recipient, code, reason),
            Effect::Log { level, text } => context.log(level, text),
        }
        is_pausing = context.wants_pause();
        if is_pausing {
            break;
        }
    }
    room.note_done(done);
    !is_pausing || !room.has_effects_left()
}
