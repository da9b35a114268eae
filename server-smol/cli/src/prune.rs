use std::{ops::Range, path::Path};

use anyhow::{Result, bail};
use stateroom_host_min::Limits;
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, GlobalSection, InstructionSink, Module,
    RawSection,
};
use wasmparser::{DataKind, ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef};

use super::module;

/// The exports that the compiler makes the linker add, and that no host uses.
const LEFT_OVER: [&str; 2] = ["__heap_base", "__data_end"];

// The ids of sections (WebAssembly core specification, 5.5.2).
const TABLES: u8 = 4;
const GLOBALS: u8 = 6;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;
const DATA: u8 = 11;
const DATA_COUNT: u8 = 12;

/// Removes the items that the linker adds to every module and that are not used: two exports and their
/// globals, a stack pointer, a table, and multiplications and divisions by a page size of one. They are a
/// tenth of a small guest.
///
/// If a module contains an item that this code does not know, it is not changed.
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
                    code.raw(&changed(body, &kept));
                }
                pruned.section(&code);
            }
            DATA if parts.is_data_plain => {
                pruned.section(&joined(&parts.data));
            }
            DATA_COUNT if parts.is_data_plain => {}
            _ => {
                pruned.section(&RawSection { id, data: section });
            }
        }
    }
    let pruned = pruned.finish();
    module::program(Path::new("the pruned module"), &pruned, limits)?;
    Ok(pruned)
}

