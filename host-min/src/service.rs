//! A room as a service among others, so that servers take guests and native services alike.

use alloc::{string::String, vec::Vec};

use stateroom_sdk_core::{
    ClientId, MessagePayload, Progress, StateroomContext, StateroomService, StateroomServiceFactory,
};

use crate::{ClientInfo, Effect, Event, Hibernation, Program, Room, Step, Trap};

impl StateroomServiceFactory for Program {
    type Service = Room;
    type Error = Trap;

    fn build(&self, room_id: &str, context: &impl StateroomContext) -> Result<Room, Trap> {
        let mut seed = [0; 32];
        context.random(&mut seed);
        self.room(room_id, seed)
    }
}

/// The time comes from the context, the effects go to it once the event is over.
impl StateroomService for Room {
    fn init(&mut self, context: &impl StateroomContext) {
        begin(self, Event::Init, context);
    }

    fn connect(&mut self, client_id: ClientId, context: &impl StateroomContext) {
        let mut info: Vec<(String, String)> = Vec::new();
        if self.program().asks_for_client_info() {
            context.each_client_info(client_id, &mut |key, value| info.push((key.into(), value.into())));
        }
        let info: Vec<_> = info.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        begin(self, Event::Connect(client_id, ClientInfo(&info)), context);
    }

    fn disconnect(&mut self, client_id: ClientId, context: &impl StateroomContext) {
        begin(self, Event::Disconnect(client_id), context);
    }

    fn message(&mut self, client_id: ClientId, message: MessagePayload<'_>, context: &impl StateroomContext) {
        begin(self, Event::Message(client_id, message), context);
    }

    fn timer(&mut self, context: &impl StateroomContext) {
        begin(self, Event::Timer, context);
    }

    fn advance(&mut self, context: &impl StateroomContext) -> Progress<'_> {
        if matches!(self.last(), Ok(Step::Suspended)) {
            // What came of it is asked for below.
            let _ = self.resume();
        }
        if self.has_effects_left() {
            carry_out(self, context);
        }
        match self.last() {
            _ if self.has_effects_left() => Progress::Unfinished,
            Ok(Step::Done) => Progress::Done,
            Ok(Step::Suspended) => Progress::Unfinished,
            Ok(Step::Refused) => Progress::Refused,
            Err(trap) => Progress::Failed(trap),
        }
    }

    fn foldable(&self) -> usize {
        self.reclaimable()
    }

    fn fold(&mut self) {
        while self.hibernate_step() == Hibernation::Unfinished {}
    }
}

fn begin(room: &mut Room, event: Event<'_>, context: &impl StateroomContext) {
    // What came of it is asked for with `advance`, and carried out there.
    let _ = room.handle(event, context.now_ms());
}

/// Carries out effects of the last event, as many as go at a stretch.
fn carry_out(room: &mut Room, context: &impl StateroomContext) {
    let mut done = 0;
    for effect in room.effects().rest() {
        done += 1;
        match effect {
            Effect::Send { recipient, payload } => context.send_message(recipient, payload),
            Effect::SetTimer { ms } => context.set_timer(ms),
            Effect::CancelTimer => context.set_timer(0),
            Effect::Close { recipient, code, reason } => context.close(recipient, code, reason),
            Effect::Log { level, text } => context.log(level, text),
        }
        if context.wants_pause() {
            break;
        }
    }
    room.note_done(done);
}
