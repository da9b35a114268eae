use crate::{bytes::Reader, checksum, layout::BATCH};

const FIRST: u32 = 1;
const LAST: u32 = 2;

/// The header of a batch: the part of a commit that is in one segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) crc: u32,
    /// The bytes of data after the header.
    pub(crate) length: u32,
    /// The checksum of the batch before.
    pub(crate) chain: u32,
    /// True if a commit begins with it.
    pub(crate) first: bool,
    /// True if a commit ends with it.
    pub(crate) last: bool,
    /// The bytes of data in front of the first record that begins in the batch. With them, a segment can be read
    /// without those before it.
    pub(crate) skip: u32,
    /// The salt of the segment.
    pub(crate) salt: u64,
    pub(crate) number: u64,
    /// All batches up to this number were durable when the batch was written.
    pub(crate) durable: u64,
}

impl Batch {
    /// Puts the header in front of its data, and returns the checksum. `crc` is that of no bytes.
    pub(crate) fn seal(&self, crc: &checksum::Hasher, batch: &mut [u8]) -> u32 {
        let (header, _) = batch.split_at_mut(BATCH as usize);
        let flags = u32::from(self.first) * FIRST + u32::from(self.last) * LAST + (self.skip << 2);
        header[4..8].copy_from_slice(&self.length.to_le_bytes());
        header[8..12].copy_from_slice(&self.chain.to_le_bytes());
        header[12..16].copy_from_slice(&flags.to_le_bytes());
        header[16..24].copy_from_slice(&self.salt.to_le_bytes());
        header[24..32].copy_from_slice(&self.number.to_le_bytes());
        header[32..40].copy_from_slice(&self.durable.to_le_bytes());
        let mut crc = crc.clone();
        crc.update(&batch[4..]);
        let crc = crc.finalize();
        batch[..4].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    pub(crate) fn decode(header: &[u8]) -> Option<Self> {
        let mut reader = Reader(header);
        let (crc, length, chain, flags) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
        let (salt, number, durable) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (first, last) = (flags & FIRST != 0, flags & LAST != 0);
        let skip = flags >> 2;
        Some(Self { crc, length, chain, first, last, skip, salt, number, durable })
    }
}
