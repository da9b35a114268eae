use alloc::vec::Vec;

use super::Recording;
use crate::checksum;

/// The length of a record that is none: the seal.
pub(super) const SEAL: u8 = 0;

/// The length of the seal: that, and the checksum.
const SIZE: usize = 5;

impl Recording<'_> {
    /// Appends the seal to a recording: a checksum of all bytes before. There are no records after it.
    ///
    /// A recording that is written while its room runs has none. With a seal, a reader knows that the recording has all of its events, and that
    /// none of its bytes has changed.
    pub fn seal(bytes: &mut Vec<u8>) {
        let checksum = checksum::hash(bytes);
        bytes.push(SEAL);
        bytes.extend(checksum.to_le_bytes());
    }

    /// Returns whether a recording ends with its seal, so that it is complete and undamaged.
    #[must_use]
    pub fn is_sealed(bytes: &[u8]) -> bool {
        let Some((recording, [SEAL, checksum @ ..])) = bytes.split_last_chunk::<SIZE>() else { return false };
        checksum::hash(recording).to_le_bytes() == *checksum
    }
}
