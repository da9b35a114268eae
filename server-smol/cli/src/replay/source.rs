use std::{fs, io, net::TcpStream, path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use hyper::Uri;

use crate::{
    http::{ask, encoded},
    module,
};

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
    let path = format!("{}/rooms/{}/recording", server.path().trim_end_matches('/'), encoded(room));
    let answer = ask(&mut stream, "GET", authority.as_str(), &path, "*/*", &[])?;
    match answer.status {
        200 => Ok(answer.body),
        404 => Err(anyhow!("{}", String::from_utf8_lossy(&answer.body))),
        _ => bail!("it answers `{}`", answer.status_line()),
    }
}
