use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use stateroom_sdk_core::{
    ClientId, MessageRecipient,
    engine::{Engine, EngineContext, EngineFactory, Event, Progress},
};

use crate::eventually;

/// Makes rooms that compute for as long as a test wants them to.
///
/// They send each message back when its event is over. One that begins with `!` is over when the gate is open. What
/// follows may be a number, which is the milliseconds that the room asks for a timer with; then it says `timer`.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_open: AtomicBool,
    computing: AtomicUsize,
    connected: AtomicUsize,
    disconnected: AtomicUsize,
}

impl Gate {
    /// Waits until so many events compute.
    #[track_caller]
    pub fn wait_for_computing(&self, count: usize) {
        eventually(&format!("{count} rooms compute"), || self.0.computing.load(Ordering::Acquire) == count);
    }

    /// Waits until so many clients have come, and so many have left, as the rooms have heard.
    #[track_caller]
    pub fn wait_for_clients(&self, came: usize, left: usize) {
        let counts = || [&self.0.connected, &self.0.disconnected].map(|count| count.load(Ordering::Acquire));
        eventually(&format!("{came} have come and {left} have left"), || counts() == [came, left]);
    }

    /// Lets all events end, those included that begin later.
    pub fn open(&self) {
        self.0.is_open.store(true, Ordering::Release);
    }
}

impl EngineFactory for Gate {
    type Engine = Gated;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl EngineContext) -> Result<Gated, Infallible> {
        Ok(Gated { gate: Arc::clone(&self.0), answer: None, is_computing: false })
    }
}

/// A room behind a gate.
#[derive(Debug)]
pub struct Gated {
    gate: Arc<Inner>,
    /// The message that is sent when the event is over.
    answer: Option<(ClientId, String)>,
    is_computing: bool,
}

impl Engine for Gated {
    fn begin(&mut self, event: Event<'_>, context: &impl EngineContext) {
        assert!(!self.is_computing, "an event begins while another one has not ended");
        match event {
            Event::Message(client, message) => {
                let text = message.text().unwrap_or_default();
                if let Ok(ms) = text.trim_start_matches('!').parse() {
                    context.set_timer(ms);
                }
                self.answer = Some((client, text.to_owned()));
                if text.starts_with('!') {
                    self.is_computing = true;
                    self.gate.computing.fetch_add(1, Ordering::Release);
                }
            }
            Event::Timer => context.send_message(MessageRecipient::Broadcast, "timer"),
            Event::Connect(_) => _ = self.gate.connected.fetch_add(1, Ordering::Release),
            Event::Disconnect(_) => _ = self.gate.disconnected.fetch_add(1, Ordering::Release),
            Event::Init => {}
        }
    }

    fn advance(&mut self, context: &impl EngineContext) -> Progress<'_> {
        if self.is_computing && !self.gate.is_open.load(Ordering::Acquire) {
            return Progress::Unfinished;
        }
        if self.is_computing {
            self.is_computing = false;
            self.gate.computing.fetch_sub(1, Ordering::Release);
        }
        if let Some((client, answer)) = self.answer.take() {
            context.send_message(client, answer);
        }
        Progress::Done
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        if self.is_computing {
            self.gate.computing.fetch_sub(1, Ordering::Release);
        }
    }
}
