//! The checksum of snapshots and recordings: CRC-32 of ISO-HDLC.

#[cfg(not(feature = "small"))]
pub(crate) use crc32fast::hash;

/// Returns the checksum of `bytes`, with a table of 1 KB. The other one has 16 KB, and code for several kinds of processors.
#[cfg(feature = "small")]
pub(crate) fn hash(bytes: &[u8]) -> u32 {
    use crc::{CRC_32_ISO_HDLC, Crc, Table};

    static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}
