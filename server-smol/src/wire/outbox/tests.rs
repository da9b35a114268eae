use std::{
    future::poll_fn,
    io::Read as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};

use super::*;
use crate::{
    journal::{Journal, RoomNumber},
    memory::{Buffer, Ledger, Stage},
    reactor::block_on,
    websocket::Head,
    wire::{Gate, SharedFrame, chunks::PLACE, frame::SHARED},
};

/// The maximum size of the system's buffers at each end of a connection, in bytes; the system takes half of it
/// for itself. Otherwise it would keep some megabytes more whenever it finds that it could.
const KERNEL: usize = 64 << 10;

/// Returns the server's end of a connection, which does not block, and the client's.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    (stream, client)
}

/// Runs a test with an outbox of a connection, and its other end.
fn with_outbox(limit: usize, test: impl FnOnce(&Rc<Outbox>, TcpStream, &Buffers)) {
    let (stream, client) = connection();
    set_socket_send_buffer_size(&stream, KERNEL).unwrap();
    set_socket_recv_buffer_size(&client, KERNEL).unwrap();
    block_on(async {
        let buffers = Rc::new(Buffers::new(Ledger::new(usize::MAX)));
        let stream = Stream::new(stream).unwrap();
        test(&Outbox::new(stream, Rc::clone(&buffers), limit), client, &buffers);
    });
}

/// Writes what has come together.
fn flush(buffers: &Buffers) {
    buffers.flush.flush_all();
}

fn for_several<'a>(payload: &[u8], buffer: &'a mut Buffer, buffers: &Buffers) -> Frame<'a> {
    Frame::for_several(Opcode::Text, payload, buffer, buffers.ledger()).unwrap()
}

fn text(text: &str) -> Frame<'_> {
    Frame::new(Opcode::Text, text.as_bytes())
}

/// Returns the payloads of frames that have been written, whose heads have two, four or ten bytes.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, rest) = bytes.split_at(Head::frame_size(bytes));
        let head = match frame[1] {
            127 => 10,
            126 => 4,
            _ => 2,
        };
        frames.push((frame[0] & 0x0f, frame[head..].to_vec()));
        bytes = rest;
    }
    frames
}

