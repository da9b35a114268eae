use stateroom_tests::Frame;

use super::{Case, Echo};

#[test]
fn reserved_opcodes_fail_the_connection() {
    let (text, ping) = (Frame::text("Hello, world!"), Frame::new(Frame::PING, ""));
    let reserved = [("4.1", 3), ("4.2", 11)].into_iter().flat_map(|(category, first)| {
        (0..5).map(move |number| (format!("{category}.{}", number + 1), first + number))
    });
    let cases = reserved.map(|(name, opcode)| match opcode {
        3 | 11 => Case::new(name).sends(&Frame::new(opcode, "")).closes(1002),
        4 | 12 => Case::new(name).sends(&Frame::new(opcode, "reserved opcode payload")).closes(1002),
        _ => Case::new(name).echoes(&text).sends(&Frame::new(opcode, "")).sends(&ping).closes(1002),
    });
    Echo::start(&[]).run(cases);
}
