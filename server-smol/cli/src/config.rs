use std::path::{Path, PathBuf};

use anyhow::Result;
use stateroom_server_smol::Subprotocol;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    args::DurabilityArg,
    limits::Chosen,
    toml_file::{self, DURABILITY, Reader, SUBPROTOCOLS},
};

/// The contents of `stateroom.toml`. Without the file, the defaults are used.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Config {
    /// A directory that exists.
    pub(crate) static_files: Option<PathBuf>,
    /// The name of the guest's package, if it is not the package in this directory.
    pub(crate) package: Option<String>,
    pub(crate) target: Target,
    /// The size of the stack in bytes, a multiple of 16.
    pub(crate) stack_size: Option<u32>,
    /// How safely rooms are kept on disk, if the server keeps them.
    pub(crate) durability: Option<DurabilityArg>,
    /// The subprotocols of the guest, the preferred one first.
    pub(crate) subprotocols: Vec<Subprotocol>,
    pub(crate) limits: Chosen,
}

/// A target that a guest can be compiled for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Target {
    #[default]
    Unknown,
    Wasip1,
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "wasm32-unknown-unknown",
            Self::Wasip1 => "wasm32-wasip1",
        }
    }
}

impl Config {
    /// Reads `stateroom.toml` in `directory`, if there is one.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        toml_file::read(directory, |reader, table| Self::of(directory, reader, table))
    }

    fn of(directory: &Path, reader: &mut Reader<'_>, table: &DeTable<'_>) -> Self {
        let mut config = Self::default();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "static_files" => config.static_files = static_files(directory, reader, value),
                DURABILITY => config.durability = reader.durability(value),
                SUBPROTOCOLS => config.subprotocols = reader.subprotocols(value),
                "limits" => config.limits = reader.limits(value),
                "service" => match value.get_ref() {
                    DeValue::Table(table) => service(reader, table, &mut config),
                    _ => reader
                        .problem(value.span(), "`service` is a table: write `[service]` on a line of its own"),
                },
                "service_id" => reader.problem(
                    key.span(),
                    "`service_id` is not supported, as nothing is deployed to a hosted service: remove it",
                ),
                "client" => reader.problem(
                    key.span(),
                    "`[client]` is not supported: build the browser's part with a tool of its own into the directory that `static_files` names, and remove the section",
                ),
                unknown => reader.problem(
                    key.span(),
                    format!(
                        "unknown key `{unknown}`: known are `static_files`, `durability`, `subprotocols` and the tables `[service]` and `[limits]`"
                    ),
                ),
            }
        }
        config
    }
}

fn service(reader: &mut Reader<'_>, table: &DeTable<'_>, config: &mut Config) {
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "package" => {
                config.package = reader.string(value, "`package` is the name of a package, in quotes");
            }
            "target" => config.target = target(reader, value).unwrap_or_default(),
            "stack_size" => config.stack_size = stack_size(reader, value),
            unknown => reader.problem(
                key.span(),
                format!(
                    "unknown key `{unknown}` in `[service]`: known are `package`, `target` and `stack_size`"
                ),
            ),
        }
    }
}

