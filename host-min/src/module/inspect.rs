//! Checks whether a module is a guest, and finds everything that is wrong with it at once.

use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use core::fmt::{Display, Write as _};

use stateroom_core::abi;
use wasmparser::{ExternalKind, FuncType, TypeRef, ValType};

use super::outline::{AbiFlavor, Outline};
use crate::{Problem, imports::Imports, load_error::clip};

/// The functions that a guest of the documented interface exports, with the types that they have to have.
const EXPORTS: [(&str, &str); 8] = [
    (abi::MALLOC, "a function (i32) -> (i32)"),
    (abi::FREE, "a function (i32, i32)"),
    (abi::INITIALIZE, "a function (i32, i32)"),
    (abi::CONNECT, "a function (i32)"),
    (abi::DISCONNECT, "a function (i32)"),
    (abi::TIMER, "a function ()"),
    (abi::MESSAGE, "a function (i32, i32, i32)"),
    (abi::BINARY, "a function (i32, i32, i32)"),
];

/// The functions that a guest made for Stateroom 0.4 exports.
const BINCODE: [(&str, &str); 3] = [
    (abi::recv::MALLOC, "a function (i32) -> (i32)"),
    (abi::recv::FREE, "a function (i32, i32)"),
    (abi::recv::RECV, "a function (i32, i32)"),
];

/// A function that modules may have that are made like libraries; it wants to be called first.
pub(crate) const REACTOR: &str = "_initialize";

/// The functions that a guest may export.
const OPTIONAL: [(&str, &str); 3] = [
    (REACTOR, "a function ()"),
    (abi::SAVE_STATE, "a function ()"),
    (abi::LOAD_STATE, "a function (i32, i32)"),
];

/// The size of data that fits at address 0 in any published guest.
const AT_ZERO: usize = 64 << 10;

impl AbiFlavor {
    fn exports(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Exports => &EXPORTS,
            Self::Bincode => &BINCODE,
        }
    }

    /// Returns the globals that name the version and the protocol.
    fn versions(self) -> [&'static str; 2] {
        match self {
            Self::Exports => [abi::VERSION_GLOBAL, abi::PROTOCOL_GLOBAL],
            Self::Bincode => [abi::recv::VERSION_GLOBAL, abi::recv::PROTOCOL_GLOBAL],
        }
    }
}

impl Outline<'_> {
    /// Returns the maximum size of data that the host writes to address 0, if the guest's allocator returns 0.
    ///
    /// The allocator of the published SDKs returns 0 for every size, in many builds. Then the data overwrite
    /// the end of the stack, which grows down to 0. Which part of it an event leaves unused is not known, so
    /// they may take half of it. In other modules 0 is an address like any other.
    pub(crate) fn space_at_zero(&self) -> usize {
        let versioned = self.abi_flavor().versions().iter().any(|name| self.exports.contains_key(name));
        if versioned { AT_ZERO.max(self.first_stack() / 2) } else { usize::MAX }
    }

    /// Returns the size of the stack, if that is known and the stack comes first in the memory.
    ///
    /// Linkers make the stack pointer the first global. If no data are below its initial value, then nothing
    /// but the stack is.
    fn first_stack(&self) -> usize {
        let is_mutable = self.globals.first().is_some_and(|global| global.mutable);
        let top = self.constants.get(&0).filter(|_| is_mutable).map_or(0, |top| top.cast_unsigned());
        if self.contents().all(|(at, _)| at >= top) { top as usize } else { 0 }
    }
}

/// Returns what can be told from the module alone.
pub(crate) fn problems(module: &Outline<'_>, known: &Imports) -> Vec<Problem> {
    let mut problems = imports(module, known);
    let exports = module.abi_flavor().exports();
    let exported = |name: &str| module.exports.contains_key(name);
    if exported("_start") && !exports.iter().any(|(name, _)| exported(name)) {
        problems.push(Problem::Command);
        return problems;
    }
    let memory = module.exports.get(abi::MEMORY).map(|export| describe(module, *export));
    if memory.as_deref() != Some(MEMORY) {
        problems.push(wrong(abi::MEMORY, MEMORY, memory));
    }
    for (name, expected) in exports {
        let found = module.exports.get(name).map(|export| describe(module, *export));
        if found.as_deref() != Some(expected) {
            problems.push(wrong(name, expected, found));
        }
    }
    let [version, protocol] = module.abi_flavor().versions();
    for (name, expected) in [version, protocol, abi::INBOX].map(|name| (name, "a global of type i32")) {
        let found = module.exports.get(name).map(|export| describe(module, *export));
        if found.as_deref().is_some_and(|found| found != expected) {
            problems.push(wrong(name, expected, found));
        }
    }
    for (name, expected) in OPTIONAL {
        let found = module.exports.get(name).map(|export| describe(module, *export));
        if found.as_deref().is_some_and(|found| found != expected) {
            problems.push(wrong(name, expected, found));
        }
    }
    problems
}

