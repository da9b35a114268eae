//! `stateroom replay`: runs the events of a recorded room again.

mod description;
mod source;

use std::{
    io,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, anyhow, bail};
use stateroom_host_min::{Outcome, Program, Record, Recording, RecordingError, Room};

use crate::{args::ReplayArgs, module, serve, stdout::say};

use self::description::{describe_effect, describe_event};

/// `stateroom replay`
pub(crate) fn run(args: &ReplayArgs) -> Result<()> {
    let bytes = source::read(&args.recording, &args.server)?;
    let name = args.recording.display();
    let recording = Recording::read(&bytes).map_err(|error| anyhow!("cannot replay `{name}`: {error}"))?;
    let program = program(&recording)?;
    let other = args.with.as_ref().map(|path| {
        let found = serve::locate(path)?;
        module::program(&found.module, &module::bytes(&found.module)?, recording.header.limits)
    });
    let other = other.transpose()?;
    let mut replay = Replay {
        room: start(&recording, &program, "the module in the recording")?,
        other: other.as_ref().map(|program| start(&recording, program, "the other module")).transpose()?,
        begun_ms: None,
        count: 0,
    };
    let header = &recording.header;
    say(format_args!(
        "room {:?}, recorded by version {}, with a module of {} bytes",
        header.room_id,
        header.host_version,
        header.module.len()
    ));
    let mut numbers = 1..=args.until.unwrap_or(u64::MAX);
    for record in recording.records() {
        let Some(number) = numbers.next() else { break };
        match record {
            Err(RecordingError::CutOff) => {
                say("The recording ends in the middle of the next event.");
                break;
            }
            record => {
                replay.run(number, &record.with_context(|| format!("cannot read event {number}"))?, args)?
            }
        }
        if args.step && !wait()? {
            return Ok(());
        }
    }
    replay.conclude(args);
    Ok(())
}

/// The begin of the year 10000, in milliseconds since the Unix epoch.
const YEAR_10000: u64 = 253_402_300_800_000;

/// A room whose events run again.
struct Replay {
    room: Room,
    /// A room that runs another module.
    other: Option<Room>,
    /// The time of the first event, in milliseconds since the Unix epoch.
    begun_ms: Option<u64>,
    /// The number of events that have run.
    count: u64,
}

impl Replay {
    /// Runs an event, and prints it.
    fn run(&mut self, number: u64, record: &Record, args: &ReplayArgs) -> Result<()> {
        let outcome = record.run(&mut self.room);
        say(format_args!("{number}. {}: {}", self.time(record.now_ms), describe_event(&record.event)));
        say(format_args!("   {}, {}", outcome.result, usage(&outcome, &self.room)));
        say_effects(&self.room);
        if !outcome.agrees_with(&record.outcome) {
            bail!(
                "event {number} has another outcome than in the recording ({}): it was recorded by another version of this program, or the recording was changed",
                record.outcome.result
            );
        }
        self.count = number;
        let (Some(other), Some(path)) = (&mut self.other, &args.with) else { return Ok(()) };
        let others = record.run(other);
        if !others.agrees_with(&outcome) {
            say(format_args!("   In `{}`: {}, {}", path.display(), others.result, usage(&others, other)));
            say_effects(other);
            bail!("event {number} has another outcome in `{}`", path.display());
        }
        Ok(())
    }

    /// Says how many events have the same outcome in the other module.
    fn conclude(&self, args: &ReplayArgs) {
        if let Some(path) = &args.with {
            say(format_args!("{} events have the same outcome in `{}`.", self.count, path.display()));
        }
    }

    /// Returns the time of an event since the first one, which has its date.
    fn time(&mut self, now_ms: u64) -> String {
        match self.begun_ms {
            Some(begun_ms) => {
                let seconds = (now_ms as f64 - begun_ms as f64) / 1_000.0;
                format!("{seconds:+.3} s")
            }
            None => {
                self.begun_ms = Some(now_ms);
                // Dates have years of four digits.
                if now_ms >= YEAR_10000 {
                    return format!("{now_ms} ms");
                }
                httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_millis(now_ms)).to_string()
            }
        }
    }
}

/// Loads the module of a recording.
fn program(recording: &Recording<'_>) -> Result<Program> {
    if recording.header.module.is_empty() {
        bail!("the recording does not contain its module, so its events cannot run here");
    }
    Program::load(recording.header.module, recording.header.limits)
        .map_err(|error| anyhow!("the module in the recording cannot run: {error}"))
}

/// Creates the room as it was when its recording began.
fn start(recording: &Recording<'_>, program: &Program, what: &str) -> Result<Room> {
    recording
        .start(program)
        .map_err(|error| anyhow!("{what} cannot continue from the start of the recording: {error}"))
}

/// Returns the fuel and the memory of an event.
fn usage(outcome: &Outcome, room: &Room) -> String {
    format!("{} units of fuel, {} bytes of memory", outcome.fuel, room.memory_size())
}

fn say_effects(room: &Room) {
    room.effects().for_each(|effect| say(format_args!("   {}", describe_effect(&effect))));
}

/// Waits for the Enter key. Returns false at the end of the input.
fn wait() -> Result<bool> {
    let mut line = String::new();
    Ok(io::stdin().read_line(&mut line).context("cannot read the terminal")? > 0)
}
