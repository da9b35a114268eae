/// Reads little-endian numbers from untrusted bytes.
pub(crate) struct Reader<'a>(&'a [u8]);

/// The bytes end too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns how many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// Returns all bytes that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Short)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Short> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }
}
