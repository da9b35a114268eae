//! Attacks on the server's end.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::{
    stage::Stage,
    swarm::{Plan, Swarm, text},
};

/// The time that the server may take to end.
const SOON: Duration = Duration::from_secs(2);

/// Lets so many rooms log, as `letter` says.
pub(super) fn while_logging(stage: &mut Stage, rooms: usize, letter: &'static str) -> Result<(), String> {
    let mut swarm = stage.swarm(rooms, Plan::joining(|number| format!("s{number}")).saying(text(letter)))?;
    stage.calm();
    swarm.run(stage.scale.storm() / 2)?;
    end(stage)
}

pub(super) fn while_joining(stage: &mut Stage) -> Result<(), String> {
    let (address, count) = (stage.address(), stage.scale.many(100));
    let plan = Plan::joining(|number| format!("s{number}")).returning();
    stage.calm();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let joining = scope.spawn(|| {
            let mut swarm = Swarm::new(address, count, plan)?;
            while !is_over.load(Ordering::Relaxed) {
                swarm.run(Duration::from_millis(10))?;
            }
            Ok(())
        });
        thread::sleep(stage.scale.storm() / 4);
        let ended = end(stage);
        is_over.store(true, Ordering::Relaxed);
        joining.join().unwrap_or_else(|_| Err("the attackers have panicked".to_owned())).and(ended)
    })
}

/// Asks the server to end, as an operator does, and waits.
fn end(stage: &mut Stage) -> Result<(), String> {
    stage.look()?;
    if stage.seen.end.is_some() {
        return Ok(());
    }
    match stage.server.terminate(SOON) {
        Some(took) => stage.note(format!("gone after {} ms", took.as_millis())),
        None => stage.broke(format!("it is still there {} s after SIGTERM", SOON.as_secs())),
    }
    Ok(())
}
