/// The mask of a client's bytes (RFC 6455, section 5.3), from the next byte on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mask(u32);

impl Mask {
    pub(super) fn new(key: [u8; 4]) -> Self {
        Self(u32::from_le_bytes(key))
    }

    /// Takes the mask off these bytes, which follow those before.
    pub(super) fn unmask(&mut self, bytes: &mut [u8]) {
        let Self(key) = *self;
        let twice = u64::from(key) | u64::from(key) << 32;
        // Several at a time, as the compiler does not do it by itself where the binary is to be small.
        let (chunks, rest) = bytes.as_chunks_mut::<32>();
        for chunk in chunks {
            let (words, _) = chunk.as_chunks_mut::<8>();
            for word in words {
                *word = (u64::from_ne_bytes(*word) ^ twice.to_le()).to_ne_bytes();
            }
        }
        for (byte, mask) in rest.iter_mut().zip(twice.to_le_bytes().into_iter().cycle()) {
            *byte ^= mask;
        }
        // What comes next begins in the middle of the key.
        self.0 = key.rotate_right(8 * (bytes.len() % 4) as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_the_same_in_one_piece_and_in_many() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let masked: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        for pieces in [1, 2, 3, 4, 5, 7, 8, 9, 63, 1000] {
            let (mut mask, mut bytes) = (Mask::new(key), masked.clone());
            bytes.chunks_mut(pieces).for_each(|piece| mask.unmask(piece));
            assert_eq!(bytes, plain, "in pieces of {pieces}");
        }
    }
}
