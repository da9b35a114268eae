use stateroom_tests::Frame;

use super::{Case, Echo};

#[test]
fn messages_of_all_kinds_of_sizes_come_back() {
    let sizes =
        [("1", 0), ("2", 125), ("3", 126), ("4", 127), ("5", 128), ("6", 65_535), ("7, 1.x.8", 65_536)];
    let cases = sizes.into_iter().flat_map(|(number, size)| {
        let text = Frame::new(Frame::TEXT, vec![b'*'; size]);
        let binary = Frame::new(Frame::BINARY, vec![0xfe; size]);
        [Case::new(format!("1.1.{number}")).echoes(&text), Case::new(format!("1.2.{number}")).echoes(&binary)]
    });
    Echo::start(&[]).run(cases);
}

#[test]
fn a_size_may_have_more_bytes_than_it_needs() {
    // RFC 6455, section 5.2, wants the fewest bytes. The suite does not ask for that, and nothing depends on it.
    let head = |first: u8, size: &[u8]| [&[first], size, &[0; 4]].concat();
    let long = |size: &[u8]| [head(0x82, size), vec![7; 5]].concat();
    let five = Frame::new(Frame::BINARY, [7; 5]);
    Echo::start(&[]).run([
        Case::new("5 bytes, size in 2").raw(long(&[0xfe, 0, 5])).gets(five.clone()),
        Case::new("5 bytes, size in 8").raw(long(&[0xff, 0, 0, 0, 0, 0, 0, 0, 5])).gets(five),
        Case::new("the highest bit of the size")
            .raw(head(0x82, &[0xff, 0x80, 0, 0, 0, 0, 0, 0, 5]))
            .closes(1009),
    ]);
}

#[test]
fn frames_of_clients_are_masked() {
    Echo::start(&[]).run([
        Case::new("text without a mask").raw(Frame::text("hello").unmasked()).closes(1002),
        Case::new("a ping without a mask").raw(Frame::new(Frame::PING, "").unmasked()).closes(1002),
        Case::new("a close frame without a mask").raw(Frame::close(1000).unmasked()).closes(1002),
    ]);
}
