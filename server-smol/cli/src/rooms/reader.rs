use anyhow::{Result, bail};
use stateroom_server_smol::DataReader;

use crate::{args::Place, stdout::print};

use super::operator::Operator;

/// The rooms that are asked for together.
const PAGE: usize = 10_000;

/// The rooms of a directory, or of a server that runs, to read them.
pub(super) enum Reader {
    Data(Box<DataReader>),
    Server(Operator),
}

impl Reader {
    pub(super) fn open(place: Place) -> Result<Self> {
        match place {
            Place { data: Some(data), .. } => Ok(Self::Data(Box::new(DataReader::open(&data)?))),
            Place { admin: Some(address), .. } => Ok(Self::Server(Operator::new(address))),
            Place { data: None, admin: None } => bail!("give `--data DIR` or `--admin ADDRESS`"),
        }
    }

    /// Prints a line for each room.
    pub(super) fn list(self) -> Result<()> {
        match self {
            Self::Server(operator) => operator.list(|lines| print(lines)),
            Self::Data(mut rooms) => {
                let mut after = None;
                loop {
                    let page = rooms.list(after.as_deref(), PAGE);
                    page.iter().try_for_each(print)?;
                    after = page.last().map(|room| room.id.clone());
                    if page.len() < PAGE {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Returns the next ids after this one, in order. There are none after the last.
    pub(super) fn ids(&mut self, after: Option<&str>) -> Result<Vec<String>> {
        match self {
            Self::Server(operator) => operator.ids(after),
            Self::Data(rooms) => Ok(rooms.list(after, PAGE).into_iter().map(|room| room.id).collect()),
        }
    }

    pub(super) fn show(self, room: &str) -> Result<String> {
        match self {
            Self::Server(operator) => operator.show(room),
            Self::Data(mut rooms) => Ok(rooms.show(room)?.to_string()),
        }
    }

    /// Returns the file of a room, or nothing if there is no such room.
    pub(super) fn export(&mut self, room: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Server(operator) => operator.export(room),
            Self::Data(rooms) => match rooms.export(room) {
                Err(stateroom_server_smol::RoomsError::NoSuchRoom(_)) => Ok(None),
                file => Ok(Some(file?)),
            },
        }
    }
}