/// Returns everything that is written until the outbox is gone.
fn rest(mut client: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_comes_together_is_written_together_and_in_order() {
    let large = "x".repeat(SHARED);
    with_outbox(1 << 20, |outbox, client, buffers| {
        let mut spare = [buffers.take(), buffers.take()];
        let [kept, encoded] = &mut spare;
        let kept = for_several(large.as_bytes(), kept, buffers);
        let encoded = for_several(b"b", encoded, buffers);
        assert!(matches!(kept, Frame::Shared(_)) && matches!(encoded, Frame::Encoded(_)));
        for frame in [&text("a"), &encoded, &kept, &text("c"), &kept, &kept, &text("")] {
            outbox.push(frame);
        }
        assert!(!outbox.is_empty());
        flush(buffers);
        assert!(outbox.is_empty());
        outbox.stream.end_writing().unwrap();
        let texts: Vec<_> = frames(&rest(client)).into_iter().map(|(_, text)| text).collect();
        let large = large.as_bytes();
        assert_eq!(texts, [b"a", b"b", large, b"c", large, large, b""]);
    });
}

#[test]
fn what_is_urgent_is_written_first_and_what_goes_to_many_last() {
    with_outbox(1 << 20, |many, _client, buffers| {
        let (one, _other) = connection();
        let outbox = |stream: &TcpStream| {
            let stream = Stream::new(stream.try_clone().unwrap()).unwrap();
            Outbox::new(stream, Rc::clone(&many.buffers), 1 << 20)
        };
        let (few, urgent) = (outbox(&one), outbox(&one));
        let flush = &buffers.flush;
        flush.set_for_many(true);
        many.push(&text("many"));
        flush.set_for_many(false);
        few.push(&text("few"));
        flush.set_urgent(true);
        urgent.push(&text("urgent"));
        flush.set_urgent(false);
        for written in 1..=3 {
            assert!(flush.flush_next().is_some());
            let is_empty = [&urgent, &few, many].map(|outbox| outbox.is_empty());
            assert_eq!(is_empty, [true, written > 1, written > 2]);
        }
        assert_eq!(flush.flush_next(), None);
        // Those that come last get something in each pass.
        for is_urgent in [true, false] {
            flush.set_urgent(is_urgent);
            (if is_urgent { &urgent } else { &few }).push(&text("more"));
        }
        flush.flush_last();
        assert!(few.is_empty() && !urgent.is_empty());
    });
}

#[test]
fn buffers_are_given_back_when_all_is_written() {
    with_outbox(1 << 20, |outbox, _client, buffers| {
        for _ in 0..3 {
            outbox.push(&text("hello"));
            assert_ne!(outbox.queue.borrow().capacity(), 0);
            flush(buffers);
            assert_eq!(outbox.queue.borrow().capacity(), 0);
        }
        assert_ne!(buffers.take().capacity(), 0);
    });
}

#[test]
fn a_client_that_does_not_read_is_let_go_and_the_frame_that_it_has_begun_to_get_ends() {
    let filler = "x".repeat(50_000);
    for several in [false, true] {
        with_outbox(200_000, |outbox, client, buffers| {
            let mut buffer = buffers.take();
            let frame = match several {
                false => text(&filler),
                true => for_several(filler.as_bytes(), &mut buffer, buffers),
            };
            let mut pushed = 0;
            while outbox.closing.borrow().is_none() {
                outbox.push(&frame);
                flush(buffers);
                pushed += 1;
            }
            assert_eq!(outbox.closing.borrow().clone(), Some(CloseReason::ClientTooSlow));
            outbox.push(&text("late"));
            outbox.push_close(&CloseReason::ClientTooSlow);
            // The client takes in what is on its way, and the rest follows.
            let reading = std::thread::spawn(|| rest(client));
            while !outbox.is_empty() {
                std::thread::yield_now();
                outbox.stream.assume_writable();
                outbox.write();
            }
            outbox.stream.end_writing().unwrap();
            let frames = frames(&reading.join().unwrap());
            let (close, texts) = frames.split_last().unwrap();
            assert_eq!((close.0, &close.1[..2]), (Opcode::Close as u8, &1013_u16.to_be_bytes()[..]));
            assert!(texts.iter().all(|(_, text)| text == filler.as_bytes()));
            assert!(texts.len() < pushed);
        });
    }
}

#[test]
fn a_message_larger_than_the_limit_is_too_much_for_any_client() {
    with_outbox(1_000, |outbox, _client, _| {
        outbox.push(&text(&"x".repeat(996)));
        assert_eq!(*outbox.closing.borrow(), None);
        outbox.push(&text(&"x".repeat(997)));
        assert_eq!(outbox.closing.borrow().clone(), Some(CloseReason::ClientTooSlow));
    });
}

#[test]
fn a_client_is_heard_until_half_of_the_limit_waits() {
    with_outbox(1_000, |outbox, _client, buffers| {
        outbox.push(&text(&"x".repeat(490)));
        assert!(!outbox.is_half_full());
        outbox.push(&text(&"x".repeat(10)));
        assert!(outbox.is_half_full());
        flush(buffers);
        assert!(!outbox.is_half_full());
    });
}

#[test]
fn the_first_reason_counts_and_nothing_comes_after_it() {
    with_outbox(10_000, |outbox, client, buffers| {
        outbox.push(&text("before"));
        outbox.close(CloseReason::RoomFailed(None));
        outbox.close(CloseReason::RoomEnded);
        outbox.close_by_room(CloseReason::ServerShutdown);
        outbox.push(&text("late"));
        flush(buffers);
        let end = smol::block_on(poll_fn(|cx| outbox.poll_closing(cx)));
        assert_eq!(end, Some(CloseReason::RoomFailed(None)));
        outbox.stream.end_writing().unwrap();
        assert_eq!(frames(&rest(client)), [(1, b"before".to_vec())]);
    });
}

#[test]
fn what_a_client_has_taken_is_not_kept_though_it_is_always_behind() {
    with_outbox(1 << 20, |outbox, mut client, buffers| {
        client.set_nonblocking(true).unwrap();
        let (filler, mut taken) = ("x".repeat(10_000), vec![0; 1 << 20]);
        let (mut pushed, mut read) = (0, 0);
        while pushed < 64 << 20 {
            // More waits than the system could keep, however much it keeps now. Then the client takes a part of it.
            while outbox.queue.borrow().size < 8 * KERNEL {
                outbox.push(&text(&filler));
                pushed += filler.len();
                flush(buffers);
            }
            read += client.read(&mut taken[..100_000]).unwrap_or(0);
            outbox.stream.assume_writable();
            outbox.write();
            assert!(!outbox.is_empty(), "the system keeps more than it may");
        }
        assert!(read > 32 << 20);
        let kept = outbox.queue.borrow().capacity();
        assert!(kept < 4 << 20, "{kept}");
    });
}

#[test]
fn what_a_client_does_not_take_is_charged_though_others_have_it_too() {
    with_outbox(1 << 20, |outbox, _client, buffers| {
        let ledger = buffers.ledger();
        let filler = "x".repeat(100_000);
        while !outbox.is_blocked() {
            outbox.push(&text(&filler));
            flush(buffers);
        }
        for (size, least) in [(2, 4), (SHARED, PLACE)] {
            let frame = SharedFrame::new(Opcode::Text, "x".repeat(size).as_bytes(), ledger).unwrap();
            let (used, count) = (ledger.used(), 100);
            for _ in 0..count {
                outbox.push(&Frame::Shared(Rc::clone(&frame)));
            }
            let charged = ledger.used() - used;
            assert!((least * count..2 * least * count + CHUNK).contains(&charged), "{size}: {charged}");
        }
        assert!(outbox.closing.borrow().is_none());
    });
}

#[test]
fn nothing_comes_after_a_close_frame() {
    with_outbox(10_000, |outbox, client, buffers| {
        outbox.push(&text("before"));
        outbox.push_close(&CloseReason::ByClient(None));
        outbox.push(&text("late"));
        flush(buffers);
        outbox.stream.end_writing().unwrap();
        assert_eq!(frames(&rest(client)), [(1, b"before".to_vec()), (8, vec![])]);
    });
}

#[test]
fn the_client_for_which_most_waits_is_closed_where_memory_has_run_out() {
    let ledger = Ledger::new(32 << 20);
    let buffers = Rc::new(Buffers::new(Rc::clone(&ledger)));
    let slow_clients = Rc::downgrade(&buffers.slow_clients);
    ledger.register(Stage::SlowClients, slow_clients);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    block_on(async {
        let outbox = || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = Stream::new(stream).unwrap();
            (Outbox::new(stream, Rc::clone(&buffers), 64 << 20), client)
        };
        let (few, many) = (outbox(), outbox());
        let filler = "x".repeat(100_000);
        // Beyond what the system takes.
        for (outbox, size) in [(&few.0, 1 << 20), (&many.0, 8 << 20)] {
            while outbox.queue.borrow().size < size {
                outbox.push(&text(&filler));
                flush(&buffers);
            }
        }
        let used = ledger.used();
        assert!(used >= 9 << 20);
        let charge = ledger.charge(ledger.limit() - used + 1, Purpose::Small).unwrap();
        assert_eq!(*many.0.closing.borrow(), Some(CloseReason::ClientTooSlow));
        assert_eq!(*few.0.closing.borrow(), None);
        drop(charge);
        assert!(ledger.used() < 2 << 20, "{}", ledger.used());
    });
}

