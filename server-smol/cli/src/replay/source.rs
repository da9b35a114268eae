use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use hyper::Uri;

use crate::module;

/// The time that a server has to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a recording: a file, or else the room of that id on a server that runs.
pub(super) fn read(recording: &Path, server: &Uri) -> Result<Vec<u8>> {
    match fs::read(recording) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match recording.to_str() {
            Some(path) if path.ends_with(".recording") => {
                bail!("there is no file `{path}`")
            }
            Some(room) => fetch(room, server).with_context(|| {
                format!("there is no file `{room}`, and no recording of the room {room:?} can be had from {server} (`stateroom dev` serves it there, or give `--server`)")
            }),
            None => Err(module::unreadable(recording, &error)),
        },
        read => read.map_err(|error| module::unreadable(recording, &error)),
    }
}

/// Asks a server for the recording of a room.
fn fetch(room: &str, server: &Uri) -> Result<Vec<u8>> {
    let authority = server.authority().context("the address of the server has no host")?;
    if server.scheme_str() != Some("http") {
        bail!("its address should begin with `http://`");
    }
    let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let path = server.path().trim_end_matches('/');
    // With HTTP/1.0 the end of the connection is the end of the answer.
    write!(stream, "GET {path}/rooms/{}/recording HTTP/1.0\r\nHost: {authority}\r\n\r\n", encoded(room))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("this is no HTTP server")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let body = answer.split_off(end + 4);
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        Some("404") => Err(anyhow!("{}", String::from_utf8_lossy(&body))),
        _ => bail!("it answers `{}`", head.lines().next().unwrap_or_default()),
    }
}

/// Returns a room's id as a part of a path.
fn encoded(room: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    room.bytes().map(encode).collect()
}
