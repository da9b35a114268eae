//! Attacks on the server's time: what takes long, and what keeps it busy.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use stateroom_tests::Frame;

use crate::{
    http::{last_request, request},
    scale::Scale,
    stage::Stage,
    swarm::{Plan, Swarm, text},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The messages of a flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    Empty,
    Ping,
    Echo,
}

pub(super) fn growth(stage: &mut Stage) -> Result<(), String> {
    let plan = Plan::joining(|number| format!("g{number}")).saying(text("g"));
    storm(stage, 100, plan)
}

/// Half of the rooms fill memory, and half of them copy it.
pub(super) fn bulk_memory(stage: &mut Stage, rooms: usize) -> Result<(), String> {
    stage.calm();
    let plans = [("F", "f"), ("C", "c")]
        .map(|(letter, room)| Plan::joining(move |number| format!("{room}{number}")).saying(text(letter)));
    let mut swarms = Vec::new();
    for plan in plans {
        swarms.push(stage.swarm((stage.scale.many(rooms) / 2).max(1), plan)?);
    }
    let end = Instant::now() + stage.scale.storm();
    while Instant::now() < end {
        swarms.iter_mut().try_for_each(|swarm| swarm.run(Duration::from_millis(50)))?;
    }
    swarms.iter().for_each(|swarm| stage.note_tally(swarm.tally()));
    Ok(())
}

pub(super) fn flood(stage: &mut Stage, count: usize, flood: Flood) -> Result<(), String> {
    let frame = match flood {
        Flood::Empty => text(""),
        Flood::Ping => Frame::new(Frame::PING, [b'p'; 16]).masked(),
        Flood::Echo => text(&"e".repeat(16)),
    };
    storm(stage, count, Plan::joining(|number| format!("f{}", number % 10)).repeating(&frame))
}

/// Lets so many clients do something for a while.
fn storm(stage: &mut Stage, count: usize, plan: Plan) -> Result<(), String> {
    stage.calm();
    let mut swarm = stage.swarm(stage.scale.many(count), plan)?;
    swarm.run(stage.scale.storm())?;
    stage.note_tally(swarm.tally());
    Ok(())
}

/// Lets so many clients join one room.
fn crowd(stage: &mut Stage, count: usize) -> Result<Swarm, String> {
    let mut swarm = stage.swarm(count, Plan::joining(|_| "crowd".to_owned()))?;
    swarm.enter(PATIENCE)?;
    stage.calm_with(&mut swarm)?;
    Ok(swarm)
}

pub(super) fn broadcasts(stage: &mut Stage, count: usize) -> Result<(), String> {
    // Of the open files, some are not for clients.
    let count = stage.scale.many(count).min(stage.files.saturating_sub(200));
    let mut swarm = crowd(stage, count)?;
    let end = Instant::now() + stage.scale.storm();
    let message: Arc<[u8]> = text("hello everyone").into();
    while Instant::now() < end {
        swarm.say(0, Arc::clone(&message));
        swarm.run(Duration::from_millis(250))?;
    }
    let tally = swarm.tally();
    stage.note(format!("{:.1} MB received", tally.received as f64 / 1e6));
    stage.note_tally(tally);
    Ok(())
}

pub(super) fn many_broadcasts(stage: &mut Stage) -> Result<(), String> {
    let mut swarm = crowd(stage, stage.scale.many(2000))?;
    swarm.say(0, text("B"));
    swarm.run(stage.scale.storm())?;
    let tally = swarm.tally();
    stage.note(format!("{:.1} MB received", tally.received as f64 / 1e6));
    stage.note_tally(tally);
    Ok(())
}

pub(super) fn pipelines(stage: &mut Stage) -> Result<(), String> {
    let requests = request("GET", "/status").repeat(20_000).into_bytes();
    storm(stage, 500, Plan::silent().saying(requests).deaf())
}

/// Returns flags with which all rooms may be opened as fast as possible.
pub(super) fn settings_for_lists(_: Scale, _: usize) -> Vec<String> {
    ["--room-rate", "0"].map(str::to_owned).into()
}

pub(super) fn room_lists(stage: &mut Stage) -> Result<(), String> {
    let (count, makers) = (stage.scale.many(100_000), 8);
    // Each maker has its own part of the ids.
    let part = count / makers;
    let mut swarms = Vec::new();
    for maker in 0..makers {
        let ids = maker * part..(maker + 1) * part;
        let mut requests: String = ids.map(|id| request("POST", &format!("/ws/{id}"))).collect();
        // The connection ends when all have been answered.
        requests += &last_request("GET", "/status");
        swarms.push(stage.swarm(1, Plan::silent().saying(requests.into_bytes()))?);
    }
    let end = Instant::now() + PATIENCE;
    let is_waiting = |swarms: &[Swarm]| swarms.iter().any(|swarm| swarm.tally().ended < 1);
    while is_waiting(&swarms) && Instant::now() < end {
        swarms.iter_mut().try_for_each(|swarm| swarm.run(Duration::from_millis(10)))?;
    }
    drop(swarms);
    stage.calm();
    let rooms = &stage.ask_as_operator("/status")?["rooms"];
    stage.note(format!("{rooms} rooms"));
    let end = Instant::now() + stage.scale.storm();
    let (mut after, mut pages) = (String::new(), 0);
    while Instant::now() < end {
        let page = stage.ask_as_operator(&format!("/rooms?limit=1000{after}"))?;
        after = page["next"].as_str().map(|id| format!("&after={id}")).unwrap_or_default();
        pages += 1;
    }
    stage.note(format!("{pages} pages of 1,000 rooms"));
    Ok(())
}
