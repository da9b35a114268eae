//! Compressed messages in resumable sessions, and of rooms on disk.

use stateroom_host_min::{Limits, Program};
use stateroom_tests::{Directory, services::script};

use super::*;

/// Opens a connection of a session, with the offer or without it.
#[track_caller]
fn open(address: SocketAddr, received: u64, offer: Option<&str>) -> Client {
    let session =
        format!("Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.0123456789abcdefghij.{received}");
    let headers: Vec<_> = std::iter::once(&*session).chain(offer).collect();
    let mut client = Client::connect_with(address, "/ws/room", &headers).expect("an upgrade");
    let greeting = client.next_frame().unwrap();
    assert!(greeting.payload.starts_with(b"\0{"), "control messages are not compressed");
    client
}

#[test]
fn kept_messages_come_as_they_are_and_new_ones_compressed() {
    let server = TestServer::with_clock(compressing(100), script());
    let mut other = server.client("room");
    let mut client = open(server.address(), 0, Some(OFFER));
    client.frame(&deflated(Frame::TEXT, text(1000).as_bytes()));
    assert_eq!(inflated(&client.next_frame().unwrap()), text(1000).into_bytes());
    client.hang_up();
    // These are kept, for a connection that may have another agreement.
    for size in [2000, 5000] {
        other.text(&format!("broadcast {}", text(size)));
        assert_eq!(other.next_text(), text(size));
    }
    let expect_kept = |client: &mut Client| {
        for size in [2000, 5000] {
            assert_eq!(client.next_frame(), Some(Frame::text(&text(size))));
        }
    };
    let mut client = open(server.address(), 1, Some(OFFER));
    expect_kept(&mut client);
    client.text(&text(3000));
    assert_eq!(inflated(&client.next_frame().unwrap()), text(3000).into_bytes());
    client.hang_up();
    // The next connection takes no compressed messages.
    let mut client = open(server.address(), 1, None);
    expect_kept(&mut client);
    assert_eq!(client.next_text(), text(3000));
    client.text(&text(4000));
    assert_eq!(client.next_text(), text(4000));
    client.hang_up();
    let mut client = open(server.address(), 5, Some(OFFER));
    client.text(&text(6000));
    assert_eq!(inflated(&client.next_frame().unwrap()), text(6000).into_bytes());
    // A text that could be taken for a control message.
    let text = format!("\0{}", text(500));
    client.text(&format!("\0{text}"));
    assert_eq!(client.next_frame(), Some(Frame::text(&format!("\0{text}"))));
}

#[test]
fn rooms_on_disk_send_compressed_messages_when_the_event_is_on_the_disk() {
    let data = Directory::new();
    let module = std::fs::read(example("echo").join("server.wasm")).unwrap();
    let program = Program::load_and_keep(module.into(), Limits::default()).unwrap();
    let settings = || compressing(100).with_data(Some(data.path().join("data")));
    for _ in 0..2 {
        let server = TestServer::guests(settings(), program.clone());
        let mut client = client(server.address());
        for size in [50, 1000, 10_000] {
            client.frame(&deflated(Frame::TEXT, text(size).as_bytes()));
            let frame = client.next_frame().unwrap();
            assert_eq!(frame.is_compressed, size >= 100);
            let payload = if frame.is_compressed { inflated(&frame) } else { frame.payload };
            assert_eq!(payload, text(size).into_bytes());
        }
    }
}
