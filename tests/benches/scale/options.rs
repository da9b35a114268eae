use std::path::PathBuf;

use crate::PARTS;

/// The choice of what is measured.
#[derive(Debug)]
pub(crate) struct Options {
    only: Vec<String>,
    pub(crate) server: Option<PathBuf>,
    pub(crate) rooms: usize,
    pub(crate) crowd: usize,
    pub(crate) pairs: usize,
    pub(crate) seconds: f64,
    is_dry: bool,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            server: None,
            rooms: 1_000_000,
            crowd: 100_000,
            pairs: 7,
            seconds: 2.0,
            is_dry: false,
        };
        while let Some(word) = words.next() {
            if word == "--dry" {
                options.is_dry = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("`{word}` is no option, or needs a value"))?;
            let number = |most: usize| match value.replace(['_', ','], "").parse() {
                Ok(number) if (1..=most).contains(&number) => Ok(number),
                _ => Err(format!("{word} is a number from 1 to {most}")),
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
                "--rooms" => options.rooms = number(10_000_000)?,
                "--crowd" => options.crowd = number(1_000_000)?,
                "--pairs" => options.pairs = number(99)?,
                "--seconds" => {
                    let seconds = value.parse().ok().filter(|seconds| (0.1..=60.0).contains(seconds));
                    options.seconds = seconds.ok_or("--seconds is a number from 0.1 to 60")?;
                }
                _ => return Err(format!("`{word}` is no option: see the head of the program's source")),
            }
        }
        Ok(options)
    }

    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }

    /// Returns whether this is what the page in `docs` is about.
    pub(crate) fn is_for_the_page(&self) -> bool {
        let usual = self.rooms == 1_000_000 && self.crowd == 100_000;
        !self.is_dry && self.only.is_empty() && self.server.is_none() && usual
    }
}
