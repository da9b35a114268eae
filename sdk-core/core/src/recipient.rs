use crate::ClientId;

/// The recipients of a message. Only clients of the sender's own room can be reached; a client that has left gets
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageRecipient {
    /// Every client of the room.
    Broadcast,
    /// One client.
    Client(ClientId),
    /// Every client of the room but one, usually the one that caused the message.
    EveryoneExcept(ClientId),
}

impl MessageRecipient {
    /// Returns the recipient as the ABI writes it: 0 for everyone, `n` for client `n`, `-n` for everyone except
    /// client `n`.
    #[must_use]
    pub const fn encode_i32(self) -> i32 {
        match self {
            Self::Broadcast => 0,
            Self::Client(client) => client.0.cast_signed(),
            Self::EveryoneExcept(client) => client.0.cast_signed().wrapping_neg(),
        }
    }

    /// Reads what [`encode_i32`](Self::encode_i32) wrote. Every number means something.
    #[must_use]
    pub const fn decode_i32(encoded: i32) -> Self {
        match encoded {
            0 => Self::Broadcast,
            1.. => Self::Client(ClientId(encoded.cast_unsigned())),
            _ => Self::EveryoneExcept(ClientId(encoded.unsigned_abs())),
        }
    }

    /// Returns whether `client` is among those meant.
    #[must_use]
    pub fn includes(self, client: ClientId) -> bool {
        match self {
            Self::Broadcast => true,
            Self::Client(only) => client == only,
            Self::EveryoneExcept(left_out) => client != left_out,
        }
    }
}

impl From<ClientId> for MessageRecipient {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipient_survives_the_wire() {
        for recipient in [
            MessageRecipient::Broadcast,
            MessageRecipient::Client(ClientId(1)),
            MessageRecipient::Client(ClientId::MAX),
            MessageRecipient::EveryoneExcept(ClientId(1)),
            MessageRecipient::EveryoneExcept(ClientId::MAX),
        ] {
            assert_eq!(MessageRecipient::decode_i32(recipient.encode_i32()), recipient);
        }
    }

    #[test]
    fn the_smallest_number_excludes_a_client_that_cannot_exist() {
        assert_eq!(
            MessageRecipient::decode_i32(i32::MIN),
            MessageRecipient::EveryoneExcept(ClientId(1 << 31))
        );
    }
}
