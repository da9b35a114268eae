use std::{fs, io, ops::Range, path::Path};

use anyhow::{Result, anyhow};
use clap::ValueEnum as _;
use stateroom_server_smol::Subprotocol;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    args::DurabilityArg,
    limits::{ALL, Chosen, Limit, Origin},
    module::unreadable,
};

/// The file's name, beside `Cargo.toml`, and beside `server.wasm` in `dist`.
pub(crate) const FILE: &str = "stateroom.toml";

/// The key that says how safely rooms are kept on disk.
pub(crate) const DURABILITY: &str = "durability";

/// The key with the subprotocols of the guest.
pub(crate) const SUBPROTOCOLS: &str = "subprotocols";

/// Parses [`FILE`] in `directory`. A missing file counts as empty.
pub(crate) fn read<T>(directory: &Path, make: impl FnOnce(&mut Reader<'_>, &DeTable<'_>) -> T) -> Result<T> {
    let path = directory.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&path, &text, make),
        Err(error) if error.kind() == io::ErrorKind::NotFound => parse(&path, "", make),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

/// Parses the text of a file.
pub(crate) fn parse<T>(
    path: &Path,
    text: &str,
    make: impl FnOnce(&mut Reader<'_>, &DeTable<'_>) -> T,
) -> Result<T> {
    // TOML's own errors show line and column.
    let table = DeTable::parse(text).map_err(|error| anyhow!("cannot read `{}`: {error}", path.display()))?;
    let mut reader = Reader { path, text, problems: Vec::new() };
    let made = make(&mut reader, table.get_ref());
    if reader.problems.is_empty() {
        return Ok(made);
    }
    let problems: Vec<_> = reader
        .problems
        .iter()
        .map(|(line, problem)| format!("{}:{line}: {problem}", path.display()))
        .collect();
    Err(anyhow!(problems.join("\n       ")))
}

/// The file in a `dist` directory. It contains only what a server needs.
#[derive(Debug, Default)]
pub(crate) struct DistConfig {
    pub(crate) limits: Chosen,
    pub(crate) durability: Option<DurabilityArg>,
    pub(crate) subprotocols: Vec<Subprotocol>,
}

/// Reads the file in a `dist` directory.
pub(crate) fn read_dist(directory: &Path) -> Result<DistConfig> {
    read(directory, |reader, table| {
        let mut config = DistConfig::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "limits" => config.limits = reader.limits(value),
                DURABILITY => config.durability = reader.durability(value),
                SUBPROTOCOLS => config.subprotocols = reader.subprotocols(value),
                unknown => reader.problem(
                    key.span(),
                    format!(
                        "unknown key `{unknown}`: in a `dist` directory there are only `{DURABILITY}`, `{SUBPROTOCOLS}` and the table `[limits]`"
                    ),
                ),
            }
        }
        config
    })
}

/// Collects all problems of a file, so that they can be fixed together.
pub(crate) struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<(usize, String)>,
}

impl Reader<'_> {
    /// Returns the table `[limits]`.
    pub(crate) fn limits(&mut self, value: &Spanned<DeValue<'_>>) -> Chosen {
        let mut limits = Chosen::default();
        let DeValue::Table(table) = value.get_ref() else {
            self.problem(value.span(), "`limits` is a table: write `[limits]` on a line of its own");
            return limits;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(limit) = Limit::with_key(name) else {
                let known: Vec<_> = ALL.iter().map(|limit| format!("`{}`", limit.key)).collect();
                let known = known.join(", ");
                self.problem(key.span(), format!("unknown key `{name}` in `[limits]`: known are {known}"));
                continue;
            };
            if limits.has(limit) {
                self.problem(
                    key.span(),
                    format!("`{}` has two values, one under its old name: remove that", limit.key),
                );
            }
            match quantity(limit, value.get_ref()) {
                Some(quantity) => {
                    let place = format!("{}:{}", self.path.display(), self.line(&value.span()));
                    limits.choose(limit, quantity, Origin::File(place));
                }
                None => {
                    self.problem(
                        value.span(),
                        format!("`{name}` is {}{}", limit.expected(), self.given(value)),
                    );
                }
            }
        }
        limits
    }

    /// Returns the value of [`DURABILITY`].
    pub(crate) fn durability(&mut self, value: &Spanned<DeValue<'_>>) -> Option<DurabilityArg> {
        let name = value.get_ref().as_str();
        let durability = name.and_then(|name| DurabilityArg::from_str(name, false).ok());
        if durability.is_none() {
            let given = self.given(value);
            let expected = r#"is "on", "lazy" or "off""#;
            self.problem(value.span(), format!("`{DURABILITY}` {expected}{given}"));
        }
        durability
    }

    /// Returns the value of [`SUBPROTOCOLS`].
    pub(crate) fn subprotocols(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Subprotocol> {
        let DeValue::Array(names) = value.get_ref() else {
            let given = self.given(value);
            self.problem(
                value.span(),
                format!("`{SUBPROTOCOLS}` is a list of names, such as [\"chat.v1\"]{given}"),
            );
            return Vec::new();
        };
        let mut subprotocols = Vec::new();
        for name in names {
            match name.get_ref().as_str().unwrap_or_default().parse() {
                Ok(subprotocol) => subprotocols.push(subprotocol),
                Err(problem) => {
                    let given = self.text.get(name.span()).unwrap_or_default();
                    self.problem(name.span(), format!("`{SUBPROTOCOLS}` has `{given}`, which {problem}"));
                }
            }
        }
        subprotocols
    }

    #[cfg(feature = "dev")]
    pub(crate) fn string(&mut self, value: &Spanned<DeValue<'_>>, expected: &str) -> Option<String> {
        let string = value.get_ref().as_str().map(str::to_owned);
        if string.is_none() {
            self.problem(value.span(), expected);
        }
        string
    }

    /// Returns the words for a value that is not what is expected, as it stands in the file.
    pub(crate) fn given(&self, value: &Spanned<DeValue<'_>>) -> String {
        const MOST: usize = 40;
        let text = self.text.get(value.span()).and_then(|text| text.lines().next()).unwrap_or_default();
        let end = text.floor_char_boundary(MOST);
        let more = if end < text.len() { "…" } else { "" };
        format!(", not `{}{more}`", &text[..end])
    }

    pub(crate) fn problem(&mut self, at: Range<usize>, problem: impl Into<String>) {
        let line = self.line(&at);
        let problem = (line, problem.into());
        let index = self.problems.partition_point(|other| *other <= problem);
        self.problems.insert(index, problem);
    }

    fn line(&self, at: &Range<usize>) -> usize {
        1 + self.text[..at.start].matches('\n').count()
    }
}

/// Returns a number, in the form of TOML, or in quotes in the form of the command line.
fn quantity(limit: &Limit, value: &DeValue<'_>) -> Option<u64> {
    match value {
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| limit.allows(*number))
        }
        DeValue::String(text) => limit.read(text),
        _ => None,
    }
}
