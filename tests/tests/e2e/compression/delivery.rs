//! Messages of rooms.

use std::time::Duration;

use stateroom_tests::{eventually, guest, services::script};

use super::*;

#[test]
fn a_message_to_all_comes_compressed_to_those_who_take_that() {
    for threads in [1, 2] {
        let server = TestServer::with(compressing(100).with_threads(threads), script());
        let mut clients: Vec<_> = (0..100).map(|_| client(server.address())).collect();
        let mut plain = server.client("room");
        for size in [50, 100, 2000, 5000, 100_000, 300_000] {
            let message = text(size);
            plain.text(&format!("broadcast {message}"));
            assert_eq!(plain.next_text(), message);
            let first = clients[0].next_frame().unwrap();
            // Neither small nor very large ones are compressed.
            assert_eq!(first.is_compressed, (100..=256 << 10).contains(&size), "{size}");
            if first.is_compressed {
                assert!(first.payload.len() < size * 3 / 4);
                assert_eq!(inflated(&first), message.into_bytes());
            }
            for client in &mut clients[1..] {
                assert_eq!(client.next_frame().as_ref(), Some(&first));
            }
        }
    }
}

#[test]
fn what_does_not_become_smaller_comes_as_it_is() {
    let server = TestServer::with(compressing(1), script());
    let mut client = client(server.address());
    let noise: Vec<u8> =
        (0..10_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 23) as u8).collect();
    for size in [0, 1, 5, 100] {
        let frame = Frame::new(Frame::BINARY, &noise[..size]);
        client.frame(&frame);
        assert_eq!(client.next_frame(), Some(frame));
    }
    client.frame(&Frame::new(Frame::PING, [0; 125]));
    assert_eq!(client.next_frame(), Some(Frame::new(Frame::PONG, [0; 125])));
    client.frame(&Frame::new(Frame::CLOSE, [&[0x0f, 0xa0][..], &[b'a'; 100]].concat()));
    assert_eq!(client.next_frame(), Some(Frame::close(4000)));
}

#[test]
fn a_guest_sends_and_gets_compressed_messages_after_hibernation_too() {
    let settings =
        compressing(100).with_heartbeat_interval(Duration::ZERO).with_heartbeat_timeout(Duration::ZERO);
    let server = TestServer::with_clock(settings, guest("echo"));
    let mut client = client(server.address());
    for _ in 0..3 {
        client.frame(&deflated(Frame::TEXT, text(3000).as_bytes()));
        assert_eq!(inflated(&client.next_frame().unwrap()), text(3000).into_bytes());
        eventually("the room hibernates", || {
            server.pass(Duration::from_secs(10));
            server.status()["hibernating_room_count"] == 1
        });
    }
}

#[test]
fn a_client_that_does_not_read_is_closed_and_others_go_on() {
    let server = TestServer::with(compressing(100).with_outbox_size(20_000), script());
    let (mut slow, mut other) = (client(server.address()), client(server.address()));
    let message = text(40_000);
    // What waits is compressed.
    for _ in 0..20_000 {
        other.text(&format!("broadcast {message}"));
        assert_eq!(inflated(&other.next_frame().unwrap()).len(), message.len());
        if server.stats().clients == 1 {
            break;
        }
    }
    assert_eq!(server.stats().clients, 1);
    loop {
        let frame = slow.next_frame().expect("a close frame");
        if frame.opcode == Frame::CLOSE {
            assert_eq!(frame.payload[..2], 1013_u16.to_be_bytes());
            break;
        }
        assert_eq!(inflated(&frame).len(), message.len());
    }
}
