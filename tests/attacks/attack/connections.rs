//! Attacks on the number of connections.

use std::time::{Duration, Instant};

use crate::{address::NEWCOMER, http::join, scale::Scale, stage::Stage, swarm::Plan};

/// The number of connections beyond those that the server takes.
const BEYOND: usize = 200;
/// The number of open files that are kept for other things.
const SPARE: usize = 500;
/// The time for which the attackers try to get in. Some must try again, and wait for that.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time that a newcomer waits.
const SOON: Duration = Duration::from_secs(2);

/// Returns how many connections the server takes: what it takes by default, or as many as there may be open files for.
fn most(scale: Scale, files: usize) -> usize {
    scale.many(10_000).min(files.saturating_sub(BEYOND + SPARE))
}

pub(super) fn settings(scale: Scale, files: usize) -> Vec<String> {
    vec!["--max-connections".to_owned(), most(scale, files).to_string()]
}

pub(super) fn silence(stage: &mut Stage) -> Result<(), String> {
    let count = most(stage.scale, stage.files) + BEYOND;
    stage.calm();
    let mut swarm = stage.swarm(count, Plan::silent().all_from_one_address())?;
    // The system takes connections for the server before the server does, and tells nobody which.
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end && stage.server.files() < most(stage.scale, stage.files) {
        swarm.run(Duration::from_millis(100))?;
    }
    swarm.run(stage.scale.storm() / 4)?;
    stage.note(format!("the server has {} files open", stage.server.files()));
    stage.note_tally(swarm.tally());
    let begin = Instant::now();
    match join(stage.address(), NEWCOMER, "newcomer", SOON) {
        Ok(_) => stage.note(format!("the newcomer is in after {} ms", begin.elapsed().as_millis())),
        Err(error) => {
            stage.broke(format!("the newcomer does not get in within {} s: {error}", SOON.as_secs()));
        }
    }
    swarm.run(Duration::from_millis(50))
}
