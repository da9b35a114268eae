//! The events that a module is tried with: those that servers hand in, and nothing that they do not. What the
//! service is there for, nobody asks.

use stateroom_host_min::{Limits, MessagePayload, Program, Step};

use super::{
    finding::Report,
    session::{Failure, Kind, Session},
};

/// The sizes of messages, in bytes.
const SIZES: [usize; 5] = [0, 1, 4 << 10, 64 << 10, 1 << 20];

/// How many messages a room gets whose memory is looked at.
const MANY: usize = 10_000;

/// After how many messages that is done, again and again. Where it has grown each time it goes on growing.
const LOOK: u32 = 2_000;

/// The size of each of those messages, where the room has a place for it.
const USUAL: usize = 1 << 10;

/// Tries a module. `said` are texts that clients send beside those that mean nothing.
pub(crate) fn check(module: &[u8], limits: Limits, said: &[String]) -> Report {
    let mut report = Report::default();
    match Program::load(module, limits) {
        Ok(program) => Script { program, said, report: &mut report, timer: false }.run(),
        Err(error) => report.refused(&error),
    }
    report
}

struct Script<'a> {
    program: Program,
    said: &'a [String],
    report: &'a mut Report,
    /// Whether the timer has been due.
    timer: bool,
}

impl Script<'_> {
    fn run(mut self) {
        if !self.begins() {
            // Nothing else could be told from it.
            return;
        }
        self.clients();
        let largest = self.messages();
        self.words();
        self.memory(USUAL.min(largest));
        if !self.timer {
            self.report.note(format!(
                "it has not set the timer, so `timer` has not been tried{}",
                if self.said.is_empty() { " (`--say` has clients say what makes it)" } else { "" },
            ));
        }
    }

    /// Whether rooms begin; with ids that are unusual as well.
    fn begins(&mut self) -> bool {
        if let Err(failure) = Session::begin(&self.program, "room") {
            self.report.failed("a room id of 4 bytes", &failure);
            return false;
        }
        let long = "🚪".repeat(128);
        for (id, with) in [("", "an empty room id"), (&long, "a room id of 512 bytes")] {
            if let Err(failure) = Session::begin(&self.program, id) {
                self.report.failed(with, &failure);
            }
        }
        true
    }

    /// Clients come and go, until nobody is left, and then one comes again.
    fn clients(&mut self) {
        let mut last = "";
        let outcome = (|| {
            let mut session = Session::begin(&self.program, "room")?;
            for (connects, client, with) in [
                (true, 1, "the first client"),
                (true, 2, "a second client"),
                (true, 3, "a third client"),
                (false, 2, "the second of three clients"),
                (true, 4, "a client after one has gone"),
                (false, 1, "the first of three clients"),
                (false, 4, "one of two clients"),
                (false, 3, "the last client"),
                (true, 5, "a client in a room that has become empty"),
            ] {
                last = with;
                if connects { session.connect(client) } else { session.disconnect(client) }?;
            }
            self.wait(&mut session)
        })();
        self.record(last, outcome);
    }

    /// Messages of all sizes, as text and as bytes. Returns the largest size that it takes.
    fn messages(&mut self) -> usize {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
        let text = "🚪".repeat((1 << 20) / 4);
        let limit = self.program.limits().message_size;
        let (mut largest, mut refused) = (0, None);
        for size in SIZES.into_iter().filter(|size| *size <= limit) {
            // The only size that does not end at a character is 1.
            let text = if size == 1 { "a" } else { &text[..size] };
            let (as_text, as_bytes) =
                (format!("a text of {size} bytes"), format!("a binary message of {size} bytes"));
            for (message, with) in
                [(MessagePayload::Text(text), as_text), (MessagePayload::Bytes(&bytes[..size]), as_bytes)]
            {
                match self.try_message(message) {
                    Ok(Step::Refused) if size <= 1 => self.report.no_place(size),
                    Ok(Step::Refused) => refused = refused.or(Some(size)),
                    Ok(_) => largest = largest.max(size),
                    Err(failure) => {
                        self.report.failed(&with, &failure);
                        if failure.takes_long() {
                            return largest;
                        }
                    }
                }
            }
        }
        if let Some(size) = refused {
            self.report.note(format!(
                "it has no place for messages of {size} bytes; who sends one is closed with 1009"
            ));
        }
        largest
    }

    /// A message in a room of its own, which goes on afterwards.
    fn try_message(&self, message: MessagePayload<'_>) -> Result<Step, Failure> {
        let mut session = Session::with_client(&self.program)?;
        let step = session.message(1, message)?;
        session.connect(2)?;
        let _ = session.message(1, MessagePayload::Text("a"))?;
        session.disconnect(1)?;
        Ok(step)
    }

    /// What the service understands, and the timer that it may set then.
    fn words(&mut self) {
        for word in self.said {
            let outcome = (|| {
                let mut session = Session::with_client(&self.program)?;
                session.connect(2)?;
                let _ = session.message(2, MessagePayload::Text(word))?;
                self.wait(&mut session)
            })();
            self.record(&format!("`{word}`"), outcome);
        }
    }

    /// Many messages, and whether their memory is used again.
    fn memory(&mut self, size: usize) {
        let (text, bytes) = ("a".repeat(size), vec![0xff; size]);
        let mut messages = vec![MessagePayload::Text(&text), MessagePayload::Bytes(&bytes)];
        messages.extend(self.said.iter().map(|word| MessagePayload::Text(word)));
        let (mut count, mut memory, mut looks, mut refused) = (0, 0, Vec::new(), false);
        let outcome = (|| {
            let mut session = Session::with_client(&self.program)?;
            session.connect(2)?;
            for message in messages.iter().cycle().take(MANY) {
                count += 1;
                let step = session.message(1 + count % 2, *message);
                memory = session.memory_size();
                // A word may be too large in any case.
                refused = step? == Step::Refused && message.data().len() <= size;
                if refused {
                    return Ok(());
                }
                if count % LOOK == 0 {
                    looks.push(memory);
                }
            }
            self.wait(&mut session)
        })();

        let used_up = memory > self.program.limits().memory / 2 && outcome.is_err();
        if refused {
            let taken = count - 1;
            self.report
                .grows(format!("it has a place for {taken} messages of {size} bytes, and then no more"));
        } else if used_up {
            self.report.grows(format!(
                "it fails after {count} messages of {size} bytes, with {memory} bytes of memory"
            ));
        } else {
            self.record(&format!("message number {count} in a room"), outcome);
        }
        if let [first, .., last] = looks[..]
            && looks.len() == MANY / LOOK as usize
            && looks.is_sorted_by(|before, after| before < after)
        {
            self.report.grows(format!(
                "its memory has {first} bytes after {LOOK} messages of {size} bytes, {last} after {MANY}, and goes on growing"
            ));
        }
    }

    fn wait(&mut self, session: &mut Session) -> Result<(), Failure> {
        session.wait()?;
        self.timer |= session.had_timer();
        Ok(())
    }

    fn record(&mut self, with: &str, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            self.timer |= failure.event == Kind::Timer;
            self.report.failed(with, &failure);
        }
    }
}
