use std::{
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use smol::{Timer, future::or};
use stateroom_tests::{Frame, Heard, Resumable, numbered};

use crate::{
    patience::{PATIENCE, within},
    room::Room,
    socket::Socket,
    stream::Target,
};

/// The longest time between two messages of a client that stays, in milliseconds.
pub(crate) const PACE: u64 = 8_000;
/// The longest time for which one that comes back is away, in milliseconds. Less than the server keeps its session for.
const AWAY: u64 = 1_500;

/// A client that does nothing wrong, and checks that it hears of each message of its room once, in order.
#[derive(Debug)]
pub(crate) struct Healthy {
    target: Target,
    room: Rc<Room>,
    rng: Rng,
    id: Option<u32>,
    /// True if the room has told it its id.
    is_named: bool,
    /// The number of its own messages, and of those that it has heard of.
    sent: u64,
    heard: u64,
    /// The last count of the room that it has heard of.
    count: Option<u64>,
    /// The number of messages that it has heard.
    pub(crate) messages: u64,
    /// Its session, if it breaks its connection off and comes back.
    pub(crate) session: Option<Resumable>,
}

/// The next action of a client.
enum Next {
    Heard(Heard),
    /// It is time for the next message.
    Due,
    Stop,
}

impl Healthy {
    /// Returns a client that has not connected. If it `returns`, it breaks its connection off now and then, and resumes its session.
    pub(crate) fn new(target: &Target, room: &Rc<Room>, mut rng: Rng, returns: bool) -> Self {
        let session = returns.then(|| Resumable::new((0..22).map(|_| rng.alphanumeric()).collect()));
        let (target, room) = (target.clone(), Rc::clone(room));
        Self {
            target,
            room,
            rng,
            id: None,
            is_named: false,
            sent: 0,
            heard: 0,
            count: None,
            messages: 0,
            session,
        }
    }

    /// Sends messages until `stop` is ready or there were `most`. Returns when it has heard of all of them.
    pub(crate) async fn talk(
        &mut self,
        mut socket: Socket,
        most: u64,
        pace: u64,
        stop: impl Future<Output = ()>,
    ) -> io::Result<Socket> {
        let mut stop = std::pin::pin!(stop);
        let mut due = Instant::now() + self.pause(pace);
        let mut last = None;
        while last.is_none() || self.heard < self.sent {
            let is_over = last.is_some();
            let hear = async { socket.hear().await.map(Next::Heard) };
            let wait = async {
                let until = last.unwrap_or(due);
                Timer::at(until).await;
                match is_over {
                    true => {
                        Err(io::Error::other(format!("its messages from {} on are lost", self.heard + 1)))
                    }
                    false => Ok(Next::Due),
                }
            };
            let stopped = async {
                if is_over {
                    std::future::pending::<()>().await;
                }
                stop.as_mut().await;
                Ok(Next::Stop)
            };
            match or(hear, or(stopped, wait)).await? {
                Next::Heard(heard) => self.note(&mut socket, heard).await?,
                Next::Stop => last = Some(Instant::now() + PATIENCE),
                Next::Due => {
                    self.sent += 1;
                    socket.send(&numbered(self.sent)).await?;
                    due = Instant::now() + self.pause(pace);
                    if self.sent == most {
                        last = Some(Instant::now() + PATIENCE);
                    }
                    if self.session.is_some() && self.rng.u8(..4) == 0 {
                        socket = self.come_back(socket).await?;
                    }
                }
            }
        }
        Ok(socket)
    }

    /// Goes on until it has heard all that others of its room have heard, and `all` is true.
    pub(crate) async fn hear_rest(&mut self, socket: &mut Socket, all: impl Fn() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + 2 * PATIENCE;
        while !(all() && self.count.unwrap_or_default() >= self.room.greatest.get()) {
            if Instant::now() > deadline {
                let (count, all) = (self.count, self.room.greatest.get());
                return Err(io::Error::other(format!("it has heard up to {count:?}, and another one {all}")));
            }
            let pause = async {
                Timer::after(Duration::from_millis(100)).await;
                Ok(None)
            };
            if let Some(heard) = or(async { socket.hear().await.map(Some) }, pause).await? {
                self.note(socket, heard).await?;
            }
        }
        Ok(())
    }

    /// Returns a time up to so many milliseconds.
    fn pause(&mut self, pace: u64) -> Duration {
        Duration::from_millis(self.rng.u64(..=pace))
    }

    /// Connects, and waits until the room knows it.
    pub(crate) async fn come(&mut self) -> io::Result<Socket> {
        let protocols = self.session.as_mut().map(Resumable::attempt);
        let mut socket = Socket::connect(&self.target, &self.room.name, protocols.as_deref()).await?;
        let Some(session) = &mut self.session else {
            // It may hear of others before.
            while self.id.is_none() {
                let heard = within(PATIENCE, socket.hear()).await?;
                self.note(&mut socket, heard).await?;
            }
            return Ok(socket);
        };
        let Heard::Control(greeting) = within(PATIENCE, socket.hear()).await? else {
            return Err(io::Error::other("the first message is no greeting"));
        };
        let arrived = session.greet(&greeting).ok_or_else(|| io::Error::other("the server ends"))?;
        self.id = session.id().and_then(|id| id.try_into().ok());
        if !(self.heard..=self.sent).contains(&arrived) {
            let (heard, sent) = (self.heard, self.sent);
            return Err(io::Error::other(format!(
                "{arrived} have arrived of {sent}, and {heard} were heard"
            )));
        }
        for message in arrived + 1..=self.sent {
            socket.send(&numbered(message)).await?;
        }
        Ok(socket)
    }

    /// Breaks the connection off, and resumes the session on another one.
    async fn come_back(&mut self, socket: Socket) -> io::Result<Socket> {
        match self.rng.bool() {
            true => socket.stream.reset(),
            false => drop(socket),
        }
        Timer::after(self.pause(AWAY)).await;
        self.come().await
    }

    async fn note(&mut self, socket: &mut Socket, heard: Heard) -> io::Result<()> {
        match heard {
            Heard::Control(_) => return Ok(()),
            Heard::Id(id) => {
                if self.is_named || self.id.is_some_and(|known| known != id) {
                    return Err(io::Error::other(format!("it is {:?}, and gets the id {id}", self.id)));
                }
                (self.id, self.is_named) = (Some(id), true);
            }
            Heard::Count { count, sender, message } => {
                if let Some(last) = self.count.filter(|last| count != last + 1) {
                    return Err(io::Error::other(format!("after the count {last} it hears {count}")));
                }
                self.count = Some(count);
                self.room.greatest.set(self.room.greatest.get().max(count));
                if self.id == Some(sender) {
                    if message != self.heard + 1 {
                        let last = self.heard;
                        return Err(io::Error::other(format!("after its message {last} it hears {message}")));
                    }
                    self.heard += 1;
                }
            }
            Heard::Blob => return Err(io::Error::other("it hears what it has not asked for")),
        }
        self.messages += 1;
        match self.session.as_mut().and_then(Resumable::receive) {
            Some(confirmation) => socket.send(&Frame::text(&confirmation)).await,
            None => Ok(()),
        }
    }
}