/// Returns the messages that another connection of the client gets that has received so many, after the greeting.
fn again(outbox: &Rc<Outbox>, received: u64) -> Vec<(u8, Vec<u8>)> {
    let (stream, mut client) = connection();
    let resumed = Outbox::new(Stream::new(stream).unwrap(), Rc::clone(&outbox.buffers), 1 << 20);
    assert!(outbox.can_resume(received) && resumed.replace(outbox, received, "again"));
    flush(&outbox.buffers);
    drop(resumed);
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    let mut frames = frames(&bytes);
    assert_eq!(frames.remove(0), (1, b"\0again".to_vec()));
    frames
}

#[test]
fn all_messages_are_kept_in_a_resumable_session_and_nothing_else() {
    with_outbox(1 << 20, |outbox, mut client, buffers| {
        outbox.begin_session("hello", 1 << 20);
        assert!(!outbox.can_resume(0), "it has not begun");
        outbox.greet();
        outbox.greet();
        let large = "x".repeat(SHARED);
        let mut buffer = Buffer::new(buffers.ledger());
        outbox.push(&text("a"));
        outbox.push(&Frame::new(Opcode::Ping, b""));
        outbox.push(&text("\0b"));
        outbox.push(&for_several(b"\0c", &mut buffer, buffers));
        outbox.push(&Frame::new(Opcode::Binary, b"\0d"));
        outbox.push(&for_several(
            format!("\0{large}").as_bytes(),
            &mut Buffer::new(buffers.ledger()),
            buffers,
        ));
        outbox.push_control("17");
        outbox.push(&text(""));
        flush(buffers);
        let message = |text: &str| (1, text.as_bytes().to_vec());
        let kept = [
            message("a"),
            message("\0\0b"),
            message("\0\0c"),
            (2, b"\0d".to_vec()),
            message(&format!("\0\0{large}")),
            message(""),
        ];
        outbox.confirm(1);
        assert!(!outbox.can_resume(0) && outbox.can_resume(6) && !outbox.can_resume(7));
        assert_eq!(again(outbox, 2), kept[2..]);
        outbox.hang_up();
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).unwrap();
        let mut written = frames(&bytes);
        assert_eq!(written.remove(0), message("\0hello"));
        written.retain(|frame| frame.0 != 9 && *frame != message("\x0017"));
        assert_eq!(written, kept);
    });
}

