//! `stateroom rooms`: what an operator does with rooms, of a server that runs or on disk.

mod operator;
mod record;

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use stateroom_server_smol::DataRooms;

use crate::{
    args::{MessageArgs, Place, PlaceOf, RoomsAction, RoomsArgs},
    logging::escaped,
    module,
    stdout::say,
};

use self::operator::{Message, Operator};

/// The rooms that are asked for together.
const PAGE: usize = 100;

/// `stateroom rooms`
pub(crate) fn run(args: RoomsArgs) -> Result<()> {
    match args.action {
        RoomsAction::List { place } => Rooms::find(place)?.list(),
        RoomsAction::Show { room, place } => {
            let details = Rooms::find(place)?.show(&room)?;
            say(details);
            Ok(())
        }
        RoomsAction::Watch { room, json, place } => watch(&Operator::at(place)?, &room, json),
        RoomsAction::Close { room, close, place } => {
            let clients = Operator::at(place)?.close(&room, &close)?;
            say(format_args!("closed {}, with {clients} clients", room.escape_debug()));
            Ok(())
        }
        RoomsAction::Kick { room, client, close, place } => {
            Operator::at(place)?.kick(&room, client, &close)?;
            say(format_args!("closed client {client} of {}", room.escape_debug()));
            Ok(())
        }
        RoomsAction::Message { room, message, place } => {
            let message = match message {
                MessageArgs { text: Some(text), .. } => Message::Text(text.into_bytes()),
                MessageArgs { file: Some(file), .. } => Message::Text(read(&file)?),
                MessageArgs { binary: Some(file), .. } => Message::Binary(read(&file)?),
                _ => bail!("give a text, `--file` or `--binary`"),
            };
            let clients = Operator::at(place)?.send(&room, &message)?;
            say(format_args!("sent to {clients} clients of {}", room.escape_debug()));
            Ok(())
        }
        RoomsAction::Export { room, output, place } => {
            if output.is_none() && io::stdout().is_terminal() {
                bail!("the file of a room is not text: give its name with `--output`");
            }
            let file = Rooms::find(place)?.export(&room)?;
            write(output.as_deref(), &file)
        }
        RoomsAction::Import { file, id, place } => {
            let bytes = read(&file)?;
            let id = Rooms::find_or_create(place)?
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
        match place.of {
            PlaceOf { data: Some(data), .. } => Ok(Self::Data(Box::new(open(&data)?))),
            PlaceOf { admin: Some(address), .. } => Ok(Self::Server(Operator::new(address, &place.token)?)),
            PlaceOf { data: None, admin: None } => bail!("give `--data DIR` or `--admin ADDRESS`"),
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

/// Prints what happens in a room, until the reader of the output is gone.
fn watch(operator: &Operator, room: &str, as_json: bool) -> Result<()> {
    let begun = || {
        let is_missing = operator.show(room).is_err_and(|error| error.to_string().contains("does not exist"));
        let wait = if is_missing { ", which does not exist yet" } else { "" };
        log::info!("watching room {}{wait}", room.escape_debug());
    };
    operator.watch(room, begun, |event, data| {
        let Some(text) = record::shown(event, data, as_json) else { return true };
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", escaped(&text)).and_then(|()| stdout.flush()).is_ok()
    })
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
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write `{}`", path.display()))
}
