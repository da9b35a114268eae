//! The events for the checks of a module. They are only events that real hosts hand in. They do not depend on
//! the purpose of the service.

use stateroom_host_min::{ClientInfo, Limits, MessagePayload, Program, Step};

use super::{
    super::args::InspectArgs,
    description::Description,
    finding::Report,
    probe,
    session::{Failure, Kind, Session, Setting, Tried},
};

/// The sizes of messages, in bytes.
const SIZES: [usize; 5] = [0, 1, 4 << 10, 64 << 10, 1 << 20];

/// The number of messages for the room whose memory is watched.
const MANY: usize = 10_000;

/// The number of messages between two checks of the memory. If the memory has grown at each check, it counts
/// as growing without end.
const LOOK: u32 = 2_000;

/// The number of messages of one size after which a room has enough memory for them.
const FEW: u32 = 20;

/// The size of each of these messages, if the room has space for it.
const USUAL: usize = 1 << 10;

/// The default information about a client's connection.
const ADDRESS: (&str, &str) = ("address", "127.0.0.1");

/// Checks a module, as `args` say.
pub(crate) fn check(module: &[u8], limits: Limits, args: &InspectArgs) -> Report {
    let mut report = Report::default();
    let program = match Program::load(module, limits) {
        Ok(program) => program,
        Err(error) => {
            report.refused(&error);
            return report;
        }
    };
    // Of a key that is there twice the first counts.
    let info: Vec<_> = args.with.iter().map(|(key, value)| (&**key, &**value)).chain([ADDRESS]).collect();
    let tried = Tried::default();
    let setting = Setting { program: &program, info: ClientInfo(&info), tried: &tried };
    Script { module, setting, said: &args.say, report: &mut report }.run();
    report
}

struct Script<'a> {
    module: &'a [u8],
    setting: Setting<'a>,
    /// Texts that clients send in addition to meaningless ones.
    said: &'a [String],
    report: &'a mut Report,
}

/// The end of the checks, if it is useless to continue.
struct Stopped;

impl<'a> Script<'a> {
    fn run(mut self) {
        let all = self.events().is_ok();
        if self.setting.tried.is_late() {
            self.report.note("not everything has been tried, as it takes too long".into());
        } else if all {
            self.untried();
        }
    }

    fn events(&mut self) -> Result<(), Stopped> {
        log::info!("trying rooms with short and long ids");
        self.begins()?;
        log::info!("trying clients that come and go");
        self.clients()?;
        log::info!("trying messages of many sizes");
        let largest = self.messages()?;
        self.null();
        for word in self.said {
            log::info!("trying `{word}`");
            self.word(word)?;
        }
        log::info!("trying {MANY} messages");
        self.memory(USUAL.min(largest))
    }

    /// Adds notes about checks that were left out.
    fn untried(self) {
        let tried = self.setting.tried;
        if !tried.has(Kind::Text) && !tried.has(Kind::Binary) && tried.closed() {
            self.report.note(
                "it has closed every client at once, so `message` and `binary` have not been tried \
                 (`--with query:name=Ada` gives clients something to bring)"
                    .into(),
            );
        }
        if !tried.has(Kind::Timer) && Description::of(self.module).sets_the_timer() {
            self.report.note(format!(
                "it has not set the timer, so `timer` has not been tried{}",
                if self.said.is_empty() { " (`--say` has clients say what makes it)" } else { "" },
            ));
        }
    }

