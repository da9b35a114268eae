use std::{path::PathBuf, time::Duration};

use crate::PARTS;

/// The choice of what is measured.
#[derive(Debug)]
pub(crate) struct Options {
    only: Vec<String>,
    server: Option<PathBuf>,
    yjs: Option<PathBuf>,
    pub(crate) rooms: usize,
    pub(crate) documents: usize,
    pub(crate) time: Duration,
    pub(crate) rounds: usize,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            server: None,
            yjs: None,
            rooms: 100_000,
            documents: 10_000,
            time: Duration::from_secs(2),
            rounds: 7,
        };
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("`{word}` is no option, or needs a value"))?;
            let number = |least: usize, most: usize| match value.replace(['_', ','], "").parse() {
                Ok(number) if (least..=most).contains(&number) => Ok(number),
                _ => Err(format!("{word} is a number from {least} to {most}")),
            };
            match &*word {
                "--only" => {
                    options.only = value.split(',').map(str::to_owned).collect();
                    let names = PARTS.map(|(name, _)| name);
                    if let Some(unknown) = options.only.iter().find(|only| !names.contains(&only.as_str())) {
                        return Err(format!("there is no part `{unknown}`: there are {}", names.join(", ")));
                    }
                }
                "--server" => options.server = Some(value.into()),
                "--yjs" => options.yjs = Some(value.into()),
                "--rooms" => options.rooms = number(1_000, 10_000_000)?,
                "--documents" => options.documents = number(100, 1_000_000)?,
                "--seconds" => options.time = Duration::from_secs(number(1, 60)? as u64),
                "--rounds" => options.rounds = number(1, 99)?,
                _ => return Err(format!("`{word}` is no option: see the head of the program's source")),
            }
        }
        Ok(options)
    }

    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Returns the program that is measured.
    pub(crate) fn server(&self) -> PathBuf {
        self.server.clone().unwrap_or_else(|| stateroom_tests::binary("stateroom"))
    }

    /// Returns the module of `examples/yjs`.
    pub(crate) fn yjs(&self) -> PathBuf {
        self.yjs.clone().unwrap_or_else(|| stateroom_tests::example("yjs").join("server.wasm"))
    }
}
