#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stateroom_tests::fuzzing::recording(bytes));
