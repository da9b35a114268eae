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
        let Some(number) = numbers.next() else { return Ok(()) };
        match record {
            Err(RecordingError::CutOff) => {
                say("The recording ends in the middle of the next event.");
                return Ok(());
            }
            record => {
                replay.run(number, &record.with_context(|| format!("cannot read event {number}"))?, args)?
            }
        }
        if args.step && !wait()? {
            return Ok(());
        }
    }
    if let Some(path) = &args.with {
        say(format_args!("All events have the same effects in `{}`.", path.display()));
    }
    Ok(())
}

/// A room that has its events again.
struct Replay {
    room: Room,
    /// A room that runs another module.
    other: Option<Room>,
    /// The time of the first event, in milliseconds since the Unix epoch.
    begun_ms: Option<u64>,
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
                "event {number} came to something else when it was recorded ({}): it was recorded by another version of this program, or the recording was changed",
                record.outcome.result
            );
        }
        let (Some(other), Some(path)) = (&mut self.other, &args.with) else { return Ok(()) };
        let others = record.run(other);
        if !others.agrees_with(&outcome) {
            say(format_args!("   In `{}`: {}, {}", path.display(), others.result, usage(&others, other)));
            say_effects(other);
            bail!("event {number} has other effects in `{}`", path.display());
        }
        Ok(())
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
                UNIX_EPOCH
                    .checked_add(Duration::from_millis(now_ms))
                    .map_or_else(|| format!("{now_ms} ms"), |time| httpdate::HttpDate::from(time).to_string())
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
        .map_err(|error| anyhow!("{what} cannot continue from the begin of the recording: {error}"))
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
