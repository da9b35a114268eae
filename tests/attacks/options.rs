use std::path::PathBuf;

use crate::{
    attack::{ATTACKS, Attack},
    scale::Scale,
};

/// The attacks that are made, and the program that they are made on.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) is_writing: bool,
    pub(crate) scale: Scale,
    pub(crate) is_static: bool,
    /// A program that is there already.
    pub(crate) program: Option<PathBuf>,
    rows: Vec<String>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(word) = words.next() {
            match &*word {
                "--write" => options.is_writing = true,
                "--short" => options.scale = Scale::Short,
                "--static" => options.is_static = true,
                "--rows" => {
                    let value = words.next().ok_or("`--rows` needs names, such as M1,T3")?;
                    options.rows = value.split(',').map(str::to_owned).collect();
                }
                "--program" => {
                    let value = words.next().ok_or("`--program` needs a file")?;
                    options.program = Some(value.into());
                }
                _ => {
                    return Err(format!(
                        "`{word}` is no option: there are --rows, --short, --static, --program and --write"
                    ));
                }
            }
        }
        if let Some(unknown) =
            options.rows.iter().find(|name| !ATTACKS.iter().any(|attack| attack.row == **name))
        {
            let mut names: Vec<_> = ATTACKS.iter().map(|attack| attack.row).collect();
            names.dedup();
            return Err(format!("there is no row `{unknown}`, but {}", names.join(", ")));
        }
        if options.is_writing && (!options.rows.is_empty() || options.scale == Scale::Short) {
            return Err(
                "the page is written as a whole: leave out `--rows` and `--short`, or `--write`".to_owned()
            );
        }
        if options.is_static && options.program.is_some() {
            return Err("`--program` is built already: leave out `--static`".to_owned());
        }
        Ok(options)
    }

    pub(crate) fn attacks(&self) -> impl Iterator<Item = &'static Attack> {
        ATTACKS.iter().filter(|attack| self.rows.is_empty() || self.rows.iter().any(|row| row == attack.row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, String> {
        Options::read(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_else_means_all_attacks() {
        assert_eq!(read("").unwrap().attacks().count(), ATTACKS.len());
        let rows: Vec<_> = read("--rows P1,M1 --short").unwrap().attacks().map(|attack| attack.row).collect();
        assert_eq!(rows, ["M1", "P1"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        assert!(read("--rows M9").unwrap_err().contains("no row `M9`, but M1, M2"));
        assert!(read("--rows").unwrap_err().contains("needs names"));
        assert!(read("--fast").unwrap_err().contains("no option"));
        assert!(read("--write --short").unwrap_err().contains("as a whole"));
        assert!(read("--static --program a").unwrap_err().contains("built already"));
    }
}
