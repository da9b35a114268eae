//! Guests that do not end by themselves, or go ever deeper.

use stateroom_host_min::{Event, Limits, Step, TrapReason};

use super::{CONNECT, EXPORTS, on_a_small_stack, trap};
use crate::guest::{IMPORTS, begin, bytes, finish, program_with, room, room_with, text, wat};

fn little_fuel() -> Limits {
    let mut limits = Limits::default();
    (limits.startup_fuel, limits.fuel, limits.slice) = (1_000_000, 1_000_000, 10_000);
    limits
}

#[test]
fn a_loop_without_end_ends_wherever_it_is() {
    let (limits, out_of_fuel) = (little_fuel(), TrapReason::OutOfFuel { limit: 1_000_000 });
    for fields in [
        "(func $start (loop (br 0))) (start $start)",
        r#"(func (export "_initialize") (loop (br 0)))"#,
        "(func $a (return_call $b)) (func $b (return_call $a)) (start $a)",
    ] {
        assert_eq!(*trap(begin(&wat(fields), limits)).reason(), out_of_fuel, "{fields}");
    }
    for (export, ty) in EXPORTS {
        let fields = format!(r#"{IMPORTS} (func (export "{export}") {ty} (loop (br 0)) unreachable)"#);
        let room = begin(&wat(&fields), limits);
        let trap = match room {
            Err(error) => trap::<()>(Err(error)),
            Ok(mut room) => {
                let mut events = [CONNECT, Event::Disconnect(1.into()), Event::Timer, text("a"), bytes(b"a")];
                events.reverse();
                events.into_iter().find_map(|event| finish(&mut room, event).err()).unwrap()
            }
        };
        assert_eq!((trap.during(), trap.reason()), (export, &out_of_fuel));
    }
}

#[test]
fn the_slices_of_an_event_are_as_many_as_its_fuel_pays_for() {
    let limits = little_fuel();
    let mut room = room_with(r#"(func (export "timer") (loop (br 0)))"#, limits);
    let (mut slices, mut step) = (1, room.handle(Event::Timer, 0));
    while step == Ok(Step::Suspended) {
        (slices, step) = (slices + 1, room.resume());
    }
    assert_eq!(slices, 101);
}

#[test]
fn recursion_without_end_traps_before_the_native_stack_does() {
    on_a_small_stack(|| {
        let params = "i64 ".repeat(32);
        let arguments = "(i64.const 1) ".repeat(32);
        let locals = "i64 ".repeat(900);
        let mut deep = Limits::default();
        deep.call_depth = 100_000;
        for limits in [Limits::default(), deep] {
            for (how, body) in [
                ("by itself", "(func $f (call $f))".to_owned()),
                ("each other", "(func $f (call $g)) (func $g (call $h)) (func $h (call $f))".into()),
                (
                    "with a result",
                    "(func $g (result i32) (i32.add (call $g) (i32.const 1))) (func $f (drop (call $g)))"
                        .into(),
                ),
                ("by a table", "(table funcref (elem $f)) (func $f (call_indirect (i32.const 0)))".into()),
                (
                    "with parameters",
                    format!(
                        "(func $g (param {params}) (call $g {arguments})) (func $f (call $g {arguments}))"
                    ),
                ),
                ("with locals", format!("(func $f (local {locals}) (call $f))")),
            ] {
                let fields = format!(r#"{body} (func (export "timer") (call $f))"#);
                let trap = finish(&mut room_with(&fields, limits), Event::Timer).unwrap_err();
                assert!(trap.to_string().contains("stack"), "{how}: {trap}");

                let start = begin(&wat(&format!("{body} (start $f)")), limits);
                let trap = super::trap(start);
                assert!(trap.to_string().contains("stack"), "{how}: {trap}");
            }
        }
    });
}

#[test]
fn the_exports_may_be_one_function_that_calls_itself() {
    let fields = r#"(func $f (export "message") (export "binary") (param i32 i32 i32)
        (call $f (local.get 0) (local.get 1) (local.get 2)))"#;
    let mut room = room(fields);
    assert!(finish(&mut room, text("a")).unwrap_err().to_string().contains("stack"));
    assert!(finish(&mut room, bytes(b"a")).is_err(), "the room is broken");
}

#[test]
fn a_deep_room_leaves_the_next_one_as_much() {
    // The engine keeps the stacks of ended calls.
    let fields = r#"(func $f (export "timer") (call $f))
        (func $down (param i32)
            (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "connect") (param i32) (call $down (i32.const 900)))"#;
    let program = program_with(fields, Limits::default());
    for id in ["a", "b", "c"] {
        let mut room = program.room(id, [0; 32]).unwrap();
        assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
        assert!(finish(&mut room, Event::Timer).is_err());
    }
}

#[test]
fn deep_nesting_takes_no_native_stack() {
    let depth = 100_000;
    let modules = [
        format!("(func {} {})", "block ".repeat(depth), "end ".repeat(depth)),
        format!("(func {} {})", "loop ".repeat(depth), "end ".repeat(depth)),
        format!("(func {} {})", "i32.const 1 if ".repeat(depth), "end ".repeat(depth)),
        format!("(func (param i32) {} {})", "local.get 0 if ".repeat(depth), "else end ".repeat(depth)),
        format!("(func {} unreachable {})", "block ".repeat(depth), "end ".repeat(depth)),
        format!("(func unreachable {} {})", "block ".repeat(depth), "end ".repeat(depth)),
        format!("(func {} br {depth} {})", "block ".repeat(depth), "end ".repeat(depth)),
        format!("(func (result i32) i32.const 0 {})", "i32.eqz ".repeat(depth)),
        format!("(func (param i32) {} {})", "local.get 0 ".repeat(60_000), "drop ".repeat(60_000)),
    ];
    // The text is read on the thread of the test; what is binary, on the small one.
    let modules: Vec<_> = modules.iter().map(|fields| wat(fields)).collect();
    on_a_small_stack(move || {
        for module in modules {
            begin(&module, Limits::default()).unwrap();
        }
    });
}

#[test]
fn a_call_costs_as_much_as_it_takes_or_nearly() {
    // Its locals are set to zero by each call, at no cost in fuel: the more the locals, the slower the slice.
    let locals = |count: usize| wat(&format!("(func (local {}))", "i64 ".repeat(count)));
    begin(&locals(1_000), Limits::default()).unwrap();
    let error = begin(&locals(1_001), Limits::default()).unwrap_err().to_string();
    assert!(error.contains("too many local variables in a function: 1000 is the limit"), "{error}");
}
