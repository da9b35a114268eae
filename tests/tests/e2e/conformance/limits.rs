use stateroom_tests::{Client, Frame};

use super::{Case, Echo};

/// The bounded form of categories 9 and 10: sizes up to the limit, and beyond it.
const LIMIT: usize = 1 << 20;

fn in_fragments(opcode: u8, size: usize, fragment: usize) -> Case {
    let payload = vec![b'*'; size];
    let mut opcodes = std::iter::once(opcode).chain(std::iter::repeat(Frame::CONTINUATION));
    let case = payload.chunks(fragment).fold(Case::new(format!("{size} in {fragment}")), |case, piece| {
        case.sends(&Frame::unfinished(opcodes.next().expect("it goes on"), piece))
    });
    case.sends(&Frame::new(Frame::CONTINUATION, ""))
}

#[test]
fn large_messages_come_back() {
    let server = Echo::start(&["--max-message-size", "1MiB"]);
    let cases = [("9.1", Frame::TEXT), ("9.2", Frame::BINARY)].into_iter().flat_map(|(category, opcode)| {
        let sizes = [(1, 64 << 10), (2, 256 << 10), (3, LIMIT)];
        sizes.map(|(number, size)| {
            Case::new(format!("{category}.{number}")).echoes(&Frame::new(opcode, vec![b'*'; size]))
        })
    });
    server.run(cases);
    // 9.3 and 9.4, in fragments, and 9.5 and 9.6, in small pieces.
    for opcode in [Frame::TEXT, Frame::BINARY] {
        let whole = Frame::new(opcode, vec![b'*'; 256 << 10]);
        server.run(
            [1 << 10, 16 << 10, 256 << 10]
                .map(|fragment| in_fragments(opcode, 256 << 10, fragment).gets(whole.clone())),
        );
    }
}

#[test]
fn a_message_beyond_the_limit_is_refused_as_soon_as_its_size_is_known() {
    let server = Echo::start(&["--max-message-size", "1MiB"]);
    let head = Frame::new(Frame::BINARY, vec![0; LIMIT + 1]).masked()[..14].to_vec();
    let ten = in_fragments(Frame::BINARY, LIMIT, LIMIT / 10);
    server.run([
        Case::new("its head").raw(head).closes(1009),
        ten.gets(Frame::new(Frame::BINARY, vec![b'*'; LIMIT])),
        // The last fragment has one byte too many.
        (0..16)
            .fold(Case::new("17 fragments").sends(&Frame::unfinished(Frame::TEXT, "")), |case, _| {
                case.sends(&Frame::unfinished(Frame::CONTINUATION, vec![b'*'; LIMIT / 16]))
            })
            .sends(&Frame::new(Frame::CONTINUATION, "*"))
            .closes(1009),
    ]);
}

#[test]
fn a_thousand_messages_come_back_in_order() {
    // 9.7 and 9.8, all of them on their way at once.
    let server = Echo::start(&[]);
    for size in [0, 16, 64, 256, 1024, 4096] {
        for opcode in [Frame::TEXT, Frame::BINARY] {
            let message = move |number: usize| {
                let mut payload = format!("{number} ").into_bytes();
                payload.resize(payload.len().max(size), b'*');
                Frame::new(opcode, payload)
            };
            let mut client: Client = server.client();
            let sender = client.send_aside((0..1_000).map(message));
            for number in 0..1_000 {
                assert_eq!(client.next_frame(), Some(message(number)));
            }
            sender.join().expect("it sends");
            client.leave();
        }
    }
}
