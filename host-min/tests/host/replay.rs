//! The same module and the same events give the same effects and the same state, byte for byte.

use stateroom_host_min::{Event, Program, Room, Trap};

use crate::machine::{Dice, Happening, machine, outcome};

/// A room that a test drives, and replaces when it breaks.
struct Run {
    program: Program,
    room: Room,
    rooms: u64,
}

impl Run {
    fn new(slice: u64) -> Self {
        let program = machine(slice);
        let room = program.room("replay", [0; 32]).unwrap();
        let mut run = Self { program, room, rooms: 0 };
        run.renew();
        run
    }

    fn renew(&mut self) {
        self.rooms += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.rooms.to_le_bytes());
        self.room = self.program.room("replay", seed).unwrap();
        assert_eq!(outcome(&mut self.room, Event::Init, 1), "Ok(Done) []");
    }

    fn handle(&mut self, happening: &Happening, now_ms: u64) -> String {
        outcome(&mut self.room, happening.event(), now_ms)
    }
}

#[test]
fn ten_thousand_events_give_the_same_effects_and_state_in_slices_of_any_size() {
    let (mut long, mut short) = (Run::new(400_000), Run::new(100));
    let (mut dice, mut traps) = (Dice(1), 0);
    for now_ms in 0..10_000 {
        let happening = Happening::random(&mut dice);
        let outcome = long.handle(&happening, now_ms);
        assert_eq!(outcome, short.handle(&happening, now_ms), "{happening:?}");
        assert_eq!(long.room.snapshot(), short.room.snapshot(), "{happening:?}");
        if outcome.starts_with("Err") {
            traps += 1;
            long.renew();
            short.renew();
        }
    }
    assert!((100..2_000).contains(&traps), "there were {traps} traps");
}

#[test]
fn ten_thousand_events_give_the_same_effects_and_state_wherever_the_room_hibernates() {
    let (mut live, mut hibernating) = (Run::new(400_000), Run::new(3_000));
    let (mut dice, mut traps, mut hibernations) = (Dice(7), 0, 0);
    for now_ms in 0..10_000 {
        // It is interrupted on its way, or not.
        for _ in 0..dice.below(3) {
            let _ = hibernating.room.hibernate_step();
        }
        if dice.below(2) == 0 {
            let (last, memory) =
                (hibernating.room.last().map_err(Trap::clone), hibernating.room.memory_size());
            let snapshot = hibernating.room.snapshot();
            let effects = format!("{:?}", hibernating.room.effects().collect::<Vec<_>>());
            assert_eq!(hibernating.room.hibernate(), Ok(()));
            assert_eq!(
                (hibernating.room.last().map_err(Trap::clone), hibernating.room.memory_size()),
                (last, memory)
            );
            assert_eq!(hibernating.room.snapshot(), snapshot);
            assert_eq!(format!("{:?}", hibernating.room.effects().collect::<Vec<_>>()), effects);
            hibernations += 1;
        }
        let happening = Happening::random(&mut dice);
        let outcome = live.handle(&happening, now_ms);
        assert_eq!(outcome, hibernating.handle(&happening, now_ms), "{happening:?}");
        assert_eq!(live.room.snapshot(), hibernating.room.snapshot(), "{happening:?}");
        if outcome.starts_with("Err") {
            traps += 1;
            live.renew();
            hibernating.renew();
        }
    }
    assert!(
        hibernations > 4_000 && (100..2_000).contains(&traps),
        "there were {hibernations} hibernations and {traps} traps"
    );
}

#[test]
fn a_restored_room_goes_on_as_the_original_does() {
    let mut original = Run::new(400_000);
    // Snapshots are for another process, which has loaded the module anew.
    let other = machine(777);
    let mut dice = Dice(2);
    for now_ms in 0..2_000 {
        let snapshot = original.room.snapshot().unwrap();
        let mut restored = other.restore(&snapshot).unwrap();
        assert_eq!(restored.id(), "replay");
        assert_eq!(restored.snapshot().as_ref(), Ok(&snapshot));
        for step in 0..3 {
            let happening = Happening::random(&mut dice);
            let outcome = original.handle(&happening, now_ms + step);
            let again = crate::machine::outcome(&mut restored, happening.event(), now_ms + step);
            assert_eq!(outcome, again, "{happening:?}");
            assert_eq!(original.room.snapshot(), restored.snapshot(), "{happening:?}");
            if outcome.starts_with("Err") {
                original.renew();
                break;
            }
        }
    }
}
