//! Tests of the files that the command serves, and of how it reads requests for them.

mod encodings;
mod framing;
mod hidden;
mod ranges;
mod single_page;
mod validators;

use std::{
    fs::{self, File},
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::SystemTime,
};

use stateroom_tests::{Answer, Child, Directory, Output, PATIENCE, eventually, example, request};

/// The command, which serves a `dist` with some files.
struct Site {
    directory: Directory,
    address: SocketAddr,
    server: Child,
}

impl Site {
    #[track_caller]
    fn new(files: &[(&str, &[u8])]) -> Self {
        Self::with(&[], files)
    }

    #[track_caller]
    fn with(options: &[&str], files: &[(&str, &[u8])]) -> Self {
        let module = fs::read(example("echo").join("server.wasm")).expect("it has been built");
        let directory = Directory::new().with("server.wasm", module);
        let directory = files
            .iter()
            .fold(directory, |directory, (name, content)| directory.with(&format!("static/{name}"), content));
        let dist = directory.path().to_str().expect("UTF-8");
        let arguments = [&["serve", dist, "--ip", "127.0.0.1", "--port", "0"], options].concat();
        let server = Child::start("stateroom", &arguments);
        let address = server.line(Output::Stderr, "serving on ").parse().expect("an address");
        Self { directory, address, server }
    }

    /// Sends a request. `headers` are whole lines.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        request(self.address, method, path, headers)
    }

    #[track_caller]
    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask("GET", path, headers)
    }

    /// Sends these bytes and nothing else, and returns the connection.
    #[track_caller]
    fn send(&self, bytes: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.write_all(bytes.as_bytes()).expect("a request can be sent");
        BufReader::new(stream)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("static").join(name)
    }

    /// Writes a file that was last changed at a time.
    #[track_caller]
    fn write(&self, name: &str, content: &[u8], time: SystemTime) {
        fs::write(self.path(name), content).expect("temporary files can be written");
        let file = File::options().append(true).open(self.path(name)).expect("it is there");
        file.set_modified(time).expect("it is ours");
    }

    /// Returns the tag of a file, once it is strong: the file has not been changed for a while.
    #[track_caller]
    fn strong_tag(&self, path: &str) -> String {
        let mut tag = String::new();
        eventually("the tag is strong", || {
            tag = header(&self.get(path, &[]), "etag").to_owned();
            !tag.starts_with("W/")
        });
        tag
    }
}

/// Returns the value of a header that is there.
#[track_caller]
fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.header(name).unwrap_or_else(|| panic!("no {name} in {answer:?}"))
}
