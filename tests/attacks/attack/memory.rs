//! Attacks on the server's memory.

use std::time::{Duration, Instant};

use stateroom_tests::Frame;

use crate::{
    http::request,
    stage::Stage,
    swarm::{Plan, text},
};

/// The time that sending everything may take.
const PATIENCE: Duration = Duration::from_secs(15);
const MEBIBYTE: usize = 1 << 20;

pub(super) fn large_messages(stage: &mut Stage) -> Result<(), String> {
    let count = stage.scale.many(600);
    // Memory that would take no less space when its room hibernates.
    let mut state = 1_u32;
    let letters = (1..MEBIBYTE).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'0' + (state >> 26) as u8)
    });
    let message: String = std::iter::once('k').chain(letters).collect();
    let says = [text(&message), Frame::close(1000).masked()].concat();
    stage.calm();
    let mut swarm = stage.swarm(count, Plan::joining(|number| format!("m{number}")).saying(says))?;
    swarm.run_until(PATIENCE, |tally| tally.ended + tally.refused >= count)?;
    swarm.run(stage.scale.storm() / 4)?;
    stage.note(format!("{} messages sent", swarm.tally().said));
    stage.note_tally(swarm.tally());
    Ok(())
}

pub(super) fn deaf_rooms(stage: &mut Stage) -> Result<(), String> {
    let rooms = 2;
    let count = stage.scale.many(64) * rooms;
    let room = move |number: usize| format!("d{}", number % rooms);
    let mut listeners = stage.swarm(count, Plan::joining(room).deaf())?;
    listeners.enter(PATIENCE)?;
    stage.calm_with(&mut listeners)?;
    let message = format!("b{}", "x".repeat(9_999));
    let mut speakers = stage.swarm(rooms, Plan::joining(room).saying(text(&message).repeat(800)))?;
    speakers.run_until(PATIENCE, |tally| tally.said + tally.ended >= rooms)?;
    // What has come in has to go out as well.
    speakers.run(stage.scale.storm() / 4)?;
    listeners.run(Duration::from_millis(50))?;
    stage.note(format!("{} of {rooms} have said everything", speakers.tally().said));
    stage.note_tally(listeners.tally());
    Ok(())
}

pub(super) fn tiny_broadcasts(stage: &mut Stage) -> Result<(), String> {
    // So many that a message to all is delivered piece by piece.
    let mut listeners = stage.swarm(300, Plan::joining(|_| "t".to_owned()).deaf())?;
    listeners.enter(PATIENCE)?;
    stage.calm_with(&mut listeners)?;
    // More than the system keeps for a connection. What comes then waits in the outboxes.
    let large = text(&"b".repeat(MEBIBYTE)).repeat(4);
    let mut speaker = stage.swarm(1, Plan::joining(|_| "t".to_owned()).saying(large))?;
    speaker.run_until(PATIENCE, |tally| tally.said > 0)?;
    let mut speaker = stage.swarm(1, Plan::joining(|_| "t".to_owned()).repeating(&text("b")))?;
    speaker.run(stage.scale.storm())?;
    listeners.run(Duration::from_millis(50))?;
    stage.note_tally(listeners.tally());
    Ok(())
}

/// Fills memory with a little for each of many clients.
pub(super) fn many_deaf_clients(stage: &mut Stage) -> Result<(), String> {
    let count = stage.scale.many(9_000);
    let mut listeners = stage.swarm(count, Plan::joining(|_| "n".to_owned()).deaf())?;
    listeners.enter(PATIENCE)?;
    stage.calm_with(&mut listeners)?;
    let mut speaker =
        stage.swarm(1, Plan::joining(|_| "n".to_owned()).repeating(&text(&"b".repeat(3_000))))?;
    speaker.run(stage.scale.storm())?;
    listeners.run(Duration::from_millis(50))?;
    stage.note_tally(listeners.tally());
    Ok(())
}

/// The address of a session of the room `s`, with a token of its own.
fn session(number: usize) -> String {
    format!("s?stateroom.session=the-attackers-{number:09}")
}

