//! Whether a module is a guest: everything that is wrong with it, in one go.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write as _;

use stateroom_sdk_core::abi;
use wasmi::{
    ExternType, FuncType, Instance, Module, Store,
    ValType::{self, I32},
};

use crate::{Problem, imports::Imports, state::State};

/// The functions that a guest exports, with their parameters and results.
const EXPORTS: [(&str, &[ValType], &[ValType]); 8] = [
    (abi::MALLOC, &[I32], &[I32]),
    (abi::FREE, &[I32, I32], &[]),
    (abi::INITIALIZE, &[I32, I32], &[]),
    (abi::CONNECT, &[I32], &[]),
    (abi::DISCONNECT, &[I32], &[]),
    (abi::TIMER, &[], &[]),
    (abi::MESSAGE, &[I32, I32, I32], &[]),
    (abi::BINARY, &[I32, I32, I32], &[]),
];

/// What can be told from the module alone.
pub(crate) fn problems(module: &Module, known: &Imports) -> Vec<Problem> {
    let mut problems = imports(module, known);
    let exported = |name| module.get_export(name);
    if exported("stateroom_recv").is_some() {
        problems.push(Problem::OtherGeneration { export: "stateroom_recv" });
        return problems;
    }
    if exported("_start").is_some() && EXPORTS.iter().all(|(name, ..)| exported(name).is_none()) {
        problems.push(Problem::Command);
        return problems;
    }
    match exported(abi::MEMORY) {
        Some(ExternType::Memory(memory)) if !memory.is_64() => {}
        found => problems.push(wrong_export(abi::MEMORY, "a memory".into(), found)),
    }
    for (name, parameters, results) in EXPORTS {
        let expected = FuncType::new(parameters.iter().copied(), results.iter().copied());
        match exported(name) {
            Some(ExternType::Func(found)) if found == expected => {}
            found => problems.push(wrong_export(name, function(&expected), found)),
        }
    }
    for name in [abi::VERSION_GLOBAL, abi::PROTOCOL_GLOBAL] {
        match exported(name) {
            None => {}
            Some(ExternType::Global(global)) if global.content() == I32 => {}
            found => problems.push(wrong_export(name, "a global of type i32".into(), found)),
        }
    }
    problems
}

fn imports(module: &Module, known: &Imports) -> Vec<Problem> {
    let mut problems = Vec::new();
    for import in module.imports() {
        let name = format!("{}.{}", import.module(), import.name());
        if import.module().starts_with("__wbindgen") || import.module() == "wbg" {
            let named = |problem: &Problem| matches!(problem, Problem::WasmBindgen { .. });
            if !problems.iter().any(named) {
                problems.push(Problem::WasmBindgen { import: name });
            }
            continue;
        }
        let found = describe(import.ty());
        match known.ty(import.module(), import.name()).map(function) {
            None => problems.push(Problem::UnknownImport { name, found }),
            // A description is the whole of a function's type.
            Some(expected) if expected != found => {
                problems.push(Problem::WrongImport { name, expected, found });
            }
            Some(_) => {}
        }
    }
    problems
}

fn wrong_export(name: &'static str, expected: String, found: Option<ExternType>) -> Problem {
    match found {
        None => Problem::MissingExport { name, expected },
        Some(found) => Problem::WrongExport { name, expected, found: describe(&found) },
    }
}

fn describe(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(ty) => function(ty),
        ExternType::Global(ty) => format!("a global of type {}", value(ty.content())),
        ExternType::Memory(ty) if ty.is_64() => "a memory with 64-bit addresses".into(),
        ExternType::Memory(_) => "a memory".into(),
        ExternType::Table(_) => "a table".into(),
    }
}

fn function(ty: &FuncType) -> String {
    let list = |types: &[ValType]| {
        let mut list = String::from("(");
        for (index, ty) in types.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(list, "{comma}{}", value(*ty));
        }
        list.push(')');
        list
    };
    match ty.results() {
        [] => format!("a function {}", list(ty.params())),
        results => format!("a function {} -> {}", list(ty.params()), list(results)),
    }
}

fn value(ty: ValType) -> String {
    format!("{ty:?}").to_lowercase()
}

/// What can be told only from an instance: the globals hold the *addresses* of the version and the protocol.
///
/// Answers whether the module names a version at all; the documented interface does not ask for it.
pub(crate) fn version(store: &Store<State>, instance: &Instance) -> Result<bool, Problem> {
    let number = |name| {
        let global = instance.get_global(store, name)?;
        let at = global.get(store).i32()?.cast_unsigned() as usize;
        let memory = store.data().memory?.data(store);
        let bytes = memory.get(at..at.checked_add(4)?).and_then(|bytes| bytes.try_into().ok());
        Some(bytes.map(i32::from_le_bytes))
    };
    match (number(abi::VERSION_GLOBAL), number(abi::PROTOCOL_GLOBAL)) {
        (None, None) => Ok(false),
        (None | Some(Some(abi::VERSION)), None | Some(Some(abi::PROTOCOL))) => Ok(true),
        (version, protocol) => Err(Problem::Version {
            version: version.unwrap_or(Some(abi::VERSION)),
            protocol: protocol.unwrap_or(Some(abi::PROTOCOL)),
        }),
    }
}
