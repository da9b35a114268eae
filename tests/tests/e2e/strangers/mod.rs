//! Clients that nobody knows: how fast they may send and come, how many of them there may be, and which address is theirs if they come
//! through a proxy.
#![cfg(target_os = "linux")]

mod forwarded;
mod header;
mod proxies;
mod rates;

use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

use stateroom_server_smol::{Server, TrustedProxy};
use stateroom_tests::{Answer, Frame, PATIENCE, TestServer, server};

/// Returns a server that trusts these proxies.
fn behind(proxies: &[&str]) -> Server {
    let proxies = proxies.iter().map(|proxy| proxy.parse::<TrustedProxy>().expect("a proxy"));
    server().with_trusted_proxies(proxies)
}

/// The request of a client for a WebSocket, who asks what the room knows of its address.
const ASK: &str = "/ws/room?token=1&ask=address";

fn upgrade(path: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// Opens a WebSocket on a connection whose first bytes are `before`. Returns what its room knows of the client's address, or the
/// status if it gets no WebSocket, and the connection.
#[track_caller]
fn address_on<S: Read + Write>(mut stream: S, before: &[u8], headers: &[&str]) -> (String, BufReader<S>) {
    stream.write_all(&[before, upgrade(ASK, headers).as_bytes()].concat()).expect("a request");
    let mut stream = BufReader::new(stream);
    let answer = Answer::read(&mut stream, "GET");
    if answer.status != 101 {
        return (answer.status.to_string(), stream);
    }
    loop {
        let frame = Frame::read(&mut stream).expect("a frame").expect("a message");
        let text = String::from_utf8(frame.payload).expect("text");
        if let Some(address) = text.strip_prefix("address is ") {
            return (address.trim_matches('"').to_owned(), stream);
        }
    }
}

#[track_caller]
fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.set_nodelay(true).expect("an option of every socket");
    stream
}

/// The same as [`address_on`] on a new connection.
#[track_caller]
fn address(server: &TestServer, headers: &[&str]) -> (String, BufReader<TcpStream>) {
    address_on(tcp(server.address()), &[], headers)
}

/// Returns a header of the PROXY protocol, version 2, with this command, protocol and content.
fn header(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let size = u16::try_from(content.len()).expect("a size").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &size, content].concat()
}

/// Returns a header that says that the connection is from this client.
fn from(client: &str) -> Vec<u8> {
    match client.parse::<SocketAddr>().expect("an address") {
        SocketAddr::V4(client) => {
            let addresses = [client.ip().octets(), [10, 0, 0, 1]].concat();
            let ports = [client.port().to_be_bytes(), [0, 80]].concat();
            header(0x21, 0x11, &[addresses, ports].concat())
        }
        SocketAddr::V6(client) => {
            let addresses = [client.ip().octets(), [0; 16]].concat();
            let ports = [client.port().to_be_bytes(), [0, 80]].concat();
            header(0x21, 0x21, &[addresses, ports].concat())
        }
    }
}
