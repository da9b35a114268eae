//! `stateroom rooms`: what an operator does with rooms, of a server that runs or on disk.

mod backup;
mod editor;
mod file;
mod operator;
mod reader;
mod record;

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use stateroom_server_smol::{DataRooms, Settings};

use crate::{
    args::{MessageArgs, RoomsAction, RoomsArgs},
    limits::Chosen,
    logging::escaped,
    module,
    stdout::print,
};

use self::{
    backup::export_all,
    editor::Editor,
    operator::{Message, Operator},
    reader::Reader,
};

/// `stateroom rooms`
pub(crate) fn run(args: RoomsArgs) -> Result<()> {
    match args.action {
        RoomsAction::List { place } => Reader::open(place)?.list(),
        RoomsAction::Show { room, place } => print(Reader::open(place)?.show(&room)?),
        RoomsAction::Watch { room, json, place } => watch(&Operator::at(place)?, &room, json),
        RoomsAction::Close { room, close, place } => {
            let clients = Operator::at(place)?.close(&room, &close)?;
            print(format_args!("closed {}, with {clients} clients", room.escape_debug()))
        }
        RoomsAction::Kick { room, client, close, place } => {
            Operator::at(place)?.kick(&room, client, &close)?;
            print(format_args!("closed client {client} of {}", room.escape_debug()))
        }
        RoomsAction::Message { room, message, place } => {
            let message = match message {
                MessageArgs { text: Some(text), .. } => Message::Text(text.into_bytes()),
                MessageArgs { file: Some(file), .. } => Message::Text(read(&file)?),
                MessageArgs { binary: Some(file), .. } => Message::Binary(read(&file)?),
                _ => bail!("give a text, `--file` or `--binary`"),
            };
            let clients = Operator::at(place)?.send(&room, &message)?;
            print(format_args!("sent to {clients} clients of {}", room.escape_debug()))
        }
        RoomsAction::Export { room: Some(room), output, place, .. } => {
            if output.is_none() && io::stdout().is_terminal() {
                bail!("the file of a room is not text: give its name with `--output`");
            }
            match Reader::open(place)?.export(&room)? {
                Some(file) => write(output.as_deref(), &file),
                None => bail!("there is no room {room:?}"),
            }
        }
        RoomsAction::Export { output: Some(directory), place, .. } => {
            export_all(Reader::open(place)?, &directory)
        }
        RoomsAction::Export { .. } => bail!("give the id of a room, or `--all --output DIR`"),
        RoomsAction::Import { files, id, journal_size, limits, place } => {
            if place.of.data.is_none() && limits.is_any_set() {
                bail!("a server that runs has its own limits: give limits only with `--data`");
            }
            if id.is_some() && files.len() > 1 {
                bail!("`--as` is the id of one room: give one file with it");
            }
            let limits = limits.over(&Chosen::default()).bounds(Settings::default())?.guest;
            let open = |path: &Path| {
                DataRooms::open_or_create(path).map(|rooms| rooms.with_limits(limits, journal_size))
            };
            let mut rooms = Editor::open(place, open)?;
            let imported = import(&mut rooms, &files, id.as_deref());
            rooms.close()?;
            imported
        }
        RoomsAction::Delete { room, place } => {
            let mut rooms = Editor::open(place, DataRooms::open)?;
            rooms.delete(&room)?;
            rooms.close()?;
            print(format_args!("deleted {}", room.escape_debug()))
        }
    }
}

/// Imports files. One that cannot be imported does not keep the others from it.
fn import(rooms: &mut Editor, files: &[PathBuf], id: Option<&str>) -> Result<()> {
    let mut failed = 0_u64;
    for path in files {
        let imported = read(path).and_then(|bytes| {
            rooms.import(&bytes, id).with_context(|| format!("cannot import `{}`", path.display()))
        });
        match imported {
            Ok(id) => print(format_args!("imported {}", id.escape_debug()))?,
            Err(error) if files.len() == 1 => return Err(error),
            Err(error) => {
                failed += 1;
                log::error!("{error:#}");
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => bail!("{failed} of {} files are not imported; the lines above say why", files.len()),
    }
}

/// Prints what happens in a room, until the reader of the output is gone.
fn watch(operator: &Operator, room: &str, as_json: bool) -> Result<()> {
    let begun = || {
        let is_missing =
            operator.show(room).is_err_and(|error| error.to_string().starts_with("there is no room "));
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
    file::replace(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}
