use std::time::Duration;

/// The runs that are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The time of each run.
    pub(crate) time: Duration,
    pub(crate) rooms: usize,
    pub(crate) seed: u64,
    /// For each run, true if it has TLS.
    pub(crate) runs: Vec<bool>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            time: Duration::from_secs(600),
            rooms: 1_000,
            seed: fastrand::u64(..1 << 32),
            runs: vec![false, true],
        };
        while let Some(word) = words.next() {
            let mut number = || {
                let number = words.next().and_then(|number| number.parse::<u32>().ok());
                number.ok_or_else(|| format!("`{word}` needs a number"))
            };
            match &*word {
                "--minutes" => options.time = Duration::from_secs(60) * number()?.max(1),
                "--rooms" => options.rooms = number()?.max(1) as usize,
                "--seed" => options.seed = number()?.into(),
                "--tls" => options.runs = vec![true],
                "--no-tls" => options.runs = vec![false],
                _ => {
                    return Err(format!(
                        "`{word}` is no option: there are --minutes, --rooms, --seed, --tls and --no-tls"
                    ));
                }
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, String> {
        Options::read(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn both_are_run_unless_one_is_chosen() {
        let options = read("--minutes 1 --rooms 20 --seed 7").unwrap();
        assert_eq!((options.time.as_secs(), options.rooms, options.seed), (60, 20, 7));
        assert_eq!(options.runs, [false, true]);
        assert_eq!(read("--tls").unwrap().runs, [true]);
        assert_eq!(read("--no-tls").unwrap().runs, [false]);
        assert!(read("--minutes").unwrap_err().contains("needs a number"));
        assert!(read("--fast").unwrap_err().contains("no option"));
    }
}
