use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

/// The room that an attack is made on. In all of them a message that begins with `e` comes back, as the innocent client
/// has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    /// Little memory, which grows with the messages. `k` is kept, everything else goes to everyone.
    Small,
    /// A guest that does what a letter says: grows, loops, logs, fails.
    Commands,
    /// 1.1 MB of memory at its start.
    Wide,
    /// 32 MiB of memory at its start.
    Vast,
}

/// The size of the static file.
const FILE: u64 = 16 << 20;

impl Guest {
    fn text(self) -> &'static str {
        match self {
            Self::Small => include_str!("guests/small.wat"),
            Self::Commands => include_str!("guests/commands.wat"),
            Self::Wide => include_str!("guests/wide.wat"),
            Self::Vast => include_str!("guests/vast.wat"),
        }
    }

    /// Writes a `dist` directory with this guest, and a large static file beside it.
    pub(crate) fn dist(self, place: &Path) -> Result<PathBuf, String> {
        let module = wat::parse_str(self.text()).map_err(|error| format!("{self:?}: {error}"))?;
        let dist = place.join(format!("{self:?}").to_lowercase());
        let write = || {
            fs::create_dir_all(dist.join("static"))?;
            fs::write(dist.join("server.wasm"), module)?;
            // It takes no place on the disk, and is sent as any other file is.
            File::create(dist.join("static/large.bin"))?.set_len(FILE)
        };
        write().map_err(|error| format!("{}: {error}", dist.display()))?;
        Ok(dist)
    }
}

#[cfg(test)]
mod tests {
    use stateroom_host_min::{Limits, Program};

    use super::*;

    #[test]
    fn the_host_takes_all_guests() {
        for guest in [Guest::Small, Guest::Commands, Guest::Wide, Guest::Vast] {
            let module = wat::parse_str(guest.text()).unwrap_or_else(|error| panic!("{guest:?}: {error}"));
            Program::load(&module, Limits::default()).unwrap_or_else(|error| panic!("{guest:?}: {error}"));
        }
    }
}