/// The maximum number of wrong imports that are listed. A guest for another host has a few dozen.
const LISTED: usize = 100;

fn imports(module: &Outline<'_>, known: &Imports) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (mut bindgen, mut more) = (false, 0);
    for import in &module.imports {
        let name = || clip(&format!("{}.{}", import.module, import.name));
        if import.module.starts_with("__wbindgen") || import.module == "wbg" {
            if !bindgen {
                problems.push(Problem::WasmBindgen { import: name() });
                bindgen = true;
            }
            continue;
        }
        let found = match import.ty {
            TypeRef::Func(ty) => function(module.types.get(ty as usize).and_then(Option::as_ref)),
            TypeRef::Global(ty) => format!("a global of type {}", ty.content_type),
            TypeRef::Memory(_) => "a memory".into(),
            TypeRef::Table(_) => "a table".into(),
            TypeRef::Tag(_) => "a tag".into(),
        };
        let expected = known.ty(import.module, import.name);
        let expected = expected
            .map(|ty| signature(ty.params(), ty.results(), |ty| format!("{ty:?}").to_ascii_lowercase()));
        // A description is the whole of a function's type.
        if expected.as_ref() == Some(&found) {
            continue;
        }
        if problems.len() >= LISTED {
            more += 1;
            continue;
        }
        problems.push(match expected {
            None => Problem::UnknownImport { name: name(), found },
            Some(expected) => Problem::WrongImport { name: name(), expected, found },
        });
    }
    if more > 0 {
        problems.push(Problem::MoreImports { count: more });
    }
    problems
}

fn wrong(name: &'static str, expected: &str, found: Option<String>) -> Problem {
    let expected = expected.into();
    match found {
        None => Problem::MissingExport { name, expected },
        Some(found) => Problem::WrongExport { name, expected, found },
    }
}

const MEMORY: &str = "a memory";

fn describe(module: &Outline<'_>, (kind, index): (ExternalKind, u32)) -> String {
    let at = index as usize;
    match kind {
        ExternalKind::Func => function(module.function_type(index)),
        ExternalKind::Global => match module.globals.get(at) {
            Some(ty) => format!("a global of type {}", ty.content_type),
            None => "a global that does not exist".into(),
        },
        ExternalKind::Memory => match module.memories.get(at) {
            Some(ty) if ty.memory64 => "a memory with 64-bit addresses".into(),
            Some(ty) if ty.shared => "a shared memory".into(),
            Some(_) => MEMORY.into(),
            None => "a memory that does not exist".into(),
        },
        ExternalKind::Table => "a table".into(),
        ExternalKind::Tag => "a tag".into(),
    }
}

fn function(ty: Option<&FuncType>) -> String {
    match ty {
        Some(ty) => signature(ty.params(), ty.results(), ValType::to_string),
        None => "a function of a type that does not exist".into(),
    }
}

/// Describes a function's type, by the names of its parameters' and results' types.
fn signature<T: Copy, N: Display>(parameters: &[T], results: &[T], name: impl Fn(&T) -> N) -> String {
    let mut text = String::from("a function ");
    list(&mut text, parameters.iter().map(&name));
    if !results.is_empty() {
        text.push_str(" -> ");
        list(&mut text, results.iter().map(&name));
    }
    text
}

fn list<N: Display>(text: &mut String, names: impl Iterator<Item = N>) {
    /// More than any function has that the host knows, so that a part tells as much as the whole.
    const LONGEST: usize = 16;
    text.push('(');
    for (index, name) in names.enumerate() {
        if index == LONGEST {
            text.push_str(", …");
            break;
        }
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{name}");
    }
    text.push(')');
}

/// Returns what is wrong with the version that a module names, if it names one: the documented interface does
/// not ask for it. The globals hold the *addresses* of the version and the protocol, so that this can be told
/// only from the memory of an instance.
pub(crate) fn wrong_version(module: &Outline<'_>, memory: &[u8]) -> Option<Problem> {
    let number = |name: &str| {
        let (_, global) = module.exports.get(name)?;
        let at = module.constants.get(global).map(|at| at.cast_unsigned() as usize);
        let bytes = at.and_then(|at| memory.get(at..)?.first_chunk());
        Some(bytes.copied().map(i32::from_le_bytes))
    };
    let [version, protocol] = module.abi_flavor().versions().map(number);
    match (version, protocol) {
        (None | Some(Some(abi::VERSION)), None | Some(Some(abi::PROTOCOL))) => None,
        (version, protocol) => Some(Problem::Version {
            version: version.unwrap_or(Some(abi::VERSION)),
            protocol: protocol.unwrap_or(Some(abi::PROTOCOL)),
        }),
    }
}
