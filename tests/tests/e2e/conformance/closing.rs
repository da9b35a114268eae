use stateroom_tests::Frame;

use super::{Case, Echo};

/// Returns the close frame of a client.
fn close(code: u16, reason: &[u8]) -> Frame {
    Frame::new(Frame::CLOSE, [&code.to_be_bytes(), reason].concat())
}

#[test]
fn nothing_is_answered_after_a_close_frame() {
    let (text, ping) = (Frame::text("Hello, world!"), Frame::new(Frame::PING, ""));
    let large = Frame::new(Frame::TEXT, vec![b'*'; 256 << 10]);
    Echo::start(&[]).run([
        Case::new("7.1.1").echoes(&text).sends(&close(1000, b"")).closes(1000),
        Case::new("7.1.2").sends(&close(1000, b"")).sends(&close(1000, b"")).closes(1000),
        Case::new("7.1.3").sends(&close(1000, b"")).sends(&ping).closes(1000),
        Case::new("7.1.4").sends(&close(1000, b"")).sends(&text).closes(1000),
        Case::new("7.1.5")
            .sends(&Frame::unfinished(Frame::TEXT, "fragment1"))
            .sends(&close(1000, b""))
            .sends(&Frame::new(Frame::CONTINUATION, "fragment2"))
            .closes(1000),
        Case::new("7.1.6").echoes(&large).echoes(&text).sends(&close(1000, b"")).sends(&ping).closes(1000),
    ]);
}

#[test]
fn what_a_close_frame_carries_is_checked() {
    Echo::start(&[]).run([
        Case::new("7.3.1").sends(&Frame::new(Frame::CLOSE, "")).closes(1005),
        Case::new("7.3.2").sends(&Frame::new(Frame::CLOSE, "a")).closes(1002),
        Case::new("7.3.3").sends(&close(1000, b"")).closes(1000),
        Case::new("7.3.4").sends(&close(1000, b"Hello, world!")).closes(1000),
        Case::new("7.3.5").sends(&close(1000, &[b'*'; 123])).closes(1000),
        Case::new("7.3.6").sends(&close(1000, &[b'*'; 124])).closes(1002),
        Case::new("7.5.1")
            .sends(&close(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited"))
            .closes(1007),
        Case::new("a reason that ends in a character").sends(&close(1000, b"caf\xc3")).closes(1007),
        Case::new("a reason with a character of four bytes")
            .sends(&close(4000, "🦀".as_bytes()))
            .closes(4000),
    ]);
}

#[test]
fn a_close_code_is_answered_if_it_may_be_sent() {
    const VALID: [u16; 13] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
    // The registry has more of them.
    const REGISTERED: [u16; 3] = [1012, 1013, 1014];
    const INVALID: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    // 7.13.1 and 7.13.2 are among these.
    const OTHERS: [u16; 4] = [1, 1015, 5000, 65_535];
    let names = |category: u16| (1..).map(move |number| format!("7.{category}.{number}"));
    let named = |category, codes: &'static [u16]| names(category).zip(codes.iter().copied());
    let unnamed = |codes: &'static [u16]| codes.iter().map(|code| (format!("the code {code}"), *code));
    let taken = named(7, &VALID).chain(unnamed(&REGISTERED));
    let refused = named(9, &INVALID).chain(unnamed(&OTHERS));
    let case = |(name, code), answer| Case::new(name).sends(&close(code, b"")).closes(answer);
    let taken = taken.map(|(name, code)| case((name, code), code));
    Echo::start(&[]).run(taken.chain(refused.map(|named| case(named, 1002))));
}
