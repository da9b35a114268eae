use stateroom_tests::Frame;

use super::{Case, Echo};

/// Sends a ping and expects its pong.
fn ping(case: Case, payload: &[u8]) -> Case {
    case.sends(&Frame::new(Frame::PING, payload)).gets(Frame::new(Frame::PONG, payload))
}

#[test]
fn a_ping_is_answered_with_its_content_and_a_pong_is_not_answered() {
    let pong = |payload: &str| Frame::new(Frame::PONG, payload);
    let ten =
        (0..10).fold(Case::new("2.10, 2.11"), |case, number| ping(case, format!("{number}").as_bytes()));
    Echo::start(&[]).run([
        ping(Case::new("2.1"), b""),
        ping(Case::new("2.2"), b"Hello, world!"),
        ping(Case::new("2.3"), &[0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]),
        ping(Case::new("2.4, 2.6"), &[0xfe; 125]),
        Case::new("2.5").sends(&Frame::new(Frame::PING, [0xfe; 126])).closes(1002),
        Case::new("2.7").sends(&pong("")),
        Case::new("2.8").sends(&pong("unsolicited pong payload")),
        ping(Case::new("2.9").sends(&pong("unsolicited pong payload")), b"ping payload"),
        ten,
        Case::new("a pong of 126 bytes").sends(&Frame::new(Frame::PONG, [0; 126])).closes(1002),
    ]);
}
