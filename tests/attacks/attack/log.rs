//! Attacks on the log.

use std::sync::Arc;

use crate::{
    http::request,
    stage::Stage,
    swarm::{Plan, text},
};

/// Lets so many rooms log, as `letter` says.
pub(super) fn chatter(stage: &mut Stage, rooms: usize, letter: &'static str) -> Result<(), String> {
    stage.calm();
    let mut swarm = stage.swarm(rooms, Plan::joining(|number| format!("l{number}")).saying(text(letter)))?;
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

/// Asks for a file again and again, and takes all file descriptors that are left meanwhile. A connection whose request is being answered is
/// not closed for want of them.
pub(super) fn refusals(stage: &mut Stage) -> Result<(), String> {
    let mut asking = stage.swarm(20, Plan::silent())?;
    asking.run(stage.scale.storm() / 8)?;
    stage.calm_with(&mut asking)?;
    let requests: Arc<[u8]> = request("GET", "/large.bin").repeat(50_000).into_bytes().into();
    for index in 0..20 {
        asking.say(index, Arc::clone(&requests));
    }
    asking.run(stage.scale.storm() / 8)?;
    let mut quiet = stage.swarm(300, Plan::silent())?;
    quiet.run(stage.scale.storm() / 8)?;
    asking.run(stage.scale.storm())?;
    stage.note(format!("{:.1} MB of answers", asking.tally().received as f64 / 1e6));
    stage.note_tally(asking.tally());
    Ok(())
}
