use std::time::{Duration, Instant};

use smol::future::pending;
use stateroom_core::engine::EngineFactory;

use crate::{close::CloseReason, reactor::Timer, websocket::Opcode, wire::Frame};

use super::connection::{Connection, End};

/// Pings, and ends the connection of a client that has been silent for too long, that does not finish a message, or that takes
/// nothing of what it is sent.
pub(super) async fn keep_alive<F: EngineFactory>(connection: &Connection<F>) -> End {
    let thread = connection.room.thread();
    let settings = &thread.settings;
    let begin = thread.clock.now();
    let mut last_heard = begin;
    let mut next_ping = later(begin, settings.heartbeat_interval);
    let mut message = Stall::new(begin, settings.message_timeout);
    let mut outbox = Stall::new(begin, settings.outbox_timeout);
    loop {
        let deadline = later(last_heard, settings.heartbeat_timeout);
        let next = [next_ping, deadline, message.next_look, outbox.next_look].into_iter().flatten().min();
        let Some(next) = next else {
            return pending().await;
        };
        Timer::at(next).await;
        // Which may be later than it was to be, where the thread had a lot to do.
        let now = thread.clock.now();
        // While the room is busy with its message, or much waits for it, the client is not heard, and not at fault. It cannot answer
        // a ping that waits for the disk.
        let client = &connection.socket.outbox;
        let is_not_read = connection.is_in_event.get() || !client.may_be_read() || client.is_held_back();
        if connection.was_heard.take() || is_not_read {
            last_heard = now;
        } else if deadline.is_some_and(|deadline| deadline <= now) {
            return End::Close(CloseReason::ClientSilent);
        }
        if message.look(now, || connection.unfinished_message()) {
            return End::Close(CloseReason::MessageUnfinished);
        }
        if outbox.look(now, || connection.socket.outbox.progress()) {
            connection.socket.outbox.abandon(CloseReason::ClientTooSlow);
            return End::Close(CloseReason::ClientTooSlow);
        }
        if next_ping.is_some_and(|ping| ping <= now) {
            connection.socket.outbox.push(&Frame::new(Opcode::Ping, &[]));
            next_ping = later(now, settings.heartbeat_interval);
        }
    }
}

/// Finds out whether something stands still, by looking at it now and then. It has stood still for once to twice the time
/// when this is found out.
#[derive(Debug)]
struct Stall {
    timeout: Duration,
    next_look: Option<Instant>,
    seen: Option<u32>,
}

impl Stall {
    fn new(begin: Instant, timeout: Duration) -> Self {
        Self { timeout, next_look: later(begin, timeout), seen: None }
    }

    /// Looks at the progress of something, nothing where it is not under way. Answers whether it is the same as the last time.
    fn look(&mut self, now: Instant, progress: impl FnOnce() -> Option<u32>) -> bool {
        if self.next_look.is_none_or(|next| next > now) {
            return false;
        }
        self.next_look = later(now, self.timeout);
        let seen = progress();
        let stands_still = seen.is_some() && seen == self.seen;
        self.seen = seen;
        stands_still
    }
}

/// Returns the instant `delay` after `from`; nothing for no delay, which means never.
fn later(from: Instant, delay: Duration) -> Option<Instant> {
    from.checked_add(delay).filter(|_| !delay.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_progress_does_not_stall() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut stall = Stall::new(begin, Duration::from_secs(10));
        assert!(!stall.look(at(9), || panic!("it is not time to look")));
        assert!(!stall.look(at(10), || Some(1)));
        assert!(!stall.look(at(20), || Some(2)));
        assert!(!stall.look(at(30), || None));
        assert!(!stall.look(at(40), || Some(2)));
        assert!(stall.look(at(50), || Some(2)));
        assert_eq!(Stall::new(begin, Duration::ZERO).next_look, None);
    }
}
