//! A guest inside a smol program, without any server: host-min alone. Lines from standard input are one
//! client's messages.

use std::{
    env,
    error::Error,
    fs, process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use smol::{
    Timer, Unblock,
    future::{or, pending, yield_now},
    io::{AsyncBufReadExt as _, BufReader},
    stream::StreamExt as _,
};
use stateroom_host_min::{Effect, Event, Limits, Program, Room, Step, Trap};
use stateroom_sdk_core::{ClientId, MessagePayload};

const ME: ClientId = ClientId(1);

fn main() -> Result<(), Box<dyn Error>> {
    let Some(path) = env::args().nth(1) else {
        eprintln!(
            "usage: embed FILE.wasm, such as examples/chat/dist/server.wasm after `stateroom build examples/chat`"
        );
        process::exit(2);
    };
    let module = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let program = Program::load(&module, Limits::default())?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut room = program.room("embedded", seed)?;

    smol::block_on(async {
        let mut timer = None;
        run(&mut room, Event::Init, &mut timer).await?;
        run(&mut room, Event::Connect(ME), &mut timer).await?;
        let mut lines = BufReader::new(Unblock::new(std::io::stdin())).lines();
        loop {
            let line = async { Some(lines.next().await) };
            let due = async {
                match timer {
                    Some(at) => Timer::at(at).await,
                    None => pending().await,
                };
                None
            };
            match or(line, due).await {
                Some(Some(line)) => {
                    let line = line?;
                    run(&mut room, Event::Message(ME, MessagePayload::Text(&line)), &mut timer).await?;
                }
                Some(None) => break,
                None => {
                    timer = None;
                    run(&mut room, Event::Timer, &mut timer).await?;
                }
            }
        }
        run(&mut room, Event::Disconnect(ME), &mut timer).await?;
        Ok(())
    })
}

/// Runs an event to its end and does what it asks.
async fn run(room: &mut Room, event: Event<'_>, timer: &mut Option<std::time::Instant>) -> Result<(), Trap> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut step = room.handle(event, u64::try_from(now.as_millis()).unwrap_or(u64::MAX))?;
    while step == Step::Suspended {
        yield_now().await;
        step = room.resume()?;
    }
    for effect in room.effects() {
        match effect {
            Effect::Send { recipient, payload } if recipient.includes(ME) => match payload {
                MessagePayload::Text(text) => println!("{text}"),
                MessagePayload::Bytes(bytes) => println!("{bytes:?}"),
            },
            Effect::SetTimer { ms } => {
                *timer = Some(std::time::Instant::now() + Duration::from_millis(ms.into()));
            }
            Effect::CancelTimer => *timer = None,
            Effect::Log { text, .. } => eprintln!("{text}"),
            _ => {}
        }
    }
    Ok(())
}