/// Lets the server keep as much as it will for clients that may come back.
pub(super) fn unconfirmed_messages(stage: &mut Stage) -> Result<(), String> {
    let count = stage.scale.many(2_000);
    let mut listeners = stage.swarm(count, Plan::joining(session))?;
    listeners.enter(PATIENCE)?;
    stage.calm_with(&mut listeners)?;
    let message = text(&format!("b{}", "x".repeat(9_999))).repeat(60);
    let mut speaker = stage.swarm(1, Plan::joining(|_| "s".to_owned()).saying(message))?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end && speaker.tally().said == 0 {
        speaker.run(Duration::from_millis(20))?;
        listeners.run(Duration::from_millis(20))?;
    }
    listeners.run(stage.scale.storm() / 4)?;
    stage.note_tally(listeners.tally());
    let mut other =
        stage.swarm(1, Plan::joining(|_| "o".to_owned()).saying(text(&"b".repeat(MEBIBYTE - 1))))?;
    other.run_until(PATIENCE, |tally| tally.said + tally.ended > 0)?;
    other.run(Duration::from_millis(500))?;
    if other.tally().ended > 0 {
        stage.broke("a client that sends a large message is closed");
    }
    Ok(())
}

/// Leaves sessions without connections behind.
pub(super) fn lost_sessions(stage: &mut Stage) -> Result<(), String> {
    let count = stage.scale.many(200);
    stage.calm();
    let lost = Frame::close(4999).masked();
    let mut swarm = stage.swarm(count, Plan::joining(session).saying(lost).returning())?;
    swarm.run(stage.scale.storm())?;
    stage.note(format!("{} sessions begun", swarm.tally().said));
    stage.note_tally(swarm.tally());
    Ok(())
}

/// Begins a message of 64 KiB on each connection. No room needs so much to answer others.
pub(super) fn small_unfinished_messages(stage: &mut Stage) -> Result<(), String> {
    let count = stage.scale.many(5_000);
    let mut begun = text(&"k".repeat(64 << 10));
    begun.truncate((64 << 10) - 100);
    stage.calm();
    let plan = Plan::joining(|number| format!("u{}", number % 50)).saying(begun);
    let mut swarm = stage.swarm(count, plan)?;
    swarm.run_until(PATIENCE, |tally| tally.said + tally.refused + tally.ended >= count)?;
    swarm.run(stage.scale.storm() / 4)?;
    // A room that somebody wakes, or makes, has to have space to run.
    let mut newcomers = stage.swarm(1, Plan::joining(|_| "newcomer".to_owned()).saying(text("e hello")))?;
    newcomers.run_until(PATIENCE, |tally| tally.received > 0 || tally.refused + tally.ended > 0)?;
    if newcomers.tally().received == 0 {
        stage.broke("a newcomer's room does not answer");
    }
    stage.note_tally(swarm.tally());
    Ok(())
}

pub(super) fn unfinished_messages(stage: &mut Stage) -> Result<(), String> {
    /// The number of bytes that are not sent with the others.
    const REST: usize = 64;
    let count = stage.scale.many(600);
    let whole = text(&"k".repeat(MEBIBYTE));
    let (most, rest) = whole.split_at(whole.len() - REST);
    stage.calm();
    let mut swarm = stage.swarm(count, Plan::joining(|number| format!("u{number}")).saying(most))?;
    swarm.run_until(PATIENCE, |tally| tally.said + tally.refused + tally.ended >= count)?;
    let end = Instant::now() + stage.scale.storm();
    for byte in rest.chunks(1) {
        if Instant::now() >= end {
            break;
        }
        swarm.say(0, byte);
        swarm.run(Duration::from_millis(500))?;
    }
    stage.note_tally(swarm.tally());
    Ok(())
}

pub(super) fn stalled_downloads(stage: &mut Stage) -> Result<(), String> {
    let count = stage.scale.many(6000);
    stage.calm();
    let plan = Plan::silent().saying(request("GET", "/large.bin").into_bytes()).deaf();
    let mut swarm = stage.swarm(count, plan)?;
    swarm.run_until(PATIENCE, |tally| tally.said + tally.ended >= count)?;
    swarm.run(stage.scale.storm())?;
    stage.note_tally(swarm.tally());
    Ok(())
}

pub(super) fn wide_rooms(stage: &mut Stage) -> Result<(), String> {
    join(stage, 2000)
}

pub(super) fn vast_rooms(stage: &mut Stage) -> Result<(), String> {
    join(stage, 100)
}

/// Lets so many clients join a room each.
fn join(stage: &mut Stage, count: usize) -> Result<(), String> {
    stage.calm();
    let mut swarm = stage.swarm(stage.scale.many(count), Plan::joining(|number| format!("j{number}")))?;
    swarm.enter(PATIENCE)?;
    swarm.run(stage.scale.storm() / 4)?;
    stage.note_tally(swarm.tally());
    Ok(())
}
