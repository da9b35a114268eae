use sha2::{Digest as _, Sha256};
use stateroom_host_min::Recording;

use crate::journal::{History, hex};

/// Returns the module with this SHA-256.
pub(crate) type ReadModule<'a> = &'a dyn Fn(&[u8; 32]) -> std::io::Result<Vec<u8>>;

/// Makes a file of a room: its recording, with its module and a seal.
///
/// # Errors
/// Says what cannot be read.
pub(crate) fn export(history: &History, read_module: ReadModule<'_>) -> Result<Vec<u8>, String> {
    let mut base = Recording::read(&history.base).map_err(|error| format!("its base: {error}"))?.header;
    let module =
        read_module(&base.module_hash).map_err(|error| format!("its module cannot be read: {error}"))?;
    if base.module_hash[..] != *Sha256::digest(&module) {
        return Err(format!(
            "its module is damaged: `modules/{}.wasm` has another SHA-256 than its name says",
            hex(&base.module_hash)
        ));
    }
    base.module = &module;
    let mut file = Vec::with_capacity(module.len() + history.base.len() + history.records.len() + 64);
    base.write(&mut file);
    file.extend_from_slice(&history.records);
    Ok(sealed(file))
}

/// Makes a file of a room from a recording that has its module.
pub(crate) fn sealed(mut recording: Vec<u8>) -> Vec<u8> {
    Recording::seal(&mut recording);
    recording
}
