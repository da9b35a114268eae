use std::{io, net::TcpStream, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use stateroom_server_smol::AdminAddress;

use crate::http::{Answer, Connection, ask, encoded};

/// The time that the server has to answer. It gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The rooms whose ids are asked for together.
const PAGE: usize = 1_000;

/// The type of an answer that is printed.
const TEXT: &str = "text/plain";

/// The beginning of the answer for a room that does not exist.
const NO_ROOM: &[u8] = b"there is no room ";

/// A server that runs, as its operator reaches it.
pub(super) struct Operator(AdminAddress);

impl Operator {
    pub(super) fn new(address: AdminAddress) -> Self {
        Self(address)
    }

    /// Lists all rooms, page by page.
    pub(super) fn list(&self, mut each_page: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut path = "/rooms".to_owned();
        loop {
            let answer = self.ask("GET", &path, TEXT, &[])?;
            let page = String::from_utf8_lossy(&answer.body);
            if !page.is_empty() {
                each_page(&page)?;
            }
            match answer.next_page() {
                Some(next) => path = next.to_owned(),
                None => return Ok(()),
            }
        }
    }

    /// Returns the next ids after this one, in order. There are none after the last.
    pub(super) fn ids(&self, after: Option<&str>) -> Result<Vec<String>> {
        let after = after.map_or_else(String::new, |id| format!("&after={}", encoded(id)));
        let answer = self.ask("GET", &format!("/rooms?limit={PAGE}{after}"), "application/json", &[])?.body;
        let page: Value = serde_json::from_slice(&answer).context("the server's list is no JSON")?;
        let rooms = page["rooms"].as_array().context("the server's list has no rooms")?;
        let id = |room: &Value| room["id"].as_str().map(str::to_owned).context("a room has no id");
        rooms.iter().map(id).collect()
    }

    pub(super) fn show(&self, room: &str) -> Result<String> {
        let answer = self.ask("GET", &format!("/rooms/{}", encoded(room)), TEXT, &[])?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Returns the file of a room, or nothing if there is no such room.
    pub(super) fn export(&self, room: &str) -> Result<Option<Vec<u8>>> {
        let answer = self.answer("GET", &format!("/rooms/{}/export", encoded(room)), TEXT, &[])?;
        match answer.status {
            404 if answer.body.starts_with(NO_ROOM) => Ok(None),
            _ => Ok(Some(success(answer)?.body)),
        }
    }

    pub(super) fn import(&self, file: &[u8], id: Option<&str>) -> Result<String> {
        let query = id.map_or_else(String::new, |id| format!("?as={}", encoded(id)));
        let answer = self.ask("POST", &format!("/rooms{query}"), TEXT, file)?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    pub(super) fn delete(&self, room: &str) -> Result<()> {
        self.ask("DELETE", &format!("/rooms/{}", encoded(room)), TEXT, &[]).map(drop)
    }

    /// Asks the server. An answer that is no success is an error, with what the server says.
    fn ask(&self, method: &str, path: &str, accepts: &str, content: &[u8]) -> Result<Answer> {
        success(self.answer(method, path, accepts, content)?)
    }

    fn answer(&self, method: &str, path: &str, accepts: &str, content: &[u8]) -> Result<Answer> {
        let mut connection = match self.connect() {
            Ok(connection) => connection,
            Err(error) => bail!(
                "cannot reach a server at {}, its operator's address (`serve --admin`): {error}; {}",
                self.0,
                match error.kind() {
                    io::ErrorKind::PermissionDenied =>
                        "only the user that runs the server may open it: run this as that user",
                    _ => "if no server runs, use `--data DIR`",
                }
            ),
        };
        let answer = ask(&mut *connection, method, "localhost", path, accepts, content)
            .with_context(|| format!("the server at {} has not answered", self.0))?;
        if answer.body.starts_with(b"there is nothing here") || (method == "DELETE" && answer.status == 405) {
            bail!(
                "{} is no operator's address, but a public one: use the address of `serve --admin`",
                self.0
            );
        }
        Ok(answer)
    }

    fn connect(&self) -> io::Result<Box<dyn Connection>> {
        Ok(match &self.0 {
            AdminAddress::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Box::new(stream)
            }
            #[cfg(unix)]
            AdminAddress::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Box::new(stream)
            }
            _ => return Err(io::Error::other("this system has no such sockets")),
        })
    }
}

/// Returns an answer that is a success. Another one is an error, with what the server says.
fn success(answer: Answer) -> Result<Answer> {
    match answer.status {
        200..300 => Ok(answer),
        _ => bail!("{}", String::from_utf8_lossy(&answer.body)),
    }
}