fn static_files(directory: &Path, reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<PathBuf> {
    let name = reader.string(value, "`static_files` is the name of a directory, in quotes")?;
    let files = directory.join(&name);
    let problem = if !files.exists() {
        format!("`static_files` names `{}`, which does not exist", files.display())
    } else if !files.is_dir() {
        format!("`static_files` names `{}`, which is not a directory", files.display())
    } else if contains(&files, directory) {
        // It would publish the sources, and the copy in `dist` would contain itself.
        format!(
            "`static_files` names `{}`, which holds the package: give the files a directory of their own",
            files.display()
        )
    } else {
        return Some(files);
    };
    reader.problem(value.span(), problem);
    None
}

fn target(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<Target> {
    let expected = "`target` is \"wasm32-unknown-unknown\" or \"wasm32-wasip1\"";
    let name = reader.string(value, expected)?;
    let target = [Target::Unknown, Target::Wasip1].into_iter().find(|target| target.name() == name);
    if target.is_none() {
        reader.problem(value.span(), format!("{expected}, not \"{name}\""));
    }
    target
}

fn stack_size(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<u32> {
    let size = value
        .get_ref()
        .as_integer()
        .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
        // The linker's own rule.
        .filter(|size| *size > 0 && size.is_multiple_of(16));
    if size.is_none() {
        let given = reader.given(value);
        reader.problem(
            value.span(),
            format!("`stack_size` is a number of bytes and a multiple of 16, such as 4096{given}"),
        );
    }
    size
}

fn contains(outer: &Path, inner: &Path) -> bool {
    match (outer.canonicalize(), inner.canonicalize()) {
        (Ok(outer), Ok(inner)) => inner.starts_with(outer),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        // The directory of a package is at hand wherever tests run.
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        let make = |reader: &mut Reader<'_>, table: &DeTable<'_>| Config::of(directory, reader, table);
        toml_file::parse(Path::new("p/stateroom.toml"), text, make).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn every_key_is_read() {
        let config = parse(
            "static_files = 'src'\ndurability = 'lazy'\nsubprotocols = ['b', 'a']\n[service]\npackage = 'a'\ntarget = 'wasm32-wasip1'\nstack_size = 0x1_000",
        );
        let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert_eq!(
            config,
            Ok(Config {
                static_files: Some(directory.join("src")),
                package: Some("a".into()),
                target: Target::Wasip1,
                stack_size: Some(4096),
                durability: Some(DurabilityArg::Lazy),
                subprotocols: ["b", "a"].map(|name| name.parse().unwrap()).into(),
                limits: Chosen::default(),
            })
        );
        assert_eq!(parse(""), Ok(Config::default()));
        assert_eq!(parse("[service]"), Ok(Config::default()));
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_lines() {
        let message =
            parse("service_id = 'x'\nstatic = 1\n\n[service]\nstack_size = 100\ntarget = 'wasm32'\n[client]")
                .unwrap_err();
        let lines: Vec<_> = message.lines().map(str::trim).collect();
        assert_eq!(lines.len(), 5, "{message}");
        assert!(lines[0].starts_with("p/stateroom.toml:1: `service_id` is not supported"));
        assert!(lines[1].starts_with("p/stateroom.toml:2: unknown key `static`: known are `static_files`"));
        assert!(lines[2].starts_with("p/stateroom.toml:5: `stack_size` is a number"));
        assert!(lines[3].contains("toml:6:") && lines[3].contains("wasm32-wasip1\", not \"wasm32\""));
        assert!(lines[4].starts_with("p/stateroom.toml:7: `[client]` is not supported"));
    }

    #[test]
    fn values_of_the_wrong_kind_are_told() {
        for text in [
            "service = 1",
            "static_files = 1",
            "durability = 'often'",
            "subprotocols = 'chat'",
            "subprotocols = [1]",
            "subprotocols = ['a b']",
            "subprotocols = ['stateroom.v1']",
            "service = { package = 1 }",
            "service = { target = false }",
            "service = { stack_size = '4096' }",
            "service = { stack_size = -16 }",
            "service = { stack_size = 0 }",
            "service = { stack_size = 99999999999999 }",
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains("p/stateroom.toml:1: `"), "{message}");
        }
        let message = parse("[service\n").unwrap_err();
        assert!(message.contains("p/stateroom.toml") && message.contains("line 1"), "{message}");
    }

    #[test]
    fn limits_are_numbers_or_what_the_command_line_takes() {
        let limits = |text: &str| parse(&format!("[limits]\n{text}")).map(|config| config.limits.to_toml());
        let toml = |text: &str| Ok(Some(format!("[limits]\n{text}\n")));
        assert_eq!(limits(""), Ok(None));
        assert_eq!(limits("unfolded_memory = 1024"), toml("awake_memory = \"1KiB\""));
        assert_eq!(limits("memory = 0x1_0000\nfuel = '6_000M'"), toml("memory = \"64KiB\"\nfuel = \"6G\""));
        for (text, expected) in [
            ("memory = '64kB'", "`memory` is a number of bytes from 1 to 4GiB, such as 65536, 64KiB"),
            ("memory = 1.5", "`memory` is a number of bytes"),
            ("slice = 0", "`slice` is a whole number from 1 to 10M, such as 20000, 20_000, 20k"),
            ("effects = -1", "`effects` is a whole number from 1 to 4294967295"),
            ("fuel = true", "`fuel` is a whole number"),
            (
                "max-fuel = 1",
                "unknown key `max-fuel` in `[limits]`: known are `connections`, `connections_per_address`",
            ),
        ] {
            let message = limits(text).unwrap_err();
            assert!(message.starts_with("p/stateroom.toml:2: ") && message.contains(expected), "{message}");
        }
        let twice = limits("awake_memory = 1\nunfolded_memory = 2").unwrap_err();
        assert!(twice.contains("`awake_memory` has two values"), "{twice}");
        assert!(parse("limits = 1").unwrap_err().contains("`[limits]`"));
    }

    #[test]
    fn static_files_are_a_directory_beside_the_sources() {
        let missing = parse("static_files = 'nowhere'").unwrap_err();
        assert!(missing.contains("nowhere`, which does not exist"), "{missing}");
        let file = parse("static_files = 'Cargo.toml'").unwrap_err();
        assert!(file.contains("not a directory"), "{file}");
        for own in [".", "", "..", "src/.."] {
            let message = parse(&format!("static_files = '{own}'")).unwrap_err();
            assert!(message.contains("holds the package"), "{message}");
        }
    }
}
