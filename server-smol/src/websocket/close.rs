use std::borrow::Cow;

use super::frame::CONTROL_SIZE;

/// How a connection ends: the code and the reason of its close frame (RFC 6455, section 7.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: Cow<'static, str>,
}

impl Close {
    /// The server goes away, or the room does.
    pub(crate) const AWAY: u16 = 1001;
    /// The other side broke the protocol.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// What was said to be text is none.
    pub(crate) const INVALID: u16 = 1007;
    /// What was asked for is not to be had.
    pub(crate) const POLICY: u16 = 1008;
    /// A message is too large.
    pub(crate) const SIZE: u16 = 1009;
    /// The room has failed.
    pub(crate) const ERROR: u16 = 1011;
    /// Come again later.
    pub(crate) const AGAIN: u16 = 1013;

    pub(crate) fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// What the frame carries.
    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut payload = self.code.to_be_bytes().to_vec();
        let reason = &self.reason[..self.reason.floor_char_boundary(CONTROL_SIZE - payload.len())];
        payload.extend_from_slice(reason.as_bytes());
        payload
    }
}

/// Whether the other side may close with this code (RFC 6455, section 7.4, and the registry that it makes).
pub(super) fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
