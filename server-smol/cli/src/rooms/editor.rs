use std::path::Path;

use anyhow::{Result, bail};
use stateroom_server_smol::{DataRooms, RoomsError};

use crate::args::Place;

use super::operator::Operator;

/// The rooms of a directory, or of a server that runs, to change them.
pub(super) enum Editor {
    Data(Box<DataRooms>),
    Server(Operator),
}

impl Editor {
    /// Opens a directory with `open`.
    pub(super) fn open(
        place: Place,
        open: impl FnOnce(&Path) -> Result<DataRooms, RoomsError>,
    ) -> Result<Self> {
        match place {
            Place { data: Some(data), .. } => Ok(Self::Data(Box::new(open(&data)?))),
            Place { admin: Some(address), .. } => Ok(Self::Server(Operator::new(address))),
            Place { data: None, admin: None } => bail!("give `--data DIR` or `--admin ADDRESS`"),
        }
    }

    pub(super) fn import(&mut self, file: &[u8], id: Option<&str>) -> Result<String> {
        match self {
            Self::Server(operator) => operator.import(file, id),
            Self::Data(rooms) => Ok(rooms.import(file, id)?),
        }
    }

    pub(super) fn delete(&mut self, room: &str) -> Result<()> {
        match self {
            Self::Server(operator) => operator.delete(room),
            Self::Data(rooms) => Ok(rooms.delete(room)?),
        }
    }

    pub(super) fn close(self) -> Result<()> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Data(rooms) => Ok(rooms.close()?),
        }
    }
}