/// The parts of a module that are used here.
struct Parts<'a> {
    /// The sections in order, with their ids.
    sections: Vec<(u8, &'a [u8])>,
    /// Each as it is encoded.
    globals: Vec<&'a [u8]>,
    /// Without those that are not used.
    exports: Vec<(&'a str, ExportKind, u32)>,
    bodies: Vec<Body<'a>>,
    tables_used: bool,
    /// The address of each piece of data, and its bytes.
    data: Vec<(u32, &'a [u8])>,
    /// True if all data is in the memory from the beginning, and no instruction names any of it.
    is_data_plain: bool,
}

/// A function and its changes.
struct Body<'a> {
    bytes: &'a [u8],
    changes: Vec<(Range<usize>, Change)>,
}

enum Change {
    /// The global has another number.
    Get(u32),
    Set(u32),
    /// No replacement: the instruction has no effect.
    Nothing,
}

impl<'a> Parts<'a> {
    fn read(module: &'a [u8]) -> Result<Self> {
        let mut parts = Self {
            sections: Vec::new(),
            globals: Vec::new(),
            exports: Vec::new(),
            bodies: Vec::new(),
            tables_used: false,
            data: Vec::new(),
            is_data_plain: true,
        };
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
                Payload::DataSection(data) => {
                    for data in data {
                        let data = data?;
                        match address(&data.kind)? {
                            Some(address) => parts.data.push((address, data.data)),
                            None => parts.is_data_plain = false,
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    fn body(&mut self, module: &'a [u8], body: &FunctionBody<'a>) -> Result<Body<'a>> {
        let range = body.range();
        let mut changes = Vec::new();
        let mut operators = body.get_operators_reader()?;
        // Where the instruction before begins, if it is the number one.
        let mut one = None;
        while !operators.eof() {
            let mut begin = operators.original_position() - range.start;
            let change = match operators.read()? {
                Operator::GlobalGet { global_index } => Change::Get(global_index),
                Operator::GlobalSet { global_index } => Change::Set(global_index),
                Operator::I32Const { value: 1 } => {
                    one = Some(begin);
                    continue;
                }
                Operator::I32Mul | Operator::I32DivU if let Some(one) = one => {
                    begin = one;
                    Change::Nothing
                }
                operator => {
                    // Its other instructions come with elements.
                    self.tables_used |= matches!(operator, Operator::CallIndirect { .. });
                    self.is_data_plain &=
                        !matches!(operator, Operator::MemoryInit { .. } | Operator::DataDrop { .. });
                    one = None;
                    continue;
                }
            };
            one = None;
            changes.push((begin..operators.original_position() - range.start, change));
        }
        Ok(Body { bytes: &module[range], changes })
    }

    /// Returns the new number of each global, or `None` for those that are not used.
    fn kept_globals(&self) -> Vec<Option<u32>> {
        let mut used = vec![false; self.globals.len()];
        let exported = self.exports.iter().filter(|(_, kind, _)| *kind == ExportKind::Global);
        let changes = self.bodies.iter().flat_map(|body| &body.changes);
        let in_code = changes.filter_map(|(_, change)| match change {
            Change::Get(global) | Change::Set(global) => Some(*global),
            Change::Nothing => None,
        });
        for global in exported.map(|(.., index)| *index).chain(in_code) {
            if let Some(used) = used.get_mut(global as usize) {
                *used = true;
            }
        }
        let mut next = 0..;
        used.into_iter().map(|used| used.then(|| next.next()).flatten()).collect()
    }
}

/// Returns the kind of an export, as it is written.
pub(crate) fn export_kind(kind: ExternalKind) -> Result<ExportKind> {
    Ok(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Tag => bail!("it exports a tag"),
    })
}

/// Returns a function's code with its changes.
fn changed(body: &Body<'_>, kept: &[Option<u32>]) -> Vec<u8> {
    let number = |global: u32| kept.get(global as usize).copied().flatten().unwrap_or(global);
    let mut code = Vec::with_capacity(body.bytes.len());
    let mut copied = 0;
    for (range, change) in &body.changes {
        code.extend_from_slice(&body.bytes[copied..range.start]);
        copied = range.end;
        let mut sink = InstructionSink::new(&mut code);
        match change {
            Change::Get(global) => _ = sink.global_get(number(*global)),
            Change::Set(global) => _ = sink.global_set(number(*global)),
            Change::Nothing => {}
        }
    }
    code.extend_from_slice(&body.bytes[copied..]);
    code
}

/// Returns the address of data that is in the initial memory.
fn address(kind: &DataKind<'_>) -> Result<Option<u32>> {
    let DataKind::Active { memory_index: 0, offset_expr } = kind else { return Ok(None) };
    let mut operators = offset_expr.get_operators_reader();
    Ok(match (operators.read()?, operators.read()?) {
        (Operator::I32Const { value }, Operator::End) => Some(value.cast_unsigned()),
        _ => None,
    })
}

/// Returns the data, with adjacent pieces joined, because each piece takes six bytes more.
fn joined(data: &[(u32, &[u8])]) -> DataSection {
    let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
    for (address, bytes) in data {
        match pieces.last_mut() {
            Some((begin, before)) if *begin as usize + before.len() == *address as usize => {
                before.extend_from_slice(bytes);
            }
            _ => pieces.push((*address, bytes.to_vec())),
        }
    }
    let mut section = DataSection::new();
    for (address, bytes) in pieces {
        section.active(0, &ConstExpr::i32_const(address.cast_signed()), bytes);
    }
    section
}

#[cfg(test)]
mod tests {
    use stateroom_host_min::{Effect, Event, Program, Step};
    use stateroom_sdk_core::{ClientId, MessagePayload};

    use super::*;

    /// A guest that sends the contents of its memory, and in between the results of calculations with the
    /// number one.
    const GUEST: &str = r#"(module
        (import "env" "send_binary" (func $send (param i32 i32 i32)))
        (memory (export "memory") 1)
        (table 2 funcref)
        (global $stack (mut i32) (i32.const 4096))
        (global $one (mut i32) (i32.const 1))
        (global $end i32 (i32.const 64))
        (export "__data_end" (global $end))
        (data (i32.const 16) "abcd")
        (data (i32.const 20) "efgh")
        (data (i32.const 18) "XY")
        (data (i32.const 20) "Z")
        (data (i32.const 8) "")
        (data (i32.const 4) "1234")
        (data (i32.const 8) "5678")
        (data (i32.const 0) "zero+")
        (func $note (param $at i32) (param $value i32)
            (i32.store8 (i32.add (i32.const 32) (local.get $at)) (local.get $value)))
        (func (export "jam_malloc") (param i32) (result i32) i32.const 1000)
        (func (export "jam_free") (param i32 i32))
        (func (export "initialize") (param i32 i32))
        (func (export "connect") (param i32))
        (func (export "disconnect") (param i32))
        (func (export "timer"))
        (func (export "binary") (param i32 i32 i32))
        (func (export "message") (param $client i32) (param $at i32) (param $x i32)
            (call $note (i32.const 0) (i32.mul (local.get $x) (i32.const 1)))
            (call $note (i32.const 1) (i32.mul (i32.const 1) (local.get $x)))
            (call $note (i32.const 2) (i32.div_u (local.get $x) (i32.const 1)))
            (call $note (i32.const 3) (i32.div_u (i32.const 1) (local.get $x)))
            (call $note (i32.const 4) (i32.mul (i32.mul (local.get $x) (i32.const 1)) (i32.const 1)))
            (call $note (i32.const 5) (i32.mul (i32.const 1) (i32.const 1)))
            (call $note (i32.const 6) (i32.mul (i32.const 5) (block (result i32)
                (drop (br_if 0 (i32.const 7) (i32.const 1))) (i32.const 1))))
            (call $note (i32.const 7) (i32.mul (local.get $x) (if (result i32) (i32.const 1)
                (then (i32.const 9)) (else (i32.const 1)))))
            (call $note (i32.const 8) (i32.mul (i32.const 3) (global.get $one)))
            (call $note (i32.const 9) (i32.mul (i32.const 3) (local.tee $at (i32.const 1))))
            (call $note (i32.const 10) (i32.div_s (local.get $x) (i32.const 1)))
            (global.set $one (i32.mul (i32.const 2) (i32.const 1)))
            (block (block (br_table 0 1 (i32.const 1))) (call $note (i32.const 11) (i32.const 1)))
            (call $send (i32.const 0) (i32.const 0) (i32.const 64))))"#;

    fn answers(module: &[u8]) -> Vec<Vec<u8>> {
        let mut room = Program::load(module, Limits::default()).unwrap().room("room", [0; 32]).unwrap();
        let mut answer = |message| {
            let event = Event::Message(ClientId(1), MessagePayload::Text(message));
            assert_eq!(room.handle(event, 0), Ok(Step::Done));
            let Some(Effect::Send { payload: MessagePayload::Bytes(bytes), .. }) = room.effects().next()
            else {
                panic!("it answers with bytes")
            };
            bytes.to_vec()
        };
        ["seven..", "and another"].map(&mut answer).into()
    }

    #[test]
    fn a_pruned_guest_is_smaller_and_does_the_same() {
        let module = wat::parse_str(GUEST).unwrap();
        let pruned = prune(module.clone(), Limits::default());
        assert!(pruned.len() + 40 < module.len(), "{} of {}", pruned.len(), module.len());
        let answers = answers(&module);
        assert!(answers[0].starts_with(b"zero+2345678\0\0\0\0abXYZfgh"), "{answers:?}");
        assert_eq!(answers[0][32..48], [7, 7, 7, 0, 7, 1, 35, 63, 3, 3, 7, 0, 0, 0, 0, 0]);
        assert_eq!(answers[1][40], 6, "the global has changed");
        assert_eq!(self::answers(&pruned), answers);
    }
}
