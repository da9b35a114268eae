use std::{future::pending, io, rc::Rc, time::Duration};

use fastrand::Rng;
use smol::{Timer, future::or, io::AsyncWriteExt as _};
use stateroom_tests::{Frame, Heard, Resumable, numbered};

use crate::{
    healthy::Healthy,
    patience::{PATIENCE, within},
    room::Room,
    socket::{Socket, upgrade},
    stream::{Target, reset},
    tally::Tally,
};

/// The longest time between two acts, in milliseconds.
const PAUSE: u64 = 2_000;
/// The size of the socket's buffer of a client that reads slowly. The system takes twice that.
const LITTLE: usize = 4096;
/// The number of rooms that are there to fail.
const FAILING: usize = 50;

/// A client that comes to do one thing after the other, most of them wrong.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(crate) target: Target,
    pub(crate) rooms: Rc<Vec<Rc<Room>>>,
    pub(crate) tally: Rc<Tally>,
    pub(crate) rng: Rng,
}

impl Stranger {
    /// Does one thing after the other, for ever.
    pub(crate) async fn live(mut self) {
        loop {
            self.pause(PAUSE).await;
            let (what, done) = self.act().await;
            self.tally.count(what);
            if let Err(error) = done {
                self.tally.fail(format!("{what}: {error}"));
            }
        }
    }

    /// Does one thing. An error means that the server has broken a promise.
    async fn act(&mut self) -> (&'static str, io::Result<()>) {
        match self.rng.u8(..20) {
            0..=2 => ("comes, talks and leaves", self.visit(false).await),
            3..=4 => ("resumes its session", self.visit(true).await),
            5 => ("never resumes its session", self.abandon().await),
            6..=8 => ("drops its connection", self.drop().await),
            9..=11 => ("resets its connection", self.reset().await),
            12..=13 => ("reads slowly or not at all", self.read_slowly().await),
            14..=15 => ("lets its room fail", self.trap().await),
            16..=17 => ("does not finish its handshake", self.half().await),
            18 => ("asks for pages", self.ask().await),
            _ => ("sends frames that are none", self.babble().await),
        }
    }

    async fn visit(&mut self, returns: bool) -> io::Result<()> {
        let room = Rc::clone(self.room());
        let mut healthy = Healthy::new(&self.target, &room, self.rng.fork(), returns);
        let socket = healthy.come().await?;
        let socket = healthy.talk(socket, self.rng.u64(1..6), 400, pending()).await?;
        let leaves = socket.leave().await;
        self.tally.heard.update(|heard| heard + healthy.messages);
        let resumptions = healthy.session.map_or(0, |session| session.resumptions);
        self.tally.resumptions.update(|all| all + resumptions as u64);
        leaves
    }

    async fn abandon(&mut self) -> io::Result<()> {
        let mut session = Resumable::new((0..22).map(|_| self.rng.alphanumeric()).collect());
        let protocols = session.attempt();
        let mut socket = self.join(Some(&protocols)).await?;
        let Heard::Control(_) = within(PATIENCE, socket.hear()).await? else {
            return Err(io::Error::other("the first message is no greeting"));
        };
        self.talk(&mut socket).await
    }

    async fn drop(&mut self) -> io::Result<()> {
        let mut socket = self.join(None).await?;
        self.talk(&mut socket).await
    }

    async fn reset(&mut self) -> io::Result<()> {
        if self.rng.u8(..4) == 0 {
            // Before the server has a request.
            reset(self.target.dial(None).await?);
            return Ok(());
        }
        let mut socket = self.join(None).await?;
        self.talk(&mut socket).await?;
        socket.stream.reset();
        Ok(())
    }

