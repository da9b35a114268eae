//! The checksum of the format: CRC-32 of ISO-HDLC.

#[cfg(not(feature = "small"))]
mod implementation {
    pub(crate) use crc32fast::{Hasher, hash};

    /// Returns the checksum of no bytes. A new one looks at the processor first.
    pub(crate) fn hasher() -> Hasher {
        Hasher::new()
    }
}

/// The other one has a table of 16 KB, and code for several kinds of processors.
#[cfg(feature = "small")]
mod implementation {
    use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

    /// A table of 1 KB.
    static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

    #[derive(Clone)]
    pub(crate) struct Hasher(Digest<'static, u32, Table<1>>);

    impl Hasher {
        pub(crate) fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(crate) fn finalize(self) -> u32 {
            self.0.finalize()
        }
    }

    impl std::fmt::Debug for Hasher {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Hasher").finish_non_exhaustive()
        }
    }

    /// Returns the checksum of no bytes.
    pub(crate) fn hasher() -> Hasher {
        Hasher(CRC.digest())
    }

    /// Returns the checksum of `bytes`.
    pub(crate) fn hash(bytes: &[u8]) -> u32 {
        CRC.checksum(bytes)
    }
}

pub(crate) use implementation::{Hasher, hash, hasher};
