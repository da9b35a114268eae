//! `stateroom rooms`: lists, shows, exports, imports and deletes rooms that are kept on disk.

mod file;
mod operator;

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use stateroom_host_min::Limits;
use stateroom_server_smol::{DataRooms, Settings};

use crate::{
    args::{Place, RoomsAction, RoomsArgs},
    limits::Chosen,
    module,
    stdout::say,
};

use self::operator::Operator;

/// The rooms that are asked for together.
const PAGE: usize = 10_000;

/// `stateroom rooms`
pub(crate) fn run(args: RoomsArgs) -> Result<()> {
    match args.action {
        RoomsAction::List { place } => Rooms::find(place)?.list(),
        RoomsAction::Show { room, place } => {
            let details = Rooms::find(place)?.show(&room)?;
            say(details);
            Ok(())
        }
        RoomsAction::Export { room, output, place } => {
            if output.is_none() && io::stdout().is_terminal() {
                bail!("the file of a room is not text: give its name with `--output`");
            }
            let file = Rooms::find(place)?.export(&room)?;
            write(output.as_deref(), &file)
        }
        RoomsAction::Import { file, id, journal_size, limits, place } => {
            if place.data.is_none() && limits.is_any_set() {
                bail!("a server that runs has its own limits: give limits only with `--data`");
            }
            let limits = limits.over(&Chosen::default()).bounds(Settings::default())?.guest;
            let bytes = read(&file)?;
            let id = Rooms::find_or_create(place)?
                .with_limits(limits, journal_size)
                .import(&bytes, id.as_deref())
                .with_context(|| format!("cannot import `{}`", file.display()))?;
            say(format_args!("imported {}", id.escape_debug()));
            Ok(())
        }
        RoomsAction::Delete { room, place } => {
            Rooms::find(place)?.delete(&room)?;
            say(format_args!("deleted {}", room.escape_debug()));
            Ok(())
        }
    }
}

/// The rooms of a directory, or of a server that runs.
enum Rooms {
    Data(Box<DataRooms>),
    Server(Operator),
}

impl Rooms {
    fn find(place: Place) -> Result<Self> {
        Self::open(place, DataRooms::open)
    }

    fn find_or_create(place: Place) -> Result<Self> {
        Self::open(place, DataRooms::open_or_create)
    }

    fn open(
        place: Place,
        open: fn(&Path) -> Result<DataRooms, stateroom_server_smol::RoomsError>,
    ) -> Result<Self> {
        match place {
            Place { data: Some(data), .. } => Ok(Self::Data(Box::new(open(&data)?))),
            Place { admin: Some(address), .. } => Ok(Self::Server(Operator::new(address))),
            Place { data: None, admin: None } => bail!("give `--data DIR` or `--admin ADDRESS`"),
        }
    }

    fn with_limits(self, limits: Limits, journal_size: u64) -> Self {
        match self {
            Self::Data(rooms) => Self::Data(Box::new(rooms.with_limits(limits, journal_size))),
            server @ Self::Server(_) => server,
        }
    }

    fn list(self) -> Result<()> {
        match self {
            Self::Server(operator) => operator.list(|lines| say(lines)),
            Self::Data(mut rooms) => {
                let mut after = None;
                loop {
                    let page = rooms.list(after.as_deref(), PAGE);
                    page.iter().for_each(say);
                    after = page.last().map(|room| room.id.clone());
                    if page.len() < PAGE {
                        return Ok(rooms.close()?);
                    }
                }
            }
        }
    }

    fn show(self, room: &str) -> Result<String> {
        match self {
            Self::Server(operator) => operator.show(room),
            Self::Data(mut rooms) => {
                let details = rooms.show(room)?.to_string();
                rooms.close()?;
                Ok(details)
            }
        }
    }

    fn export(self, room: &str) -> Result<Vec<u8>> {
        match self {
            Self::Server(operator) => operator.export(room),
            Self::Data(mut rooms) => {
                let file = rooms.export(room)?;
                rooms.close()?;
                Ok(file)
            }
        }
    }

    fn import(self, file: &[u8], id: Option<&str>) -> Result<String> {
        match self {
            Self::Server(operator) => operator.import(file, id),
            Self::Data(mut rooms) => {
                let id = rooms.import(file, id)?;
                rooms.close()?;
                Ok(id)
            }
        }
    }

    fn delete(self, room: &str) -> Result<()> {
        match self {
            Self::Server(operator) => operator.delete(room),
            Self::Data(mut rooms) => {
                rooms.delete(room)?;
                Ok(rooms.close()?)
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        return Ok(bytes);
    }
    fs::read(path).map_err(|error| module::unreadable(path, &error))
}

/// Writes the file of a room, so that it is on the disk.
fn write(path: Option<&Path>, bytes: &[u8]) -> Result<()> {
    let Some(path) = path else {
        let mut stdout = io::stdout();
        return stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .context("cannot write to standard output");
    };
    file::replace(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}