    /// Asks for more than the socket takes, and reads some bytes of it.
    async fn read_slowly(&mut self) -> io::Result<()> {
        let room = self.room().name.clone();
        let mut socket = Socket::connect_with(&self.target, &room, None, Some(LITTLE)).await?;
        // Some ask for more than may wait.
        let blobs = if self.rng.u8(..10) == 0 { 40 } else { self.rng.u8(1..8) };
        let ask = Frame::text("blob").masked().repeat(blobs.into());
        let Ok(()) = within(PATIENCE, socket.stream.write(&ask)).await else { return Ok(()) };
        let until = Timer::after(self.time(8_000));
        let reads = self.rng.bool();
        let read = async {
            while reads && matches!(socket.stream.read(&mut [0]).await, Ok(1)) {
                Timer::after(self.time(200)).await;
            }
            if reads { false } else { pending().await }
        };
        let over = async {
            until.await;
            true
        };
        or(read, over).await;
        if self.rng.bool() {
            socket.stream.reset();
        }
        Ok(())
    }

    async fn trap(&mut self) -> io::Result<()> {
        let room = format!("failing-{}", self.rng.usize(..FAILING));
        let mut socket = Socket::connect(&self.target, &room, None).await?;
        self.pause(300).await;
        // It may be closed already, and the answer is the same.
        let _ = socket.send(&Frame::text("trap")).await;
        match socket.closed().await? {
            // Another one may have let it fail just before this one was in it.
            closed if closed.starts_with("1011") || closed.starts_with("1001") => Ok(()),
            closed => Err(io::Error::other(closed)),
        }
    }

    async fn half(&mut self) -> io::Result<()> {
        let request = match self.target.tls()? {
            Some(mut tls) => {
                let mut hello = Vec::new();
                tls.write_tls(&mut hello)?;
                hello
            }
            None => upgrade("never", None).into_bytes(),
        };
        let mut socket = self.target.dial(None).await?;
        let count = self.rng.usize(..request.len());
        socket.write_all(&request[..count]).await?;
        self.pause(5_000).await;
        if self.rng.bool() {
            reset(socket);
        }
        Ok(())
    }

    async fn ask(&mut self) -> io::Result<()> {
        let room = format!("/ws/{}", self.room().name);
        let requests =
            [("GET", "/status", 200), ("GET", "/nothing", 404), ("GET", &*room, 426), ("POST", &*room, 409)];
        let &(method, path, status) = self.rng.choice(&requests).unwrap_or(&requests[0]);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let answer = within(PATIENCE, async {
            let mut stream = self.target.connect(None).await?;
            stream.write(request.as_bytes()).await?;
            let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
            loop {
                match stream.read(&mut chunk).await? {
                    0 => return Ok(answer),
                    count => answer.extend(&chunk[..count]),
                }
            }
        })
        .await?;
        if answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()) {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        Err(io::Error::other(format!("{method} {path}: {line}")))
    }

    async fn babble(&mut self) -> io::Result<()> {
        let mut socket = self.join(None).await?;
        let bytes = match self.rng.u8(..3) {
            0 => Frame::text("a server's").unmasked(),
            1 => vec![0xff; self.rng.usize(2..100)],
            _ => Frame::new(Frame::TEXT, [0xff, 0xfe]).masked(),
        };
        // What the room sends meanwhile may come before the close.
        let _ = within(PATIENCE, socket.stream.write(&bytes)).await;
        match socket.closed().await? {
            closed if closed.starts_with("1002") || closed.starts_with("1007") => Ok(()),
            closed => Err(io::Error::other(closed)),
        }
    }

    /// Sends some messages, and reads something.
    async fn talk(&mut self, socket: &mut Socket) -> io::Result<()> {
        for message in 0..self.rng.u64(..4) {
            socket.send(&numbered(message)).await?;
        }
        let pause = async {
            self.pause(1_000).await;
            Ok(())
        };
        let listen = async {
            loop {
                socket.hear().await?;
            }
        };
        or(pause, listen).await
    }

    fn room(&mut self) -> &Rc<Room> {
        &self.rooms[self.rng.usize(..self.rooms.len())]
    }

    /// Opens a WebSocket in some room.
    async fn join(&mut self, protocols: Option<&str>) -> io::Result<Socket> {
        let room = Rc::clone(self.room());
        Socket::connect(&self.target, &room.name, protocols).await
    }

    async fn pause(&mut self, most: u64) {
        Timer::after(self.time(most)).await;
    }

    /// Returns a time up to so many milliseconds.
    fn time(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.rng.u64(..=most))
    }
}
