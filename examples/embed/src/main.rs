//! A guest inside a smol program, without any server: host-min alone. Each line of standard input is a message.

use std::{env, error::Error, fs, process, time::*};

use smol::{future, io::AsyncBufReadExt as _, stream::StreamExt as _};
use stateroom_host_min::{
    ClientId, ClientInfo, Effect, Event, Limits, MessagePayload, Program, Room, Step, Trap,
};

const ME: ClientId = ClientId(1);

fn main() -> Result<(), Box<dyn Error>> {
    let Some(path) = env::args().nth(1) else {
        eprintln!(
            "usage: embed FILE.wasm, such as examples/chat/dist/server.wasm after `stateroom build examples/chat`"
        );
        process::exit(2);
    };
    let module = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let mut room = Program::load(&module, Limits::default())?.room("embedded", seed)?;
    smol::block_on(async {
        let mut due = None;
        run(&mut room, Event::Init, &mut due).await?;
        run(&mut room, Event::Connect(ME, ClientInfo::NONE), &mut due).await?;
        let mut lines = smol::io::BufReader::new(smol::Unblock::new(std::io::stdin())).lines();
        loop {
            // Whichever comes first: a line, the end of the input, or the timer.
            let timer = async {
                due.map_or_else(smol::Timer::never, smol::Timer::at).await;
                None
            };
            match future::or(async { Some(lines.next().await.transpose()) }, timer).await {
                None => run(&mut room, Event::Timer, &mut due).await?,
                Some(line) => match line? {
                    Some(line) => {
                        run(
                            &mut room,
                            Event::Message(ME, MessagePayload::Text(&line)),
                            &mut due,
                        )
                        .await?
                    }
                    None => return Ok(run(&mut room, Event::Disconnect(ME), &mut due).await?),
                },
            }
        }
    })
}

/// Runs an event to its end and does what it asks; `due` is when the room's timer is.
async fn run(room: &mut Room, event: Event<'_>, due: &mut Option<Instant>) -> Result<(), Trap> {
    *due = due.filter(|_| event != Event::Timer);
    // The delay of a timer counts from here.
    let begin = Instant::now();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut step = room.handle(event, now.as_millis() as u64)?;
    while step == Step::Suspended {
        future::yield_now().await;
        step = room.resume()?;
    }
    for effect in room.effects() {
        match effect {
            Effect::Send { recipient, payload } if recipient.includes(ME) => match payload {
                MessagePayload::Text(text) => println!("{text}"),
                MessagePayload::Bytes(bytes) => println!("{bytes:?}"),
            },
            Effect::SetTimer { ms } => *due = Some(begin + Duration::from_millis(ms.into())),
            Effect::CancelTimer => *due = None,
            Effect::Close {
                recipient, reason, ..
            } if recipient.includes(ME) => {
                eprintln!("the room closes the connection: {reason}");
                process::exit(0);
            }
            Effect::Log { text, .. } => eprintln!("{text}"),
            _ => {}
        }
    }
    Ok(())
}
