use crate::script::{SCRIPTS, Script};

/// The choice of what is counted, and what is done with it.
#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) is_writing: bool,
    names: Vec<String>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for word in words {
            if word == "--write" {
                options.is_writing = true;
            } else if SCRIPTS.iter().any(|script| script.name == word) {
                options.names.push(word);
            } else {
                let names: Vec<_> = SCRIPTS.iter().map(|script| script.name).collect();
                return Err(format!("`{word}` is neither `--write` nor one of {}", names.join(", ")));
            }
        }
        if options.is_writing && !options.names.is_empty() {
            return Err("the page is written as a whole: leave out the names, or `--write`".to_owned());
        }
        Ok(options)
    }

    pub(crate) fn scripts(&self) -> impl Iterator<Item = &'static Script> {
        SCRIPTS
            .iter()
            .filter(|script| self.names.is_empty() || self.names.iter().any(|name| name == script.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, String> {
        Options::read(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn nothing_else_means_all_scripts() {
        assert_eq!(read("").unwrap().scripts().count(), SCRIPTS.len());
        let names: Vec<_> = read("rooms echo").unwrap().scripts().map(|script| script.name).collect();
        assert_eq!(names, ["echo", "rooms"]);
    }

    #[test]
    fn what_is_no_script_is_refused() {
        assert!(read("ecko").unwrap_err().contains("echo, echo-32"));
        assert!(read("--write echo").unwrap_err().contains("as a whole"));
    }
}
