use crate::{bytes::Reader, checksum, layout::HEADER};

const MAGIC: &[u8; 8] = b"strmjrn\0";
/// Changes whenever the meaning of any byte changes.
pub(crate) const VERSION: u32 = 1;
const SEGMENT: &str = "segment-";
const SPARE: &str = "spare-";
/// A segment with damaged bytes, under its number. Nobody reads it.
const DAMAGED: &str = "damaged-";
/// A file that is being created.
pub(crate) const UNFINISHED: &str = "unfinished";

/// The header of a segment.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) size: u32,
    pub(crate) number: u64,
    /// New for each use of the file.
    pub(crate) salt: u64,
    pub(crate) store: [u8; 16],
    /// The number of the first batch. Batches with this number or a greater one in earlier segments are void.
    pub(crate) first: u64,
    /// The checksum of the batch before the first.
    pub(crate) chain: u32,
    /// True if recovery began it. Then it counts only if its first commit is complete.
    pub(crate) recovery: bool,
    /// The segment in which the newest complete checkpoint began, or 0.
    pub(crate) checkpoint: u64,
    pub(crate) next_room: u64,
}

#[derive(Debug)]
pub(crate) enum HeaderError {
    Damaged,
    Version(u32),
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER as usize] {
        let mut bytes = Vec::with_capacity(HEADER as usize);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.store);
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.recovery).to_le_bytes());
        bytes.extend_from_slice(&self.checkpoint.to_le_bytes());
        bytes.extend_from_slice(&self.next_room.to_le_bytes());
        let mut block = [0; HEADER as usize];
        block[..8].copy_from_slice(MAGIC);
        block[12..12 + bytes.len()].copy_from_slice(&bytes);
        let crc = checksum::hash(&block[12..]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
        block
    }

    pub(crate) fn decode(block: &[u8; HEADER as usize]) -> Result<Self, HeaderError> {
        let mut reader = Reader(block);
        let (magic, crc) = (reader.take(8), reader.u32());
        if magic != Some(MAGIC) || crc != Some(checksum::hash(&block[12..])) {
            return Err(HeaderError::Damaged);
        }
        Self::fields(&mut reader).unwrap_or(Err(HeaderError::Damaged))
    }

    fn fields(reader: &mut Reader<'_>) -> Option<Result<Self, HeaderError>> {
        let version = reader.u32()?;
        if version != VERSION {
            return Some(Err(HeaderError::Version(version)));
        }
        Some(Ok(Self {
            size: reader.u32()?,
            number: reader.u64()?,
            salt: reader.u64()?,
            store: reader.take(16)?.try_into().ok()?,
            first: reader.u64()?,
            chain: reader.u32()?,
            recovery: reader.u32()? & 1 != 0,
            checkpoint: reader.u64()?,
            next_room: reader.u64()?,
        }))
    }
}

pub(crate) fn segment_name(number: u64) -> String {
    name(SEGMENT, number)
}

pub(crate) fn spare_name(number: u64) -> String {
    name(SPARE, number)
}

pub(crate) fn damaged_name(number: u64) -> String {
    name(DAMAGED, number)
}

pub(crate) fn is_damaged(name: &str) -> bool {
    name.strip_prefix(DAMAGED).and_then(number).is_some()
}

pub(crate) fn segment_number(name: &str) -> Option<u64> {
    number(name.strip_prefix(SEGMENT)?)
}

pub(crate) fn spare_number(name: &str) -> Option<u64> {
    number(name.strip_prefix(SPARE)?)
}

fn name(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:012}")
}

fn number(digits: &str) -> Option<u64> {
    if digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}
