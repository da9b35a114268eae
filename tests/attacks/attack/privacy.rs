//! Attacks on what others keep to themselves.

use std::time::Duration;

use crate::{stage::Stage, swarm::Plan};

/// The id of a room. A client that knows it can join.
const SECRET: &str = "a-secret-that-is-long";

pub(super) fn room_ids(stage: &mut Stage) -> Result<(), String> {
    let mut swarm = stage.swarm(1, Plan::joining(|_| SECRET.to_owned()))?;
    swarm.enter(Duration::from_secs(5))?;
    if swarm.tally().up < 1 {
        return Err("the room is not there".to_owned());
    }
    stage.calm_with(&mut swarm)?;
    let rooms = stage.ask_as_operator("/rooms")?;
    if !rooms["rooms"].as_array().is_some_and(|rooms| rooms.iter().any(|room| room["id"] == SECRET)) {
        stage.broke("the operator does not see the room");
    }
    for path in ["/status", "/status?verbose", "/rooms"] {
        let answer = stage.ask("GET", path, Duration::from_secs(5))?;
        stage.note(format!("{path}: {}, {} bytes", answer.status, answer.body.len()));
        if answer.body.contains(SECRET) {
            stage.broke(format!("`{path}` has a room's id"));
        }
    }
    swarm.run(stage.scale.storm() / 4)?;
    Ok(())
}
