use std::str::FromStr;

/// The way in which rooms are created and named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RoomIds {
    /// Any id is valid. Connecting to a room that does not exist creates it. `implicit`.
    #[default]
    Implicit,
    /// A room is created by `POST /ws/{room}`; connecting to one that does not exist fails with 404.
    /// `explicit`.
    Explicit,
    /// Only `POST /new_room` creates rooms, with generated ids. `generated` (or `generated:short`,
    /// `generated:uuid`).
    Generated(GeneratedIds),
}

/// The form of the ids that `POST /new_room` makes. Both forms come from the system's random source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GeneratedIds {
    /// Ten lower-case letters and digits, without those that look alike (50 random bits). Such an id is short
    /// enough to read aloud, and too long to guess.
    #[default]
    Short,
    /// A random UUID (RFC 9562, version 4).
    Uuid,
}

impl RoomIds {
    /// Returns whether connecting creates a room.
    pub(crate) fn implicit(self) -> bool {
        self == Self::Implicit
    }

    pub(crate) fn generated(self) -> GeneratedIds {
        match self {
            Self::Generated(ids) => ids,
            Self::Implicit | Self::Explicit => GeneratedIds::default(),
        }
    }
}

impl FromStr for RoomIds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "implicit" => Ok(Self::Implicit),
            "explicit" => Ok(Self::Explicit),
            "generated" | "generated:short" => Ok(Self::Generated(GeneratedIds::Short)),
            "generated:uuid" => Ok(Self::Generated(GeneratedIds::Uuid)),
            _ => Err("is none of `implicit`, `explicit`, `generated`, `generated:uuid`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_written_as_the_command_line_writes_them() {
        assert_eq!("implicit".parse(), Ok(RoomIds::Implicit));
        assert_eq!("explicit".parse(), Ok(RoomIds::Explicit));
        assert_eq!("generated".parse(), Ok(RoomIds::Generated(GeneratedIds::Short)));
        assert_eq!("generated:uuid".parse(), Ok(RoomIds::Generated(GeneratedIds::Uuid)));
        assert!("".parse::<RoomIds>().is_err());
    }
}
