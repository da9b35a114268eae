//! What client and server agree on.

use super::*;

#[test]
fn the_command_compresses_only_if_it_is_told_to() {
    let (_child, address) = echo(&[]);
    let mut plain = offering(address, OFFER).unwrap();
    assert_eq!(plain.extensions(), None);
    plain.frame(&deflated(Frame::TEXT, b"hello"));
    assert_eq!(plain.closed(), 1002);

    let (_child, address) = echo(&["--compress"]);
    let mut client = client(address);
    // Nothing below 512 bytes is compressed.
    let (small, large) = (text(511), text(512));
    client.text(&small);
    assert_eq!(client.next_frame(), Some(Frame::text(&small)));
    client.frame(&deflated(Frame::TEXT, large.as_bytes()));
    let answer = client.next_frame().unwrap();
    assert!(answer.payload.len() < 200, "{}", answer.payload.len());
    assert_eq!((answer.opcode, inflated(&answer)), (Frame::TEXT, large.clone().into_bytes()));
    // Others get the same message as it is.
    let mut plain = Client::connect(address, "/ws/room").unwrap();
    assert_eq!(plain.extensions(), None);
    assert_eq!(plain.ask(&large), large);

    let (_child, address) = echo(&["--compress=1KiB"]);
    let mut client = super::client(address);
    client.text(&large);
    assert_eq!(client.next_frame(), Some(Frame::text(&large)));
    client.text(&text(1024));
    assert_eq!(inflated(&client.next_frame().unwrap()), text(1024).into_bytes());
}

#[test]
fn all_windows_are_agreed_on_and_kept() {
    let (_child, address) = echo(&["--compress=1"]);
    let own = "Sec-WebSocket-Extensions: permessage-deflate";
    for (offer, agreed) in [
        ("", AGREED),
        ("; client_no_context_takeover", AGREED),
        ("; server_no_context_takeover; client_no_context_takeover", AGREED),
        ("; client_max_window_bits", AGREED),
        ("; client_max_window_bits=8", AGREED),
        ("; client_max_window_bits=\"15\"", AGREED),
        ("; unknown; x=y, permessage-deflate", AGREED),
        ("; server_max_window_bits=16, permessage-deflate; client_max_window_bits", AGREED),
    ] {
        let client = offering(address, &format!("{own}{offer}")).unwrap();
        assert_eq!(client.extensions(), Some(agreed), "{offer}");
    }
    // Some offers in several headers are one list.
    let header = format!("{own}; unknown\r\nSec-WebSocket-Extensions: x-other, permessage-deflate");
    assert_eq!(offering(address, &header).unwrap().extensions(), Some(AGREED));
    for bits in 8..=15 {
        let mut client = offering(address, &format!("{own}; server_max_window_bits={bits}")).unwrap();
        assert_eq!(client.extensions(), Some(&*format!("{AGREED}; server_max_window_bits={bits}")));
        // A message that fits into the window is compressed, and one that may refer to bytes before it is not.
        let fits = text(1 << bits);
        client.text(&fits);
        assert_eq!(inflated(&client.next_frame().unwrap()), fits.into_bytes(), "{bits}");
        if bits < 15 {
            let larger = text((1 << bits) + 1);
            client.text(&larger);
            assert_eq!(client.next_frame(), Some(Frame::text(&larger)), "{bits}");
        }
    }
    for declined in [
        "; unknown",
        "; server_max_window_bits",
        "; server_max_window_bits=7",
        "; client_max_window_bits=16",
        "; client_max_window_bits=08",
        "; server_no_context_takeover=1",
        "; client_no_context_takeover; client_no_context_takeover",
        "; client_max_window_bits; client_max_window_bits=10",
        "; server_max_window_bits=10; server_max_window_bits=11",
    ] {
        let mut client = offering(address, &format!("{own}{declined}")).unwrap();
        assert_eq!(client.extensions(), None, "{declined}");
        client.text(&text(1000));
        assert_eq!(client.next_frame(), Some(Frame::text(&text(1000))), "{declined}");
    }
}
