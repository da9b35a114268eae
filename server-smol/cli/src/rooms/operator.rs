use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use stateroom_server_smol::{AdminAddress, AdminToken};

use crate::{
    args::{CloseArgs, OperatorPlace, TokenPlace, read_admin_token},
    http::{Answer, Connection, Request, ask, encoded},
};

/// The time that the server has to answer. It gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The rooms whose ids are asked for together.
const PAGE: usize = 1_000;

/// The type of an answer that is printed.
const TEXT: &str = "text/plain";

/// The beginning of the answer for a room that does not exist.
const NO_ROOM: &[u8] = b"there is no room ";
/// The host of each request. The server takes it at every address of its operator.
const HOST: &str = "localhost";

/// The time without anything on a stream of events after which the server is gone. It sends something every 10 seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// A server that runs, as its operator reaches it.
pub(super) struct Operator {
    address: AdminAddress,
    token: Option<AdminToken>,
}

/// The content of a message.
pub(super) enum Message {
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

impl Operator {
    pub(super) fn new(address: AdminAddress, token: &TokenPlace) -> Result<Self> {
        Ok(Self { address, token: token.token.as_deref().map(read_admin_token).transpose()? })
    }

    pub(super) fn at(place: OperatorPlace) -> Result<Self> {
        Self::new(place.admin, &place.token)
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
        let answer = self.answer("GET", &format!("/rooms/{}/export", encoded(room)), TEXT, "", &[])?;
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

    /// Closes all clients of a room. Returns their number.
    pub(super) fn close(&self, room: &str, close: &CloseArgs) -> Result<u64> {
        self.ask("POST", &format!("/rooms/{}/close{}", encoded(room), query(close)), TEXT, &[])
            .and_then(clients)
    }

    /// Closes a client of a room.
    pub(super) fn kick(&self, room: &str, client: u32, close: &CloseArgs) -> Result<()> {
        let path = format!("/rooms/{}/clients/{client}{}", encoded(room), query(close));
        self.ask("DELETE", &path, TEXT, &[]).map(drop)
    }

    /// Sends a message to all clients of a room. Returns their number.
    pub(super) fn send(&self, room: &str, message: &Message) -> Result<u64> {
        let path = format!("/rooms/{}/messages", encoded(room));
        let (content_type, content) = match message {
            Message::Text(content) => ("text/plain; charset=utf-8", content),
            Message::Binary(content) => ("application/octet-stream", content),
        };
        let content_type = format!("Content-Type: {content_type}\r\n");
        success(self.answer("POST", &path, TEXT, &content_type, content)?).and_then(clients)
    }

    /// Calls `begun` when events are about to come, and `each` with each event of a room and its data, until it returns false.
    ///
    /// # Errors
    /// The server refuses that, or has ended.
    pub(super) fn watch(
        &self,
        room: &str,
        begun: impl FnOnce(),
        mut each: impl FnMut(&str, &str) -> bool,
    ) -> Result<()> {
        let path = format!("/rooms/{}/events", encoded(room));
        let mut connection = self.connect(SILENCE)?;
        let headers = self.authorization();
        let request = Request {
            method: "GET",
            host: HOST,
            path: &path,
            accepts: "*/*",
            headers: &headers,
            content: &[],
        };
        let lost = || format!("the server at {} has not answered", self.address);
        connection.write_all(request.head().as_bytes()).with_context(lost)?;
        let mut stream = BufReader::new(connection);
        let mut line = String::new();
        let mut next = |stream: &mut BufReader<_>| -> Result<Option<String>> {
            line.clear();
            let size =
                stream.read_line(&mut line).context("the server is silent, or the connection is lost")?;
            Ok((size > 0).then(|| line.trim_end().to_owned()))
        };
        let status = next(&mut stream)?.unwrap_or_default();
        while next(&mut stream)?.is_some_and(|line| !line.is_empty()) {}
        if status.split(' ').nth(1) != Some("200") {
            let mut words = String::new();
            stream.read_to_string(&mut words).with_context(lost)?;
            bail!("{words}");
        }
        begun();
        let mut event = String::new();
        while let Some(line) = next(&mut stream)? {
            if let Some(name) = line.strip_prefix("event: ") {
                name.clone_into(&mut event);
            } else if let Some(data) = line.strip_prefix("data: ")
                && !each(&event, data)
            {
                return Ok(());
            }
        }
        bail!("the server has ended the stream of events")
    }

    /// Asks the server. An answer that is no success is an error, with what the server says.
    fn ask(&self, method: &str, path: &str, accepts: &str, content: &[u8]) -> Result<Answer> {
        success(self.answer(method, path, accepts, "", content)?)
    }

    fn answer(
        &self,
        method: &str,
        path: &str,
        accepts: &str,
        headers: &str,
        content: &[u8],
    ) -> Result<Answer> {
        let headers = format!("{}{headers}", self.authorization());
        let request = Request { method, host: HOST, path, accepts, headers: &headers, content };
        let mut connection = self.connect(TIMEOUT)?;
        let answer = ask(&mut *connection, request)
            .with_context(|| format!("the server at {} has not answered", self.address))?;
        if answer.body.starts_with(b"there is nothing here") || (method == "DELETE" && answer.status == 405) {
            bail!(
                "{} is no operator's address, but a public one: use the address of `serve --admin`",
                self.address
            );
        }
        Ok(answer)
    }

    /// Returns the header with the token, if there is one.
    fn authorization(&self) -> String {
        let header = |token: &AdminToken| format!("Authorization: Bearer {}\r\n", token.as_str());
        self.token.as_ref().map(header).unwrap_or_default()
    }

    fn connect(&self, timeout: Duration) -> Result<Box<dyn Connection>> {
        self.open(timeout).map_err(|error| {
            anyhow!(
                "cannot reach a server at {}, its operator's address (`serve --admin`): {error}; {}",
                self.address,
                match error.kind() {
                    io::ErrorKind::PermissionDenied =>
                        "only the user that runs the server may open it: run this as that user",
                    _ => "if no server runs, use `--data DIR`",
                }
            )
        })
    }

    fn open(&self, timeout: Duration) -> io::Result<Box<dyn Connection>> {
        Ok(match &self.address {
            AdminAddress::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(timeout))?;
                Box::new(stream)
            }
            #[cfg(unix)]
            AdminAddress::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path)?;
                stream.set_read_timeout(Some(timeout))?;
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
        401 => bail!("{} (`--admin-token-file`)", String::from_utf8_lossy(&answer.body)),
        _ => bail!("{}", String::from_utf8_lossy(&answer.body)),
    }
}

/// Returns the query that says how clients are closed.
fn query(CloseArgs { code, reason }: &CloseArgs) -> String {
    let code = code.map(|code| format!("code={code}"));
    let reason = reason.as_ref().map(|reason| format!("reason={}", encoded(reason)));
    let parameters: Vec<_> = code.into_iter().chain(reason).collect();
    if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) }
}

/// Returns the number of clients in an answer.
fn clients(answer: Answer) -> Result<u64> {
    let answer: Value = serde_json::from_slice(&answer.body).context("this is no answer of a server")?;
    answer["clients"].as_u64().context("the server does not say how many clients there are")
}
