use std::{fmt, rc::Rc};

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};

use crate::memory::{Buffer, Charge, Ledger, OutOfMemory, Purpose};

use super::END;

/// Compresses the messages of a thread.
pub(crate) struct Deflater {
    compressor: Box<CompressorOxide>,
    _charge: Charge,
}

/// The memory of a compressor, in bytes: its window, its hash tables and its codes.
const SIZE: usize = 384 << 10;

/// The fastest level. The next ones save some 10 % more and take up to twice the time.
const LEVEL: i32 = 1;
/// The library's sign for deflate without a header.
const RAW: i32 = -15;

impl Deflater {
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn new(ledger: &Rc<Ledger>) -> Result<Self, OutOfMemory> {
        let charge = ledger.charge(SIZE, Purpose::New)?;
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW, 0);
        Ok(Self { compressor: Box::new(CompressorOxide::new(flags)), _charge: charge })
    }

    /// Adds a message to `to`, compressed as it is sent.
    ///
    /// # Errors
    /// There is no memory for it. A part of it may have been added.
    pub(crate) fn deflate(&mut self, payload: &[u8], to: &mut Buffer) -> Result<(), OutOfMemory> {
        // After a full flush, nothing refers to what was before, and the compressor need not be made anew.
        let (flush, add) = (TDEFLFlush::Full, |bytes: &[u8]| to.extend(bytes).is_ok());
        let (status, read) = compress_to_output(&mut self.compressor, payload, flush, add);
        if status != TDEFLStatus::Okay || read < payload.len() {
            self.compressor.reset();
            return Err(OutOfMemory);
        }
        if to.ends_with(&END) {
            to.truncate(to.len() - END.len());
        }
        Ok(())
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").finish_non_exhaustive()
    }
}
