use stateroom_tests::Frame;

use super::{Case, Echo};

/// Returns a frame with reserved bits.
fn with(bits: u8, frame: &Frame) -> Vec<u8> {
    let mut bytes = frame.masked();
    bytes[0] |= bits << 4;
    bytes
}

#[test]
fn reserved_bits_fail_the_connection() {
    let (text, ping) = (Frame::text("Hello, world!"), Frame::new(Frame::PING, ""));
    let after_text =
        |name: &str, bits| Case::new(name).echoes(&text).raw(with(bits, &text)).sends(&ping).closes(1002);
    Echo::start(&[]).run([
        Case::new("3.1").raw(with(1, &text)).closes(1002),
        after_text("3.2", 2),
        after_text("3.3", 3),
        after_text("3.4", 4),
        Case::new("3.5").raw(with(5, &Frame::new(Frame::BINARY, [0xff; 8]))).closes(1002),
        Case::new("3.6").raw(with(6, &Frame::new(Frame::PING, "Hello, world!"))).closes(1002),
        Case::new("3.7").raw(with(7, &Frame::close(1000))).closes(1002),
        Case::new("a continuation with a reserved bit")
            .sends(&Frame::unfinished(Frame::TEXT, "a"))
            .raw(with(4, &Frame::new(Frame::CONTINUATION, "b")))
            .closes(1002),
    ]);
}
