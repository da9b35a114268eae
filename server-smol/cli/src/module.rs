use std::{fs, io, path::Path};

use anyhow::{Error, Result, anyhow, bail};
#[cfg(feature = "dev")]
use stateroom_host_min::Problem;
use stateroom_host_min::{Limits, LoadError, Program};

#[cfg(feature = "dev")]
use super::guest_build::SourceError;
use super::limits::Limit;

/// Reads and loads the module file at `path`, in either format.
pub(crate) fn read(path: &Path, limits: Limits) -> Result<Program> {
    program(path, &bytes(path)?, limits)
}

/// Does the same, and keeps the module's bytes for recordings.
pub(crate) fn read_and_keep(path: &Path, limits: Limits) -> Result<Program> {
    let bytes = bytes(path)?.into();
    Program::load_and_keep(bytes, limits).map_err(|error| anyhow!(refusal(path, &error)))
}

/// Reads the module file at `path`, in either format; returns it in the binary one.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    let is_text = match extension.as_deref() {
        Some("wasm") => false,
        Some("wat") => true,
        _ => bail!("`{}` is no module: its name ends neither in `.wasm` nor in `.wat`", path.display()),
    };
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    if is_text {
        return assemble(path, &bytes);
    }
    // A binary module begins with a zero byte.
    if [b"(", b";;".as_slice()].iter().any(|begin| bytes.trim_ascii_start().starts_with(begin)) {
        #[cfg(feature = "dev")]
        bail!("`{}` is in the text format: let its name end in `.wat`", path.display());
        #[cfg(not(feature = "dev"))]
        return assemble(path, &bytes);
    }
    Ok(bytes)
}

/// Reads a module that was just built from a package, and keeps its bytes. A module that is not a guest is a
/// [`SourceError`].
#[cfg(feature = "dev")]
pub(crate) fn guest(path: &Path, limits: Limits) -> Result<Program> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    Program::load_and_keep(bytes.into(), limits).map_err(|error| {
        let lacks_all = matches!(&error, LoadError::NotAGuest(problems) if problems.len() >= 8
            && problems.iter().all(|problem| matches!(problem, Problem::MissingExport { .. })));
        let hint = match lacks_all {
            true => "\nhint: put `#[stateroom_wasm]` on the type that is the room",
            false => "",
        };
        let message = refusal(path, &error) + hint;
        match error {
            LoadError::NotAGuest(_) => anyhow!(SourceError::new(message)),
            // Of what is too large, the limits may be too small.
            _ => anyhow!(message),
        }
    })
}

/// Loads a program from the bytes of a module, which were read from `path`.
pub(crate) fn program(path: &Path, bytes: &[u8], limits: Limits) -> Result<Program> {
    Program::load(bytes, limits).map_err(|error| anyhow!(refusal(path, &error)))
}

/// Describes why a module is refused. If it exceeds a limit, the text says how to raise this.
fn refusal(path: &Path, error: &LoadError) -> String {
    let mut text = format!("cannot run `{}`: {error}", path.display());
    if let LoadError::TooLarge { .. } | LoadError::CannotStart(_) = error
        && let Some(limit) = text.rsplit('`').nth(1).and_then(Limit::with_key)
    {
        text = format!("{text}; raise `--{}`, or `{}` in `[limits]`", limit.flag(), limit.key);
    }
    text
}

/// Returns the error of a file that cannot be read, with what to do about it.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Error {
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    let mend = if is_denied { "; let this user read it and its directory" } else { "" };
    anyhow!("cannot read `{}`: {error}{mend}", path.display())
}

/// Converts the text format into the binary one.
#[cfg(feature = "dev")]
fn assemble(path: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = good.split(|&byte| byte == b'\n').count();
        let column = good.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
        anyhow!(
            "`{}` is no text at line {line}, column {column}: the bytes there are not UTF-8 (a binary module's name ends in `.wasm`)",
            path.display()
        )
    })?;
    // The error shows file, line and column, and the line itself.
    wat::Parser::new()
        .parse_str(Some(path), text)
        .map_err(|error| anyhow!("cannot read `{}` as WebAssembly text: {error}", path.display()))
}

/// Refuses the text format. Its parser takes half a megabyte, and this build does not have it.
#[cfg(not(feature = "dev"))]
fn assemble(path: &Path, _: &[u8]) -> Result<Vec<u8>> {
    bail!(
        "`{}` is in the text format, which this `stateroom` was built without: turn it into a `.wasm` (wabt's `wat2wasm` does), or build `stateroom` with the feature `dev`",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_read_is_told_with_its_mend() {
        let told = |kind: io::ErrorKind| unreadable(Path::new("a/server.wasm"), &kind.into()).to_string();
        let denied = told(io::ErrorKind::PermissionDenied);
        assert!(
            denied.starts_with("cannot read `a/server.wasm`: permission denied; let this user"),
            "{denied}"
        );
        assert!(!told(io::ErrorKind::NotFound).contains(';'));
    }
}
