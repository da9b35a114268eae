use std::process::Command;

use crate::{Directory, binary};

/// Runs `stateroom inspect --check` on a module, whose clients send these words as well.
///
/// # Panics
/// It lacks something.
#[track_caller]
pub fn inspect(module: &[u8], words: &[&str]) {
    let directory = Directory::new().with("room.wasm", module);
    let mut inspect = Command::new(binary("stateroom"));
    inspect.args(["inspect", "--check"]).args(words.iter().flat_map(|word| ["--say", word]));
    let output = inspect.arg(directory.path().join("room.wasm")).output().expect("it has been built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