#[test]
fn a_session_without_a_connection_ends_if_a_message_is_lost() {
    with_outbox(1 << 20, |outbox, _client, _| {
        outbox.begin_session("hello", 1_010);
        outbox.greet();
        for _ in 0..3 {
            outbox.push(&text(&"x".repeat(400)));
        }
        assert!(outbox.closing().is_none() && !outbox.can_resume(0) && outbox.can_resume(2), "it has one");
        outbox.detach();
        outbox.push(&text("x"));
        assert!(outbox.closing().is_none() && outbox.can_resume(2));
        outbox.push(&text(&"x".repeat(400)));
        assert_eq!(outbox.closing(), Some(CloseReason::SessionEnded));
        assert!(!outbox.can_resume(5));
    });
}

#[test]
fn kept_messages_are_forgotten_if_others_need_their_memory() {
    let ledger = Ledger::new(1 << 20);
    let buffers = Rc::new(Buffers::new(Rc::clone(&ledger)));
    let reclaimer = Rc::downgrade(&buffers.kept_messages);
    ledger.register(Stage::KeptMessages, reclaimer);
    block_on(async {
        let outboxes = [(); 3].map(|()| {
            let (stream, client) = connection();
            let outbox = Outbox::new(Stream::new(stream).unwrap(), Rc::clone(&buffers), 1 << 20);
            outbox.begin_session("hello", 1 << 20);
            outbox.greet();
            (outbox, client)
        });
        for ((outbox, _), size) in outboxes.iter().zip([50_000, 200_000, 100_000]) {
            outbox.push(&text(&"x".repeat(size)));
        }
        flush(&buffers);
        outboxes[1].0.detach();
        let free = ledger.limit() / 16 * 14 - ledger.used();
        let _others = ledger.charge(free + 100_000, Purpose::New).unwrap();
        let can_resume = outboxes.each_ref().map(|(outbox, _)| outbox.can_resume(0));
        assert_eq!(can_resume, [true, false, true], "the largest goes first");
        assert_eq!(outboxes[1].0.closing(), Some(CloseReason::SessionEnded));
    });
}

#[test]
fn what_is_held_back_is_not_written_with_what_waits_for_the_socket() {
    let (stream, mut client) = connection();
    client.set_nonblocking(true).unwrap();
    block_on(async {
        let buffers = Rc::new(Buffers::new(Ledger::new(usize::MAX)));
        let (journal, set_durable) = Journal::for_tests();
        let journal = Rc::new(journal);
        buffers.gate.set(Gate::new(Rc::clone(&journal), buffers.ledger())).unwrap();
        let gate = buffers.gate.get().unwrap();
        let outbox = Outbox::new(Stream::new(stream).unwrap(), Rc::clone(&buffers), 4_000);
        let mut received = || {
            let mut bytes = [0; 10_000];
            client.read(&mut bytes).unwrap_or(0)
        };
        let event = || journal.add(|entries| entries.end(RoomNumber(1)));
        for ticket in 1..=2 {
            event();
            outbox.push(&text(&"a".repeat(1_900)));
            gate.end_pass(&buffers.flush);
            set_durable(ticket);
            gate.end_pass(&buffers.flush);
            assert_eq!(received(), 0, "nobody has written it yet");
        }
        // There is no space for it if the first ones are not written, and they may be.
        event();
        outbox.push(&text(&"b".repeat(1_000)));
        assert_eq!(received(), 2 * 1_904);
        flush(&buffers);
        outbox.write();
        assert_eq!(received(), 0, "its event is not on the disk");
        // Small ones do not get through, either.
        outbox.push(&text("c"));
        outbox.write();
        assert_eq!(received(), 0);
        set_durable(3);
        gate.end_pass(&buffers.flush);
        flush(&buffers);
        assert_eq!(received(), 1_004 + 3);
        assert!(outbox.closing().is_none());
        outbox.hang_up();
        gate.clear();
    });
}
