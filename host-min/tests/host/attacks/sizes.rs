//! Modules with very many things in them, or very large ones.

use stateroom_host_min::{Event, Limits, LoadError, Step};

use super::{CONNECT, every_event_ends, leb, module, on_a_small_stack, section};
use crate::guest::{IMPORTS, begin, connect, finish, load, program_with, wat};

/// Repeats `thing` so many times.
fn many(count: usize, thing: impl Fn(usize) -> String) -> String {
    (0..count).map(thing).collect()
}

/// Refuses a module with one too many, and runs one with as many as there may be.
fn at_most(count: usize, thing: impl Fn(usize) -> String) {
    let mut room = begin(&wat(&many(count, &thing)), Limits::default()).unwrap();
    every_event_ends(&mut room, 1);
    let error = load(&many(count + 1, &thing)).unwrap_err();
    assert!(matches!(error, LoadError::TooMany { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("limit") && message.len() < 300, "{message}");
}

#[test]
fn what_each_room_has_a_copy_of_is_limited() {
    at_most(10_000, |_| "(global i64 (i64.const 1))".into());
    at_most(10_000, |_| "(data \"\")".into());
    at_most(10_000, |_| "(elem func)".into());
    // The template has nine.
    at_most(10_000 - 9, |index| format!(r#"(export "{index}" (memory 0))"#));
    let elements = |count: usize| format!("(func $f) (elem func {})", "$f ".repeat(count));
    begin(&wat(&elements(20_000)), Limits::default()).unwrap();
    let error = load(&elements(20_001)).unwrap_err().to_string();
    assert!(error.contains("too many elements for tables: 20000 is the limit"), "{error}");
}

#[test]
fn what_the_host_sees_to_in_each_room_is_limited() {
    at_most(500, |_| "(global (mut i64) (i64.const 1))".into());
    at_most(250, |index| format!(r#"(data $d{index} "") (func (data.drop $d{index}))"#));
    at_most(250, |index| format!("(elem $e{index} func) (func (elem.drop $e{index}))"));
    // The table is one of them.
    let changing = |count: usize| {
        let functions = many(count, |index| format!("(func $f{index}) (elem func $f{index})"));
        format!(
            "(table $t 1 funcref) {functions} (func (table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 0)))"
        )
    };
    begin(&wat(&changing(499)), Limits::default()).unwrap();
    assert!(matches!(load(&changing(500)), Err(LoadError::TooMany { limit: 500, .. })));
    // Where tables stay what they are, their functions are none of the host's business.
    load(&changing(5_000).replace("table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 0)", "nop"))
        .unwrap();
}

#[test]
fn functions_are_of_a_size_that_the_engine_can_take() {
    // Long enough to be worth having.
    at_most(10_000 - 8, |_| format!("(func {})", "nop ".repeat(45)));
    let ty = |count: usize| format!("(type (func (param {})))", "i32 ".repeat(count));
    load(&ty(100)).unwrap();
    for count in [101, 1_000, 1_001, 20_000] {
        assert!(matches!(load(&ty(count)), Err(LoadError::Invalid(_) | LoadError::TooMany { .. })));
    }
    for count in [30_000, 50_000, 50_001] {
        let error = load(&format!("(func (local {}))", "f32 ".repeat(count))).unwrap_err();
        assert!(error.to_string().contains("limit"), "{error}");
    }
    // Locals are counted, not listed: a few bytes can ask for 2^32 of each type, many times.
    let group = [&b"\xff\xff\xff\xff\x0f\x7f"[..]; 5].concat();
    let body = [b"\x05", &group[..], b"\x0b"].concat();
    let code = [b"\x01", &leb(body.len())[..], &body].concat();
    let greedy = module(&[section(1, b"\x01\x60\0\0"), section(3, b"\x01\0"), section(10, &code)]);
    let error = begin(&greedy, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("too many local variables in a function"), "{error}");
}

#[test]
fn types_that_are_declared_and_not_used_are_no_burden() {
    let module =
        |count: usize| module(&[section(1, &[&leb(count)[..], &b"\x60\0\0".repeat(count)].concat())]);
    assert!(matches!(begin(&module(10_000), Limits::default()), Err(LoadError::NotAGuest(_))));
    for count in [10_001, 300_000, 1_000_001] {
        assert!(matches!(begin(&module(count), Limits::default()), Err(LoadError::TooMany { .. })));
    }
}

#[test]
fn a_jump_may_have_very_many_targets() {
    let fields = |targets: usize| {
        format!(
            r#"{IMPORTS} (func (export "connect") (param i32)
                (block (block (br_table {} 1 (local.get 0))) (call $send (i32.const 0) (i32.const 0) (i32.const 1))))"#,
            "0 1 ".repeat(targets / 2)
        )
    };
    let module = wat(&fields(100_000));
    let mut room = on_a_small_stack(move || begin(&module, Limits::default())).unwrap();
    assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
    assert_eq!(room.effects().count(), 0, "target 1 leaves the outer block");
    assert_eq!(finish(&mut room, connect(99_998)), Ok(Step::Done));
    assert_eq!(room.effects().count(), 1);
    assert_eq!(finish(&mut room, connect(u32::MAX)), Ok(Step::Done));
    assert_eq!(room.effects().count(), 0);
    assert!(matches!(load(&fields(200_000)), Err(LoadError::Invalid(_))));

    // With a value, which each target wants somewhere else.
    let nested = format!(
        "(func (param i32) (result i32) {} i32.const 1 local.get 0 br_table {} 0 {})",
        "i32.const 9 block (result i32) ".repeat(500),
        many(100_000, |index| format!("{} ", index % 500)),
        "end drop ".repeat(500)
    );
    load(&nested).unwrap();
}

#[test]
fn a_constant_expression_takes_no_native_stack() {
    for length in [1, 1_000, 1_000_000] {
        let expression = [b"\x41\x01", &b"\x41\x01\x6a".repeat(length)[..], b"\x0b"].concat();
        let nested = [b"\x41\x01".repeat(length + 1), b"\x6a".repeat(length), vec![0x0b]].concat();
        for expression in [expression, nested] {
            let global = module(&[section(6, &[b"\x01\x7f\0", &expression[..]].concat())]);
            let data = [b"\x01\0", &expression[..], b"\0"].concat();
            let data = module(&[section(5, b"\x01\0\x01"), section(11, &data)]);
            let element = [b"\x01\0", &expression[..], b"\0"].concat();
            let element = module(&[section(4, b"\x01\x70\0\x01"), section(9, &element)]);
            for module in [global, data, element] {
                let error = on_a_small_stack(move || begin(&module, Limits::default()).unwrap_err());
                assert!(matches!(error, LoadError::Invalid(_)), "{error}");
            }
        }
    }
}

#[test]
fn custom_sections_count_and_are_not_kept() {
    let size = 100 << 20;
    let guest = wat("");
    let with_sections = |sizes: &[usize]| {
        let sections = sizes.iter().map(|size| section(0, &[&b"\x05notes"[..], &vec![0; *size]].concat()));
        [&guest[..], &sections.collect::<Vec<_>>().concat()].concat()
    };
    let module = with_sections(&[size]);
    let limits = Limits::default();
    assert_eq!(
        begin(&module, limits).unwrap_err(),
        LoadError::TooLarge { size: module.len(), limit: limits.module_size }
    );
    let mut large = limits;
    large.module_size = module.len();
    let resident = resident();
    let mut rooms: Vec<_> = (0..5).map(|_| begin(&module, large).unwrap()).collect();
    // Other tests run beside this one, but five copies could not be overlooked.
    assert!(self::resident() < resident + 3 * size, "five programs from modules of 100 MiB");
    for room in &mut rooms {
        every_event_ends(room, 1);
    }
    // Also many small ones, and empty ones.
    begin(&with_sections(&[0; 100_000]), limits).unwrap();
}

/// Returns how much memory this process has, in bytes; 0 where the system does not say.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).map_or(0, |pages: usize| pages * 4096)
}

#[test]
fn a_function_may_be_as_long_as_the_module() {
    let fields = format!(
        r#"(global $g (mut i32) (i32.const 0)) (func (export "timer") {})"#,
        "global.get $g i32.const 1 i32.add global.set $g ".repeat(200_000)
    );
    let module = wat(&fields);
    assert!(module.len() > 1_000_000);
    let mut room = on_a_small_stack(move || begin(&module, Limits::default())).unwrap();
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
}

#[test]
fn rooms_of_a_large_module_are_made_one_like_the_other() {
    let fields = format!(
        r#"{} {} (memory (export "memory") 16) (data (i32.const 0) "{}")"#,
        many(450, |index| format!("(global (mut i64) (i64.const {index}))")),
        many(900, |index| format!("(data (i32.const {}) \"data\")", index * 4)),
        "x".repeat(900_000)
    );
    let program = program_with(&fields, Limits::default());
    for id in 0..20 {
        let mut room = program.room(&id.to_string(), [0; 32]).unwrap();
        assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    }
}
