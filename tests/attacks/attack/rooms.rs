//! Attacks on the number of rooms.

use std::time::Duration;

use crate::{
    address::NEWCOMER,
    http::{join, request},
    scale::Scale,
    stage::{Stage, open_room},
    swarm::Plan,
};

/// The number of rooms in a short attack: as many as can be opened.
const FEW: &str = "2k";

pub(super) fn settings(scale: Scale, _: usize) -> Vec<String> {
    let mut settings = vec!["--room-ids".to_owned(), "generated".to_owned()];
    if scale == Scale::Short {
        settings.extend(["--max-rooms", FEW].map(str::to_owned));
    }
    settings
}

pub(super) fn open_many(stage: &mut Stage) -> Result<(), String> {
    stage.calm();
    let plan = Plan::silent().repeating(request("POST", "/new_room").as_bytes());
    let mut swarm = stage.swarm(8, plan)?;
    swarm.run(stage.scale.storm())?;
    drop(swarm);
    let entered = open_room(stage.address()).and_then(|room| {
        join(stage.address(), NEWCOMER, &room, Duration::from_secs(5)).map_err(|error| error.to_string())
    });
    if let Err(why) = entered {
        stage.broke(why);
    }
    Ok(())
}
