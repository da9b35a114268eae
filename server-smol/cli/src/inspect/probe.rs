use anyhow::{Context, Result};
use stateroom_sdk_core::abi;
use wasm_encoder::{
    BlockType, CodeSection, ExportSection, Function, FunctionSection, InstructionSink, Module, RawSection,
    ValType,
};
use wasmparser::{Parser, Payload, TypeRef};

use super::super::prune::export_kind;

// The ids of sections (WebAssembly core specification, 5.5.2).
const FUNCTIONS: u8 = 3;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

/// Returns the name of an allocator's export.
pub(crate) fn malloc(export: &str) -> Option<&'static str> {
    [abi::MALLOC, abi::recv::MALLOC].into_iter().find(|name| *name == export)
}

/// Returns the module with an allocator that traps instead of returning 0. The result of an allocator is not
/// visible from outside. But it is visible if a room of this module ends and a room of the other module
/// continues.
pub(crate) fn without_zero(module: &[u8]) -> Result<Vec<u8>> {
    let (mut imported, mut types, mut bodies) = (0, Vec::new(), Vec::new());
    let (mut sections, mut exports, mut allocator) = (Vec::new(), Vec::new(), None);
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let Some((id, range)) = payload.as_section() {
            sections.push((id, &module[range]));
        }
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::FunctionSection(functions) => {
                for r#type in functions {
                    types.push(r#type?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    let kind = export_kind(export.kind)?;
                    if malloc(export.name).is_some() {
                        allocator = Some(export.index);
                    }
                    exports.push((export.name, kind, export.index));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(&module[body.range()]),
            _ => {}
        }
    }

    let allocator = allocator.context("it has no allocator")?;
    let own = allocator.checked_sub(imported).context("its allocator is an import")?;
    let r#type = *types.get(own as usize).context("its allocator is no function")?;
    let last = imported + u32::try_from(types.len())?;
    let mut probe = Module::new();
    for (id, section) in sections {
        match id {
            FUNCTIONS => {
                let mut functions = FunctionSection::new();
                types.iter().chain([&r#type]).for_each(|r#type| {
                    functions.function(*r#type);
                });
                probe.section(&functions);
            }
            EXPORTS => {
                let mut section = ExportSection::new();
                for (name, kind, index) in &exports {
                    section.export(name, *kind, if malloc(name).is_some() { last } else { *index });
                }
                probe.section(&section);
            }
            CODE => {
                let mut code = CodeSection::new();
                bodies.iter().for_each(|body| {
                    code.raw(body);
                });
                probe.section(code.function(&checked(allocator)));
            }
            _ => {
                probe.section(&RawSection { id, data: section });
            }
        }
    }
    Ok(probe.finish())
}

/// Calls the allocator, and traps if it returns 0.
fn checked(allocator: u32) -> Function {
    let (size, answer) = (0, 1);
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code: InstructionSink<'_> = function.instructions();
    code.local_get(size).call(allocator).local_tee(answer).i32_eqz();
    code.if_(BlockType::Empty).unreachable().end().local_get(answer).end();
    function
}