    fn begin(&self, room_id: &str) -> Result<Session<'a>, Failure> {
        Session::begin(self.setting, room_id)
    }

    /// Rooms begin, also with unusual ids.
    fn begins(&mut self) -> Result<(), Stopped> {
        if let Err(failure) = self.begin("room") {
            self.record("a room id of 4 bytes", Err(failure))?;
            // Nothing else could be told from it.
            return Err(Stopped);
        }
        let long = "🚪".repeat(128);
        for (id, with) in [("", "an empty room id"), (&long, "a room id of 512 bytes")] {
            let outcome = self.begin(id).map(drop);
            self.record(with, outcome)?;
        }
        Ok(())
    }

    /// Clients connect and disconnect until the room is empty. Then one connects again.
    fn clients(&mut self) -> Result<(), Stopped> {
        let mut last = "";
        let outcome = (|| {
            let mut session = self.begin("room")?;
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
            session.wait()
        })();
        self.record(last, outcome)
    }

    /// Messages of all sizes, as text and as bytes. Returns the largest size that it takes.
    fn messages(&mut self) -> Result<usize, Stopped> {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
        let text = "🚪".repeat((1 << 20) / 4);
        let limit = self.setting.program.limits().message_size;
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
                    Ok(Some(Step::Refused)) if size <= 1 => self.report.no_space(size),
                    Ok(Some(Step::Refused)) => refused = refused.or(Some(size)),
                    Ok(Some(_)) => largest = largest.max(size),
                    Ok(None) => {}
                    Err(failure) => self.record(&with, Err(failure))?,
                }
            }
        }
        if let Some(size) = refused {
            self.report.note(format!(
                "it has no space for messages of {size} bytes; who sends one is closed with 1009"
            ));
        }
        Ok(largest)
    }

    /// Sends a message in a separate room, which continues afterwards. Returns `None` if the room has closed
    /// the client before.
    fn try_message(&self, message: MessagePayload<'_>) -> Result<Option<Step>, Failure> {
        let mut session = Session::with_client(self.setting)?;
        let step = session.message(1, message)?;
        session.connect(2)?;
        session.message(1, MessagePayload::Text("a"))?;
        session.disconnect(1)?;
        Ok(step)
    }

    /// Checks whether the allocator reports a lack of space with 0. That is so if it returns another address
    /// for a small size: some guests have their only space at address 0.
    fn null(&mut self) {
        let limits = *self.setting.program.limits();
        let Ok(Ok(program)) = probe::without_zero(self.module).map(|probe| Program::load(&probe, limits))
        else {
            return;
        };
        let tried = Tried::default();
        let probed = Setting { program: &program, tried: &tried, ..self.setting };
        let answers_zero = |setting, size| {
            let text = "a".repeat(size);
            let outcome = Session::with_client(setting)
                .and_then(|mut session| session.message(1, MessagePayload::Text(&text)));
            match outcome {
                Err(Failure { trap, .. }) => probe::malloc(trap.during()),
                Ok(_) => None,
            }
        };
        if answers_zero(probed, 1).is_some() {
            return;
        }
        for size in SIZES.into_iter().filter(|size| (2..=limits.message_size).contains(size)) {
            if let (Some(export), None) = (answers_zero(probed, size), answers_zero(self.setting, size)) {
                self.report.null(export, size);
                return;
            }
        }
    }

    /// Sends a message that the service understands, and waits for the timer that it may set then.
    fn word(&mut self, word: &str) -> Result<(), Stopped> {
        let outcome = (|| {
            let mut session = Session::with_client(self.setting)?;
            session.connect(2)?;
            // The one who has come last: the other may know who else is there.
            let speaker = session.here().last().copied().unwrap_or(2);
            session.message(speaker, MessagePayload::Text(word))?;
            session.wait()
        })();
        self.record(&format!("`{word}`"), outcome)
    }

    /// Many messages. Checks that their memory is used again.
    fn memory(&mut self, size: usize) -> Result<(), Stopped> {
        let (text, bytes) = ("a".repeat(size), vec![0xff; size]);
        let mut messages = vec![MessagePayload::Text(&text), MessagePayload::Bytes(&bytes)];
        messages.extend(self.said.iter().map(|word| MessagePayload::Text(word)));
        let (mut count, mut memory, mut refused) = (0, 0, false);
        let (mut early, mut looks) = (0, Vec::new());
        let outcome = (|| {
            let mut session = Session::with_client(self.setting)?;
            session.connect(2)?;
            let mut last = 2;
            for message in messages.iter().cycle().take(MANY) {
                if self.setting.tried.is_late() {
                    return Ok(());
                }
                if session.here().is_empty() {
                    last += 1;
                    session.connect(last)?;
                }
                let here = session.here();
                let Some(&client) = here.get(count as usize % here.len().max(1)) else {
                    return Ok(());
                };
                count += 1;
                let step = session.message(client, *message);
                memory = session.memory_size();
                // A word may be too large in any case.
                refused = step? == Some(Step::Refused) && message.data().len() <= size;
                if refused {
                    return Ok(());
                }
                if count == FEW {
                    early = memory;
                }
                if count % LOOK == 0 {
                    looks.push(memory);
                }
            }
            session.wait()
        })();

        let limit = self.setting.program.limits().memory;
        let own = Description::of(self.module).most_memory().and_then(|most| usize::try_from(most).ok());
        let most = own.unwrap_or(limit).min(limit);
        let used_up = memory > most / 2 && outcome.is_err();
        if refused {
            let taken = count - 1;
            self.report
                .grows(format!("it has a place for {taken} messages of {size} bytes, and then no more"));
        } else if used_up {
            self.report.grows(format!(
                "it fails after {count} messages of {size} bytes, with {memory} bytes of memory"
            ));
        } else {
            self.record(&format!("message number {count} in a room"), outcome)?;
        }
        if looks.len() < MANY / LOOK as usize {
            return Ok(());
        }
        if let [first, .., last] = looks[..]
            && looks.is_sorted_by(|before, after| before < after)
        {
            self.report.grows(format!(
                "its memory has {first} bytes after {LOOK} messages of {size} bytes, {last} after {MANY}, and goes on growing"
            ));
        } else if memory > early && memory > most - most / 4 {
            self.report.grows(format!(
                "its memory has {early} bytes after {FEW} messages of {size} bytes and {memory} after {MANY}, of {most} that it may have"
            ));
        }
        Ok(())
    }

    /// Continues after an event that has failed, unless it has used up its fuel.
    fn record(&mut self, with: &str, outcome: Result<(), Failure>) -> Result<(), Stopped> {
        let Err(failure) = outcome else { return Ok(()) };
        self.report.failed(with, &failure);
        if !failure.takes_long() {
            return Ok(());
        }
        self.report
            .note("nothing else has been tried, as an event that uses up its fuel takes seconds".into());
        Err(Stopped)
    }
}
