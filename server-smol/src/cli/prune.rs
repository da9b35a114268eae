use std::path::Path;

use anyhow::{Result, bail};
use stateroom_host_min::Limits;
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, GlobalSection, InstructionSink, Module, RawSection,
};
use wasmparser::{ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef};

use super::module;

/// What the compiler has the linker export, and no host asks for.
const LEFT_OVER: [&str; 2] = ["__heap_base", "__data_end"];

// The ids of sections (WebAssembly core specification, 5.5.2).
const TABLES: u8 = 4;
const GLOBALS: u8 = 6;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;

/// Takes out of a module what the linker leaves in every one and nothing uses: two exports, the globals behind
/// them, a stack pointer and a table. It is a tenth of a small guest.
///
/// A module in which it meets something that no guest here is made of stays as it is.
pub(crate) fn prune(module: Vec<u8>, limits: Limits) -> Vec<u8> {
    match try_prune(&module, limits) {
        Ok(pruned) => pruned,
        Err(error) => {
            log::debug!("the module stays as the linker made it: {error:#}");
            module
        }
    }
}

fn try_prune(module: &[u8], limits: Limits) -> Result<Vec<u8>> {
    let parts = Parts::read(module)?;
    let kept = parts.kept_globals();
    let mut pruned = Module::new();
    for &(id, section) in &parts.sections {
        match id {
            TABLES if !parts.tables_used => {}
            GLOBALS if kept.iter().all(Option::is_none) => {}
            GLOBALS => {
                let mut globals = GlobalSection::new();
                for (bytes, _) in parts.globals.iter().zip(&kept).filter(|(_, kept)| kept.is_some()) {
                    globals.raw(bytes);
                }
                pruned.section(&globals);
            }
            EXPORTS => {
                let mut exports = ExportSection::new();
                for (name, kind, index) in &parts.exports {
                    let index =
                        if *kind == ExportKind::Global { kept[*index as usize] } else { Some(*index) };
                    exports.export(name, *kind, index.unwrap_or_default());
                }
                pruned.section(&exports);
            }
            CODE => {
                let mut code = CodeSection::new();
                for body in &parts.bodies {
                    code.raw(&renumbered(body, &kept));
                }
                pruned.section(&code);
            }
            _ => {
                pruned.section(&RawSection { id, data: section });
            }
        }
    }
    let pruned = pruned.finish();
    module::program(Path::new("the pruned module"), &pruned, limits)?;
    Ok(pruned)
}

/// What of a module is of interest.
#[derive(Default)]
struct Parts<'a> {
    /// In order, with their ids.
    sections: Vec<(u8, &'a [u8])>,
    /// Each as it is encoded.
    globals: Vec<&'a [u8]>,
    /// Without those that nobody asks for.
    exports: Vec<(&'a str, ExportKind, u32)>,
    bodies: Vec<Body<'a>>,
    tables_used: bool,
}

/// A function, with the places where it uses globals.
struct Body<'a> {
    bytes: &'a [u8],
    uses: Vec<Use>,
}

struct Use {
    begin: usize,
    end: usize,
    global: u32,
    sets: bool,
}

impl<'a> Parts<'a> {
    fn read(module: &'a [u8]) -> Result<Self> {
        let mut parts = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                parts.sections.push((id, &module[range]));
            }
            match payload {
                Payload::ImportSection(imports) => {
                    for import in imports {
                        let import = import?;
                        if !matches!(import.ty, TypeRef::Func(_)) {
                            bail!("it imports `{}`, which is not a function", import.name);
                        }
                    }
                }
                Payload::GlobalSection(globals) => {
                    for global in globals.into_iter_with_offsets() {
                        let (begin, global) = global?;
                        let value = global.init_expr.get_binary_reader().range();
                        parts.globals.push(&module[begin..value.end]);
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        let kind = export_kind(export.kind)?;
                        parts.tables_used |= kind == ExportKind::Table;
                        if !LEFT_OVER.contains(&export.name) {
                            parts.exports.push((export.name, kind, export.index));
                        }
                    }
                }
                Payload::ElementSection(_) => parts.tables_used = true,
                Payload::CodeSectionEntry(body) => {
                    let body = parts.body(module, &body)?;
                    parts.bodies.push(body);
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    fn body(&mut self, module: &'a [u8], body: &FunctionBody<'a>) -> Result<Body<'a>> {
        let range = body.range();
        let mut uses = Vec::new();
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let begin = operators.original_position() - range.start;
            let (global, sets) = match operators.read()? {
                Operator::GlobalGet { global_index } => (global_index, false),
                Operator::GlobalSet { global_index } => (global_index, true),
                // Its other instructions come with elements.
                Operator::CallIndirect { .. } => {
                    self.tables_used = true;
                    continue;
                }
                _ => continue,
            };
            uses.push(Use { begin, end: operators.original_position() - range.start, global, sets });
        }
        Ok(Body { bytes: &module[range], uses })
    }

    /// The new number of each global, or nothing for those that are not used.
    fn kept_globals(&self) -> Vec<Option<u32>> {
        let mut used = vec![false; self.globals.len()];
        let exported = self.exports.iter().filter(|(_, kind, _)| *kind == ExportKind::Global);
        let in_code = self.bodies.iter().flat_map(|body| &body.uses).map(|r#use| r#use.global);
        for global in exported.map(|(.., index)| *index).chain(in_code) {
            if let Some(used) = used.get_mut(global as usize) {
                *used = true;
            }
        }
        let mut next = 0..;
        used.into_iter().map(|used| used.then(|| next.next()).flatten()).collect()
    }
}

/// The kind of an export, as it is written.
pub(crate) fn export_kind(kind: ExternalKind) -> Result<ExportKind> {
    Ok(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Tag => bail!("it exports a tag"),
    })
}

/// A function's code with the new numbers of globals.
fn renumbered(body: &Body<'_>, kept: &[Option<u32>]) -> Vec<u8> {
    let mut code = Vec::with_capacity(body.bytes.len());
    let mut copied = 0;
    for Use { begin, end, global, sets } in &body.uses {
        code.extend_from_slice(&body.bytes[copied..*begin]);
        copied = *end;
        let number = kept.get(*global as usize).copied().flatten().unwrap_or(*global);
        let mut sink = InstructionSink::new(&mut code);
        if *sets {
            sink.global_set(number)
        } else {
            sink.global_get(number)
        };
    }
    code.extend_from_slice(&body.bytes[copied..]);
    code
}
