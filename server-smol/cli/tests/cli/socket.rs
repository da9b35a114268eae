//! The least that a WebSocket client has to do.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

/// Waits until a client's request has become a WebSocket.
pub(crate) fn joined(mut client: TcpStream) -> TcpStream {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    client
}

/// Reads a text message of less than 126 bytes.
pub(crate) fn next_text(client: &mut TcpStream) -> String {
    let mut head = [0; 2];
    client.read_exact(&mut head).unwrap();
    assert!(head[0] == 0x81 && head[1] < 126, "{head:x?}");
    let mut text = vec![0; head[1].into()];
    client.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Sends a text message of less than 126 bytes, and reads the answer.
pub(crate) fn ask(client: &mut TcpStream, text: &str) -> String {
    // The mask is all zeros.
    let head = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
    client.write_all(&[&head, text.as_bytes()].concat()).unwrap();
    next_text(client)
}
