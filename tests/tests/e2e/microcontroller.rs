//! The example for a microcontroller does what rooms do, in the memory of a small one.

use std::fs;

use stateroom_tests::{Child, Output, microcontroller};

/// The flash and RAM that the example may take, in bytes.
const FLASH: usize = 512 << 10;
const RAM: usize = 128 << 10;

/// The answers to each command.
const CONVERSATION: &[(&str, &[&str])] = &[
    ("connect echo 1", &[]),
    ("message echo 1 hello", &["send echo 1 hello"]),
    ("message echo 1", &["send echo 1 "]),
    ("message echo 1 two words, 😀", &["send echo 1 two words, 😀"]),
    ("connect counter 1", &[]),
    ("connect counter 2", &[]),
    ("message counter 1 increment", &["send counter all new value: 1"]),
    ("message counter 2 increment", &["send counter all new value: 2"]),
    ("disconnect counter 1", &[]),
    ("message counter 1 increment", &["error the client is not connected"]),
    ("message counter 2 decrement", &["send counter all new value: 1"]),
    ("message counter 2 something else", &[]),
    ("connect counter 2", &["error the client is connected already"]),
    ("connect lobby 1", &["error there is no such room"]),
    ("connect echo 0", &["error the line is no command"]),
    ("disconnect echo 1", &[]),
];

#[test]
fn the_memory_map_has_the_ram_that_is_promised() {
    let map =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/microcontroller/memory.x"))
            .unwrap();
    let regions = map.lines().filter(|line| line.contains("ORIGIN = 0x2"));
    let lengths = regions.map(|line| line.rsplit_once("LENGTH = ").expect("a region has a length").1);
    let kib = lengths.map(|length| length.strip_suffix('K').and_then(|kib| kib.parse().ok()));
    assert_eq!(kib.map(|kib: Option<usize>| kib.expect("it is in KiB") << 10).sum::<usize>(), RAM);
}

#[test]
fn rooms_run_on_a_microcontroller() {
    let mut board = microcontroller();
    let loaded = ["echo", "counter"].map(|guest| board.line(Output::Stdout, &format!("loaded {guest}: ")));
    board.line(Output::Stdout, "ready");
    for (command, answers) in CONVERSATION {
        board.say(command);
        for answer in *answers {
            assert_eq!(board.next_line(Output::Stdout), *answer, "the answer to `{command}`");
        }
    }

    // As many messages as show that none leaves anything behind.
    board.say("connect echo 3");
    let long = "x".repeat(400);
    for _ in 0..200 {
        board.say(&format!("message echo 3 {long}"));
        assert_eq!(board.next_line(Output::Stdout), format!("send echo 3 {long}"));
    }
    board.say(&format!("message echo 3 {}", "x".repeat(512)));
    assert_eq!(board.next_line(Output::Stdout), "error the line is too long, or not UTF-8");

    board.say("stop");
    let [flash, statics, heap, stack, ram] =
        ["flash", "statics", "heap", "stack", "ram"].map(|kind| used(&board, kind));
    println!("{loaded:#?}\nflash {flash}, RAM {ram}: statics {statics}, heap {heap}, stack {stack}");
    assert!(flash <= FLASH, "{flash} bytes of flash");
    assert!(ram <= RAM, "{ram} bytes of RAM");
    assert_eq!(ram, statics + heap + stack);
    assert!(heap > 0 && stack > 0, "they have been measured");
    assert_eq!(board.exit().0, Some(0));
}

/// Returns the number of bytes that the program reports.
#[track_caller]
fn used(board: &Child, kind: &str) -> usize {
    let line = board.next_line(Output::Stdout);
    let bytes = line.strip_prefix("used ").and_then(|line| line.strip_prefix(kind));
    let bytes = bytes.and_then(|bytes| bytes.trim().parse().ok());
    bytes.unwrap_or_else(|| panic!("the bytes of {kind}: {line}"))
}
