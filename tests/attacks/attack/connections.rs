//! Attacks on the number of connections.

use std::time::Duration;

use crate::{dial::NEWCOMER, http::join, scale::Scale, stage::Stage, swarm::Plan};

/// How many there are beyond those that the server takes.
const BEYOND: usize = 200;
/// So many open files are for other things.
const SPARE: usize = 500;
/// How long a newcomer waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections the server takes: what it takes by default, or as many as there may be open files for.
fn most(scale: Scale, files: usize) -> usize {
    scale.many(10_000).min(files.saturating_sub(BEYOND + SPARE))
}

pub(super) fn settings(scale: Scale, files: usize) -> Vec<String> {
    vec!["--max-connections".to_owned(), most(scale, files).to_string()]
}

pub(super) fn silence(stage: &mut Stage) -> Result<(), String> {
    let count = most(stage.scale, stage.files) + BEYOND;
    stage.calm();
    let mut swarm = stage.swarm(count, Plan::silent().from_one_address())?;
    swarm.enter(PATIENCE)?;
    swarm.run(stage.scale.storm() / 4)?;
    stage.note_tally(swarm.tally());
    match join(stage.address(), NEWCOMER, "newcomer", PATIENCE) {
        Ok(_) => {}
        Err(error) => {
            stage.broke(format!("the newcomer does not get in within {} s: {error}", PATIENCE.as_secs()))
        }
    }
    swarm.run(Duration::from_millis(50))
}
