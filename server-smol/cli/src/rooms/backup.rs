use std::{fs, io, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{http::encoded, stdout::print};

use super::{file, reader::Reader};

/// The longest name of a file, in bytes, without what makes it unique.
const LONGEST_NAME: usize = 200;

/// Exports all rooms, each to a file of its own, into a directory that is new or empty. A room that cannot be exported does not keep
/// the others from it.
pub(super) fn export_all(mut rooms: Reader, directory: &Path) -> Result<()> {
    make_empty(directory).with_context(|| format!("cannot write to `{}`", directory.display()))?;
    let (mut after, mut exported, mut failed) = (None::<String>, 0_u64, 0_u64);
    loop {
        let ids = rooms.ids(after.as_deref())?;
        for id in &ids {
            match rooms.export(id) {
                Ok(Some(bytes)) => {
                    let path = directory.join(unused_name(directory, id));
                    file::replace(&path, &bytes)
                        .with_context(|| format!("cannot write `{}`", path.display()))?;
                    exported += 1;
                }
                // It was deleted meanwhile.
                Ok(None) => {}
                Err(error) => {
                    failed += 1;
                    log::error!("room {id:?} is not exported: {error:#}");
                }
            }
        }
        after = ids.into_iter().next_back();
        if after.is_none() {
            break;
        }
    }
    print(format_args!("exported {exported} rooms"))?;
    if failed > 0 {
        bail!("{failed} rooms are not exported; the lines above say why");
    }
    Ok(())
}

/// Makes a directory that only its owner can read. One that exists has to be empty: files of an older backup would look like rooms of
/// this one.
fn make_empty(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_dir(directory)?.next().is_some() {
                return Err(io::Error::new(
                    io::ErrorKind::DirectoryNotEmpty,
                    "files are there already; give a new directory",
                ));
            }
            Ok(())
        }
        made => made,
    }
}

/// Returns the name of a room's file: its id, as a URL has it. A name that is too long is cut. One that is in use gets a number: the file
/// system may not tell upper case from lower case.
fn unused_name(directory: &Path, id: &str) -> String {
    let mut name = encoded(id);
    if name.starts_with('.') {
        // So that a shell's `*.room` finds it.
        name.replace_range(..1, "%2E");
    }
    name.truncate(LONGEST_NAME);
    let names = (2_u64..).map(|number| format!("{name}-{number}.room"));
    let mut names = std::iter::once(format!("{name}.room")).chain(names);
    names.find(|name| !directory.join(name).exists()).unwrap_or(name)
}
