//! Attacks on the log.

use crate::{
    http::request,
    stage::Stage,
    swarm::{Plan, text},
};

/// Rooms that log, as `letter` says.
pub(super) fn chatter(stage: &mut Stage, letter: &'static str) -> Result<(), String> {
    stage.calm();
    let mut swarm = stage.swarm(10, Plan::joining(|number| format!("l{number}")).saying(text(letter)))?;
    swarm.run(stage.scale.storm())?;
    stage.note_tally(swarm.tally());
    Ok(())
}

pub(super) fn failures(stage: &mut Stage) -> Result<(), String> {
    let count = stage.scale.many(200);
    stage.calm();
    let plan = Plan::joining(move |number| format!("x{}", number % count)).saying(text("X")).returning();
    let mut swarm = stage.swarm(count, plan)?;
    swarm.run(stage.scale.storm())?;
    stage.note_tally(swarm.tally());
    Ok(())
}

pub(super) fn refusals(stage: &mut Stage) -> Result<(), String> {
    stage.calm();
    let mut quiet = stage.swarm(300, Plan::silent())?;
    quiet.run(stage.scale.storm() / 4)?;
    let asking = request("GET", "/status").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    let mut swarm = stage.swarm(200, Plan::silent().saying(asking.into_bytes()).returning())?;
    swarm.run(stage.scale.storm())?;
    stage.note_tally(swarm.tally());
    Ok(())
}
