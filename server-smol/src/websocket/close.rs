use super::frame::CONTROL_SIZE;

/// Returns what a close frame carries (RFC 6455, section 5.5.1): a code and a reason, cut to what fits; nothing without a
/// code.
pub(crate) fn close_payload(code: Option<u16>, reason: &str) -> Vec<u8> {
    let Some(code) = code else { return Vec::new() };
    let mut payload = code.to_be_bytes().to_vec();
    let reason = &reason[..reason.floor_char_boundary(CONTROL_SIZE - payload.len())];
    payload.extend_from_slice(reason.as_bytes());
    payload
}

/// Returns whether the other side may close with this code (RFC 6455, section 7.4, and the registry that it makes).
pub(super) fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
