use std::{collections::BTreeMap, fmt};

use stateroom_sdk_core::abi;
use wasmparser::{MemoryType, Parser, Payload, TypeRef};

/// A description of a module, read from its bytes. If they are malformed, it describes the part before the
/// error.
#[derive(Default)]
pub(crate) struct Description {
    size: usize,
    memory: Option<MemoryType>,
    /// The names of its imports, by the modules of the imports.
    imports: BTreeMap<String, Vec<String>>,
    exports: Vec<String>,
    /// The names and sizes of sections that have no effect.
    custom: Vec<(usize, String)>,
}

/// The exports that hosts use, in the order in which they are shown.
const KNOWN: [&str; 18] = [
    abi::MEMORY,
    abi::MALLOC,
    abi::FREE,
    abi::INITIALIZE,
    abi::CONNECT,
    abi::DISCONNECT,
    abi::TIMER,
    abi::MESSAGE,
    abi::BINARY,
    abi::VERSION_GLOBAL,
    abi::PROTOCOL_GLOBAL,
    abi::INBOX,
    abi::recv::MALLOC,
    abi::recv::FREE,
    abi::recv::RECV,
    abi::recv::VERSION_GLOBAL,
    abi::recv::PROTOCOL_GLOBAL,
    "_initialize",
];

/// The size in bytes from which an unused section gets a note.
const NOTABLE: usize = 256;

impl Description {
    pub(crate) fn of(module: &[u8]) -> Self {
        let mut description = Self { size: module.len(), ..Self::default() };
        // What is wrong with the module is told where it is loaded.
        let sections = Parser::new(0).parse_all(module).map_while(Result::ok);
        sections.for_each(|section| description.take(section));
        description
    }

    fn take(&mut self, section: Payload<'_>) {
        match section {
            Payload::ImportSection(imports) => {
                for import in imports.into_iter().map_while(Result::ok) {
                    if let TypeRef::Memory(memory) = import.ty {
                        self.memory = Some(memory);
                    }
                    self.imports.entry(import.module.to_owned()).or_default().push(import.name.to_owned());
                }
            }
            Payload::MemorySection(memories) => {
                self.memory = memories.into_iter().map_while(Result::ok).next();
            }
            Payload::ExportSection(exports) => {
                let names = exports.into_iter().map_while(Result::ok).map(|export| export.name.to_owned());
                self.exports.extend(names);
            }
            Payload::CustomSection(section) => {
                self.custom.push((section.data().len(), section.name().to_owned()));
            }
            _ => {}
        }
    }

    /// Returns true if it can set the timer.
    pub(crate) fn sets_the_timer(&self) -> bool {
        let sets = |name: &String| [abi::SET_TIMER, abi::recv::SEND].contains(&name.as_str());
        self.imports.get(abi::ENV).is_some_and(|names| names.iter().any(sets))
    }

    /// Returns the maximum memory that it declares, in bytes.
    pub(crate) fn most_memory(&self) -> Option<u64> {
        let memory = self.memory.as_ref()?;
        Some(bytes(memory, memory.maximum?))
    }

    fn exports(&self, name: &str) -> bool {
        self.exports.iter().any(|export| export == name)
    }

    fn interface(&self) -> &'static str {
        if self.exports(abi::recv::RECV) {
            "made for the interface of the 0.4 line"
        } else if KNOWN[1..9].iter().any(|name| self.exports(name)) {
            "made for the documented interface"
        } else {
            "made for no interface that this host knows"
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {}", self.size, self.interface())?;
        match &self.memory {
            Some(memory) => write!(f, "\n  memory   {}", memory_of(memory))?,
            None => f.write_str("\n  memory   none")?,
        }
        let known: Vec<_> = KNOWN.into_iter().filter(|name| self.exports(name)).collect();
        let others = self.exports.len().saturating_sub(known.len());
        write!(f, "\n  exports  {}", listed(&known, others))?;
        if self.imports.is_empty() {
            f.write_str("\n  imports  none")?;
        }
        for (module, names) in &self.imports {
            write!(f, "\n  imports  from {}: {}", clipped(module), listed(names, 0))?;
        }
        let weight: usize = self.custom.iter().map(|(size, _)| size).sum();
        if weight >= NOTABLE {
            let mut custom = Vec::new();
            for section in &self.custom {
                // The largest comes first.
                custom.insert(custom.partition_point(|other| *other > section), section);
            }
            let names: Vec<_> = custom.iter().map(|(size, name)| format!("{name} ({size})")).collect();
            write!(f, "\n  custom   {weight} bytes that do nothing: {}", listed(&names, 0))?;
        }
        Ok(())
    }
}

fn memory_of(memory: &MemoryType) -> String {
    let most = match memory.maximum {
        Some(most) => format!("at most {}", bytes(memory, most)),
        None => "no maximum".into(),
    };
    format!("{} bytes at first, {most}, in pages of {}", bytes(memory, memory.initial), bytes(memory, 1))
}

fn bytes(memory: &MemoryType, pages: u64) -> u64 {
    pages.saturating_mul(1 << memory.page_size_log2.unwrap_or(16).min(16))
}

/// The maximum number of names that are shown, and the maximum length of each. A module may have thousands of
/// names, and long ones.
const SHOWN: usize = 24;
const LONGEST: usize = 60;

fn listed(names: &[impl AsRef<str>], others: usize) -> String {
    let others = others + names.len().saturating_sub(SHOWN);
    let mut parts: Vec<_> = names.iter().take(SHOWN).map(clipped).collect();
    match (parts.is_empty(), others) {
        (_, 0) => {}
        (true, _) => parts.push(format!("{others}, none of them a host's concern")),
        (false, _) => parts.push(format!("and {others} more")),
    }
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

fn clipped(name: &impl AsRef<str>) -> String {
    let name = name.as_ref();
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
