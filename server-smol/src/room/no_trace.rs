//! The recorder of a room, in a server without a playground: it records nothing.

use std::time::Duration;

use log::Level;
use stateroom_core::{MessagePayload, MessageRecipient};

use super::{
    event::{Event, Outcome},
    id::RoomId,
};

/// The recorder of a room. It takes no memory, and no instructions.
#[derive(Debug, Default)]
pub(super) struct Trace(());

/// The listeners of all rooms of a thread: there are none.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(());

#[allow(clippy::unused_self, reason = "the other one uses it")]
impl Subscriptions {
    #[inline]
    pub(super) fn attach(&self, _: &RoomId, _: &Trace) {}
}

#[allow(clippy::unused_self, reason = "the other one uses it")]
impl Trace {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        false
    }

    #[inline]
    pub(super) fn begin(&self, _: &Event<'_>, _now_ms: u64) {}

    #[inline]
    pub(super) fn send(&self, _: MessageRecipient, _: MessagePayload<'_>) {}

    #[inline]
    pub(super) fn close(&self, _: MessageRecipient, _code: u16, _reason: &str) {}

    #[inline]
    pub(super) fn timer(&self, _ms: u32) {}

    #[inline]
    pub(super) fn log(&self, _: Level, _text: &str) {}

    #[inline]
    pub(super) fn fail(&self, _reason: &str) {}

    #[inline]
    pub(super) fn note_slice(
        &self,
        _spent: Duration,
        _: Option<Outcome>,
        _fuel: Option<u64>,
        _memory: usize,
    ) {
    }

    #[inline]
    pub(super) fn state(&self, _now_ms: u64, _state: &str, _reason: Option<&str>) {}
}
