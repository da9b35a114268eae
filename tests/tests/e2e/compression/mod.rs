//! Compressed messages (permessage-deflate, RFC 7692).

mod delivery;
mod messages;
mod offers;
mod sessions;

use std::net::SocketAddr;

use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec};
use stateroom_tests::{Answer, Child, Client, Frame, Output, TestServer, example, server};

/// What most clients offer.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Connects a client that takes compressed messages.
#[track_caller]
fn client(address: SocketAddr) -> Client {
    let client = offering(address, OFFER).expect("an upgrade");
    assert_eq!(client.extensions(), Some(AGREED));
    client
}

fn offering(address: SocketAddr, header: &str) -> Result<Client, Box<Answer>> {
    Client::connect_with(address, "/ws/room", &[header])
}

/// Returns a message as a client compresses it.
fn deflated(opcode: u8, message: &[u8]) -> Frame {
    let mut payload = compress_to_vec(message, 6);
    payload.push(0);
    Frame::new(opcode, payload).compressed()
}

/// Returns the message of a compressed frame. It stands alone, and has no last block.
#[track_caller]
fn inflated(frame: &Frame) -> Vec<u8> {
    assert!(frame.is_compressed && frame.fin);
    assert!(!frame.payload.ends_with(&[0, 0, 0xff, 0xff]));
    let end = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
    decompress_to_vec(&[&frame.payload[..], &end].concat()).expect("it can be inflated by itself")
}

/// Returns text that becomes much smaller.
fn text(size: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        text += &format!("{{\"id\":{number}}},");
        if text.len() >= size {
            break;
        }
    }
    text.truncate(size);
    text
}

/// Starts the command with the guest `echo` and more options.
#[track_caller]
fn echo(options: &[&str]) -> (Child, SocketAddr) {
    let dist = example("echo").display().to_string();
    let arguments = ["serve", &dist, "--ip", "127.0.0.1", "--port", "0", "--heartbeat-interval", "0"];
    let child = Child::start("stateroom", &[&arguments[..], options].concat());
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    (child, address)
}

/// Returns a server that compresses messages from this size on.
fn compressing(from: usize) -> stateroom_server_smol::Server {
    server().with_compression(Some(from))
}

/// Returns the bytes that all guests and clients of a server take.
#[track_caller]
fn memory(server: &TestServer) -> u64 {
    server.status()["memory"].as_u64().expect("a number")
}
