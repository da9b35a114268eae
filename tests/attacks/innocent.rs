use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stateroom_tests::Frame;

use crate::{address::INNOCENT, http::join, latency::Latency};

/// The time between two messages, whether or not they have been answered.
const INTERVAL: Duration = Duration::from_millis(5);
/// The time that it waits for the last answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client in a room of its own that has done nothing wrong: it sends 16 bytes every 5 ms, and gets them back.
///
/// A latency is from the moment at which a message was due, so that a server that answers nothing for a while does not
/// pass for one that was asked nothing.
#[derive(Debug)]
pub(crate) struct Innocent {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Story>,
    attacked: Option<Instant>,
}

/// The record of what happened to it.
#[derive(Debug, Default)]
pub(crate) struct Story {
    messages: Vec<Message>,
    /// Why its connection ended, each time.
    pub(crate) ends: Vec<String>,
    over: Option<Instant>,
}

#[derive(Debug)]
struct Message {
    due: Instant,
    answered: Option<Instant>,
}

/// An end of the conversation, and how to begin again.
struct Talk {
    address: SocketAddr,
    room: String,
    socket: Option<TcpStream>,
    received: Vec<u8>,
    retry: Instant,
}

impl Innocent {
    /// Joins its room and begins.
    pub(crate) fn begin(address: SocketAddr, room: String) -> Result<Self, String> {
        let (socket, received) = join(address, INNOCENT, &room, PATIENCE)
            .map_err(|error| format!("the innocent client does not get in: {error}"))?;
        let talk = Talk { address, room, socket: Some(socket), received, retry: Instant::now() };
        let is_over = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&is_over);
        let thread = thread::spawn(move || live(talk, &shared));
        Ok(Self { is_over, thread, attacked: None })
    }

    /// Notes that messages that are due from now on are due during an attack.
    pub(crate) fn attacked(&mut self) {
        self.attacked.get_or_insert_with(Instant::now);
    }

    /// Ends, when all answers have come or do not come any more. Returns what was due before the attack and during it,
    /// and the whole story.
    pub(crate) fn end(self) -> ([Latency; 2], Story) {
        self.is_over.store(true, Ordering::Relaxed);
        let story = self.thread.join().unwrap_or_default();
        let over = story.over.unwrap_or_else(Instant::now);
        let in_time = |is_attacked: bool| {
            let of_it = |message: &&Message| {
                self.attacked.is_some_and(|attacked| message.due >= attacked) == is_attacked
            };
            let answer = |message: &Message| {
                let until = message.answered.unwrap_or(over);
                (until.saturating_duration_since(message.due), message.answered.is_some())
            };
            Latency::of(story.messages.iter().filter(of_it).map(answer).collect())
        };
        ([in_time(false), in_time(true)], story)
    }
}

fn live(mut talk: Talk, is_over: &AtomicBool) -> Story {
    let mut story = Story::default();
    let mut due = Instant::now();
    let (mut unanswered, mut last) = (0, None);
    loop {
        let now = Instant::now();
        if is_over.load(Ordering::Relaxed) {
            let last = *last.get_or_insert(now + PATIENCE);
            if unanswered == 0 || now >= last || talk.socket.is_none() {
                story.over = Some(now);
                return story;
            }
        }
        talk.come_back(now);
        while last.is_none() && due <= now {
            if let Err(error) = talk.say(story.messages.len()) {
                talk.hang_up(now);
                story.ends.push(error.to_string());
            }
            story.messages.push(Message { due, answered: None });
            unanswered += 1;
            due += INTERVAL;
        }
        let pause = if last.is_some() { INTERVAL } else { due.saturating_duration_since(Instant::now()) };
        match talk.hear(pause) {
            Ok(numbers) => {
                let now = Instant::now();
                for number in numbers {
                    if let Some(message) = story.messages.get_mut(number)
                        && message.answered.is_none()
                    {
                        message.answered = Some(now);
                        unanswered -= 1;
                    }
                }
            }
            Err(error) => {
                talk.hang_up(now);
                story.ends.push(error.to_string());
            }
        }
    }
}

impl Talk {
    fn come_back(&mut self, now: Instant) {
        if self.socket.is_none() && now >= self.retry {
            self.retry = now + Duration::from_millis(100);
            if let Ok((socket, received)) =
                join(self.address, INNOCENT, &self.room, Duration::from_millis(500))
            {
                (self.socket, self.received) = (Some(socket), received);
            }
        }
    }

    fn hang_up(&mut self, now: Instant) {
        self.socket = None;
        self.retry = now + Duration::from_millis(50);
    }

    /// Sends a message. Does nothing while there is no connection.
    fn say(&mut self, number: usize) -> io::Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        socket.write_all(&Frame::text(&format!("e{number:015}")).masked())
    }

    /// Waits for so long at most, and returns the numbers of the messages that have come back.
    fn hear(&mut self, pause: Duration) -> io::Result<Vec<usize>> {
        let Some(socket) = &mut self.socket else {
            thread::sleep(pause);
            return Ok(Vec::new());
        };
        let pause = Timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: pause.subsec_nanos().into() };
        if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&pause))? == 0 {
            return Ok(Vec::new());
        }
        let mut chunk = [0; 4096];
        match socket.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.received.extend(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let mut numbers = Vec::new();
        while let Some((opcode, payload)) = take(&mut self.received) {
            match opcode {
                Frame::TEXT => numbers.extend(number(&payload)),
                Frame::PING => socket.write_all(&Frame::new(Frame::PONG, payload).masked())?,
                Frame::CLOSE => {
                    let words = payload.get(2..).map(String::from_utf8_lossy).unwrap_or_default();
                    return Err(io::Error::other(format!("it was closed: {words}")));
                }
                _ => {}
            }
        }
        Ok(numbers)
    }
}

/// Takes a frame off the beginning, if it is whole. None that comes to an innocent client is long.
fn take(received: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let &[first, second, ..] = &received[..] else { return None };
    let end = 2 + usize::from(second);
    let payload = received.get(2..end)?.to_vec();
    received.drain(..end);
    Some((first & 0x0f, payload))
}

fn number(payload: &[u8]) -> Option<usize> {
    str::from_utf8(payload).ok()?.strip_prefix('e')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_when_they_are_whole() {
        let mut received = b"\x81\x03e42\x89\x01p\x81\x02e".to_vec();
        assert_eq!(take(&mut received).map(|(_, payload)| number(&payload)), Some(Some(42)));
        assert_eq!(take(&mut received), Some((Frame::PING, b"p".to_vec())));
        assert_eq!((take(&mut received), &received[..]), (None, &b"\x81\x02e"[..]));
    }
}
