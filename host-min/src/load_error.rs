use alloc::{string::String, vec::Vec};
use core::{error::Error, fmt};

use stateroom_core::settings::SettingsError;

use crate::Trap;

/// The reason why a module cannot be loaded. The message is complete: it lists everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// The limits are out of range or contradictory.
    Limits(SettingsError),
    /// The bytes are not a WebAssembly module.
    NotWasm,
    /// The bytes are a WebAssembly component, not a core module.
    Component,
    /// The module is larger than the limit.
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The module has too many items of one kind. They would take memory in every room.
    TooMany {
        /// The kind of these items.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The module is malformed, or uses a feature that the engine does not have.
    Invalid(String),
    /// The module is valid, but not a guest.
    NotAGuest(Vec<Problem>),
    /// The module needs more than the limits allow from the start, or cannot be linked.
    CannotStart(String),
    /// The module fails in its start function or in `_initialize`.
    Trapped(Trap),
}

/// The maximum length of a module's own text in a message, in bytes.
const SHOWN: usize = 200;

/// A text from a module, made safe for one line on a terminal. The original may be long, and may contain
/// control characters.
pub(crate) fn clip(text: &str) -> String {
    let mut clipped = String::new();
    for character in text.chars() {
        if clipped.len() >= SHOWN {
            clipped.push('…');
            break;
        }
        if character.is_control() {
            clipped.extend(character.escape_default());
        } else {
            clipped.push(character);
        }
    }
    clipped
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limits(error) => write!(f, "{error}"),
            Self::NotWasm => f.write_str("this is not a WebAssembly module: it does not begin with `\\0asm`"),
            Self::Component => f.write_str(
                "this is a WebAssembly component; a guest is a core module (build it for `wasm32-unknown-unknown` or `wasm32-wasip1`)",
            ),
            Self::TooLarge { size, limit } => {
                write!(f, "this module has {size} bytes; {limit} is the limit (`module_size`)")
            }
            Self::TooMany { what, limit } => {
                write!(f, "this module has too many {what}: {limit} is the limit")
            }
            Self::Invalid(reason) => {
                // The parser's words for it.
                let mend = match reason.starts_with("unexpected end-of-file") {
                    true => "; the module seems to be cut off: copy it again",
                    false => "",
                };
                write!(f, "this module is invalid: {reason}{mend}")
            }
            Self::NotAGuest(problems) => match &problems[..] {
                [problem] => write!(f, "this module is not a Stateroom guest: {problem}"),
                problems => {
                    f.write_str("this module is not a Stateroom guest:")?;
                    problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
                }
            },
            Self::CannotStart(reason) => write!(f, "this module cannot be started: {reason}"),
            Self::Trapped(trap) => write!(f, "this module cannot be started: {trap}"),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Limits(error) => Some(error),
            Self::Trapped(trap) => Some(trap),
            _ => None,
        }
    }
}

/// One reason why a module is not a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// It lacks an export that the host needs.
    MissingExport {
        /// The export's name.
        name: &'static str,
        /// The type that it has to have.
        expected: String,
    },
    /// It has an export with the right name and a wrong type.
    WrongExport {
        /// The export's name.
        name: &'static str,
        /// The type that it has to have.
        expected: String,
        /// The type that it has.
        found: String,
    },
    /// It imports something that the host does not have.
    UnknownImport {
        /// The import's module and name, with a dot between; shortened if it is very long.
        name: String,
        /// Its type.
        found: String,
    },
    /// It imports something that the host has with another type.
    WrongImport {
        /// The import's module and name, with a dot between.
        name: String,
        /// The type that the host has.
        expected: String,
        /// The type in the module.
        found: String,
    },
    /// It has more wrong imports than are listed.
    MoreImports {
        /// The number of further imports.
        count: usize,
    },
    /// It was made with `wasm-bindgen` for a JavaScript host.
    WasmBindgen {
        /// The first such import's name.
        import: String,
    },
    /// It is a program with a `main`, not a room.
    Command,
    /// It was made for another version of the interface.
    Version {
        /// The version that it names, or `None` if its global does not point into its memory.
        version: Option<i32>,
        /// The protocol that it names, or `None` if its global does not point into its memory.
        protocol: Option<i32>,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingExport { name, expected } => {
                write!(f, "it does not export `{name}`, which has to be {expected}")
            }
            Self::WrongExport { name, expected, found } => {
                write!(f, "its export `{name}` has to be {expected}, not {found}")
            }
            Self::UnknownImport { name, found } => {
                write!(f, "it imports `{name}` ({found}), which this host does not have")
            }
            Self::WrongImport { name, expected, found } => {
                write!(f, "it imports `{name}` as {found}; this host has it as {expected}")
            }
            Self::MoreImports { count } => {
                write!(f, "{count} more of its imports are unknown or of a wrong type")
            }
            Self::WasmBindgen { import } => write!(
                f,
                "it imports `{import}`: something in it uses wasm-bindgen, which needs a JavaScript host (look for it with `cargo tree -i wasm-bindgen`)"
            ),
            Self::Command => {
                f.write_str("it exports `_start`: it is a program with a `main`; a guest is a library")
            }
            Self::Version { version, protocol } => {
                let shown = |number: &Option<i32>| match number {
                    Some(number) => alloc::format!("{number}"),
                    None => "a global that points outside its memory".into(),
                };
                write!(
                    f,
                    "it was made for version {} of protocol {}; this host has version {} of protocol {}",
                    shown(version),
                    shown(protocol),
                    stateroom_core::abi::VERSION,
                    stateroom_core::abi::PROTOCOL,
                )
            }
        }
    }
}
