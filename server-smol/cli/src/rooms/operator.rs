use std::{net::TcpStream, time::Duration};

use anyhow::{Context as _, Result, bail};
use stateroom_server_smol::AdminAddress;

use crate::http::{Answer, Connection, ask, encoded};

/// The time that the server has to answer. It gives up earlier.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A server that runs, as its operator reaches it.
pub(super) struct Operator(AdminAddress);

impl Operator {
    pub(super) fn new(address: AdminAddress) -> Self {
        Self(address)
    }

    /// Lists all rooms, page by page.
    pub(super) fn list(&self, mut each_page: impl FnMut(&str)) -> Result<()> {
        let mut path = "/rooms".to_owned();
        loop {
            let answer = self.ask("GET", &path, &[])?;
            let page = String::from_utf8_lossy(&answer.body);
            if !page.is_empty() {
                each_page(&page);
            }
            match answer.next_page() {
                Some(next) => path = next.to_owned(),
                None => return Ok(()),
            }
        }
    }

    pub(super) fn show(&self, room: &str) -> Result<String> {
        let answer = self.ask("GET", &format!("/rooms/{}", encoded(room)), &[])?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    pub(super) fn export(&self, room: &str) -> Result<Vec<u8>> {
        Ok(self.ask("GET", &format!("/rooms/{}/export", encoded(room)), &[])?.body)
    }

    pub(super) fn import(&self, file: &[u8], id: Option<&str>) -> Result<String> {
        let query = id.map_or_else(String::new, |id| format!("?as={}", encoded(id)));
        let answer = self.ask("POST", &format!("/rooms{query}"), file)?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    pub(super) fn delete(&self, room: &str) -> Result<()> {
        self.ask("DELETE", &format!("/rooms/{}", encoded(room)), &[]).map(drop)
    }

    /// Asks the server. An answer that is no success is an error, with what the server says.
    fn ask(&self, method: &str, path: &str, content: &[u8]) -> Result<Answer> {
        let answer = self
            .connect()
            .and_then(|mut connection| ask(&mut *connection, method, "localhost", path, content))
            .with_context(|| {
                format!("cannot reach a server at {}, its operator's address (`serve --admin`)", self.0)
            })?;
        match answer.status {
            200..300 => Ok(answer),
            _ => bail!("{}", String::from_utf8_lossy(&answer.body)),
        }
    }

    fn connect(&self) -> Result<Box<dyn Connection>> {
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
            other => bail!("this system has no sockets at {other}"),
        })
    }
}
