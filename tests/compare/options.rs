/// The choice of what is compared.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    only: Vec<String>,
    rows: Vec<String>,
    pub(crate) is_dry: bool,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { seconds: 4.0, rounds: 3, only: Vec::new(), rows: Vec::new(), is_dry: false };
        while let Some(word) = words.next() {
            if word == "--dry" {
                options.is_dry = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("`{word}` is no option, or needs a value"))?;
            let names = || value.split(',').map(str::to_owned).collect();
            match &*word {
                "--seconds" => {
                    let seconds = value.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
                    options.seconds = seconds.ok_or("--seconds is a number from 0.1 to 600")?;
                }
                "--rounds" => {
                    let rounds = value.parse().ok().filter(|rounds| (1..=99).contains(rounds));
                    options.rounds = rounds.ok_or("--rounds is a number from 1 to 99")?;
                }
                "--only" => options.only = names(),
                "--rows" => options.rows = names(),
                _ => {
                    return Err(format!(
                        "`{word}` is no option: there are --seconds, --rounds, --only, --rows and --dry"
                    ));
                }
            }
        }
        Ok(options)
    }

    pub(crate) fn wants_peer(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    pub(crate) fn wants_row(&self, name: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| row == name)
    }
}
