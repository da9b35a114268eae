//! Compressed messages, in a server without the feature for them: there are none.

use super::Violation;
use crate::memory::{Buffer, Incoming};

/// The part of a decoder that would inflate messages.
#[derive(Debug, Default)]
pub(super) struct Inflation(());

#[allow(clippy::unused_self, reason = "they are those of the other one")]
impl Inflation {
    pub(super) fn is_compressed(&self) -> bool {
        false
    }

    pub(super) fn begin(&mut self, _: u8) -> bool {
        false
    }

    pub(super) fn limit(&self, limit: usize) -> usize {
        limit
    }

    pub(super) fn start(&mut self, _: &mut Buffer<Incoming>) -> Result<(), Violation> {
        Ok(())
    }

    pub(super) fn step(&mut self, _: &[u8], _: usize) -> Result<Option<u32>, Violation> {
        Ok(None)
    }

    pub(super) fn message(&self) -> &[u8] {
        &[]
    }

    pub(super) fn forget(&mut self) {}
}
