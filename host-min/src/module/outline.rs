use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format, vec,
    vec::Vec,
};
use core::ops::Range;

use stateroom_core::abi;
use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, ConstExpr, DataKind, ElementItems, ElementKind,
    ExternalKind, FuncType, FunctionBody, GlobalType, Import, MemoryType, Operator, Parser, Payload,
    TableType, TypeRef, ValType,
};

use super::pieces::{Sizes, WRITTEN};
use crate::{Limits, LoadError, load_error::clip};

/// The contents and declarations of a module. Only its size is checked here; `admission.rs` checks everything
/// else afterwards.
#[derive(Default)]
pub(crate) struct Outline<'a> {
    /// The contents of each section, by its id.
    pub(super) sections: [Option<&'a [u8]>; SECTIONS],
    /// The types; `None` for a type that is not a function type.
    pub(super) types: Vec<Option<FuncType>>,
    pub(super) imports: Vec<Import<'a>>,
    /// The index of each function's type, those of imported ones first.
    pub(super) functions: Vec<u32>,
    pub(super) tables: Vec<TableType>,
    pub(super) memories: Vec<MemoryType>,
    pub(super) globals: Vec<GlobalType>,
    /// The initial values of globals, if they are plain 32-bit numbers.
    pub(super) constants: BTreeMap<u32, i32>,
    pub(super) exports: BTreeMap<&'a str, (ExternalKind, u32)>,
    pub(super) start: Option<u32>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
    pub(super) data: Vec<Data<'a>>,
    /// True if there are references outside of tables: in variables, parameters, results or instructions.
    pub(super) references: bool,
    /// True if there are tail calls.
    pub(super) tail_calls: bool,
    /// The tables that instructions change.
    pub(super) changing: BTreeSet<u32>,
    /// The instructions that the host replaces: which body, where in the module, and what.
    pub(super) replaced: Vec<(usize, Range<usize>, Replaced)>,
    /// The segments for tables.
    pub(super) elements: Vec<Elements>,
    /// The number of their elements together.
    element_count: usize,
}

/// A segment for tables.
#[derive(Debug)]
pub(super) struct Elements {
    /// The table that contains it at first, and its offset there.
    pub(super) place: Option<(u32, u32)>,
    /// One more than the index of each function, or 0.
    pub(super) functions: Box<[u32]>,
}

/// A data segment.
#[derive(Debug, Clone, Copy)]
pub(super) enum Data<'a> {
    /// It is in the memory at first, at this address.
    Active(u32, &'a [u8]),
    /// Instructions copy from it.
    Passive(&'a [u8]),
}

/// An instruction that is replaced: see `prepare.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Replaced {
    Grow,
    Fill,
    Copy,
    /// `memory.init`, with the segment that is copied from.
    Init(u32),
    /// `table.init`, with the table and the segment.
    InitTable(u32, u32),
    /// `table.copy`, with the table that is copied to and the table that is copied from.
    CopyTable(u32, u32),
    DropData(u32),
    DropElements(u32),
    Select,
    /// A store of an `i32`, far behind its address.
    FarStore32,
    /// A store of an `i64`, far behind its address.
    FarStore64,
}

/// The interface that a module was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AbiFlavor {
    /// The documented interface, with an export for each kind of event.
    Exports,
    /// The interface of modules made for Stateroom 0.4: one export that takes events in the format of bincode
    /// 1.
    Bincode,
}

/// One more than the highest id of a section.
pub(super) const SECTIONS: usize = 14;

/// The ids of sections in the order in which they have to come (WebAssembly core specification, 5.5.16).
pub(super) const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// The maximum number of types, of imports, of functions and the like in a module. They take memory in every
/// room.
const MOST: u32 = 10_000;

/// The maximum number of tables of a module.
const MOST_TABLES: u32 = 16;

/// The maximum number of instructions that are replaced: as many as there can be in a module of many
/// megabytes.
const MOST_REPLACED: u32 = 500_000;

/// The offset from which the engine has special instructions for stores.
const FAR: u64 = 1 << 16;

/// The maximum number of elements of all segments together. They are copied when a room is made.
const MOST_ELEMENTS: usize = 20_000;

/// The size of an empty instance in the engine, with the host's memory for its room, in bytes.
const INSTANCE: usize = 5 << 10;

/// The maximum number of parameters of a function. A call copies them, and fuel does not count that.
const MOST_PARAMETERS: u32 = 100;

/// The maximum number of local variables of a function. A call sets them to zero, and fuel does not count
/// that.
const MOST_LOCALS: u32 = 1_000;

impl<'a> Outline<'a> {
    pub(crate) fn read(module: &'a [u8]) -> Result<Self, LoadError> {
        let mut outline = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.map_err(invalid)?;
            if let Some((id, range)) = payload.as_section()
                && let Some(section) = outline.sections.get_mut(usize::from(id))
            {
                if section.is_some() && id != CUSTOM {
                    return Err(LoadError::Invalid("a section comes twice".into()));
                }
                *section = module.get(range);
            }
            outline.take(payload)?;
        }
        Ok(outline)
    }

    /// Returns true if the module exports something of this name.
    pub(crate) fn has_export(&self, name: &str) -> bool {
        self.exports.contains_key(name)
    }

    /// Returns which interface the module was made for, by its exports.
    pub(crate) fn abi_flavor(&self) -> AbiFlavor {
        if self.exports.contains_key(abi::recv::RECV) { AbiFlavor::Bincode } else { AbiFlavor::Exports }
    }

    /// Returns the initial size of its memory, in bytes.
    pub(crate) fn memory_size(&self) -> u64 {
        self.memories.first().map_or(0, |memory| memory.initial.saturating_mul(1 << page_log2(memory)))
    }

    /// Returns the approximate size of an instance without its memory, in bytes: the engine's data for each
    /// item.
    pub(crate) fn instance_size(&self) -> usize {
        let tables: u64 = self.tables.iter().map(|table| table.initial).sum();
        // Tables have a limit.
        let elements = self.element_count + usize::try_from(tables).unwrap_or(usize::MAX / 64);
        INSTANCE + 8 * elements + 64 * self.functions.len() + 32 * (self.globals.len() + self.data.len())
    }

    /// Returns the initial contents of its tables. If they do not fit or are too large, the engine does not
    /// create an instance.
    pub(super) fn first_elements(&self, limits: &Limits) -> Vec<Box<[u32]>> {
        let size = |table: &TableType| {
            usize::try_from(table.initial).ok().filter(|size| *size <= limits.table_elements).unwrap_or(0)
        };
        let mut tables: Vec<_> = self.tables.iter().map(|table| vec![0; size(table)].into()).collect();
        for Elements { place, functions } in &self.elements {
            let Some((table, at)) = place.map(|(table, at)| (table as usize, at as usize)) else { continue };
            let place = tables.get_mut(table).and_then(|table: &mut Box<[u32]>| table.get_mut(at..));
            if let Some(place) = place.and_then(|rest| rest.get_mut(..functions.len())) {
                place.copy_from_slice(functions);
            }
        }
        tables
    }

    /// Returns the initial contents of its memory.
    pub(crate) fn contents(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        self.data.iter().filter_map(|data| match data {
            Data::Active(at, bytes) => Some((*at, *bytes)),
            Data::Passive(_) => None,
        })
    }

    /// Returns the sizes that its memory can have.
    pub(super) fn sizes(&self, limits: &Limits) -> Sizes {
        let (page_log2, maximum) =
            self.memories.first().map_or((0, None), |memory| (page_log2(memory), memory.maximum));
        // As many bytes as there are addresses, but for the last one where a page is one byte: that many are
        // no number of 32 bits.
        let addressable = (1_u64 << 32 >> page_log2).min(u32::MAX.into());
        let most = (limits.memory as u64 >> page_log2).min(maximum.unwrap_or(u64::MAX)).min(addressable);
        Sizes { page_log2, most: u32::try_from(most).unwrap_or(u32::MAX) }
    }

    /// Returns the type of functions with these parameters and results, of 32-bit numbers all, if the module
    /// has it.
    pub(super) fn type_of(&self, parameters: usize, results: usize) -> Option<u32> {
        let is_it = |ty: &FuncType| {
            (ty.params().len(), ty.results().len()) == (parameters, results)
                && ty.params().iter().chain(ty.results()).all(|ty| *ty == ValType::I32)
        };
        let index = self.types.iter().position(|ty| ty.as_ref().is_some_and(is_it))?;
        u32::try_from(index).ok()
    }

    /// Returns the exported function of this name.
    pub(super) fn function(&self, name: &str) -> Option<u32> {
        match self.exports.get(name) {
            Some((ExternalKind::Func, index)) => Some(*index),
            _ => None,
        }
    }

    /// Returns true if a function of the module is empty.
    pub(super) fn is_empty(&self, index: u32) -> bool {
        let own = (index as usize).checked_sub(self.functions.len() - self.bodies.len());
        let body = own.and_then(|own| self.bodies.get(own));
        let first = body.and_then(|body| body.get_operators_reader().ok()?.read().ok());
        matches!(first, Some(Operator::End))
    }

    /// Returns the address of the guest's description of its inbox, if that address is constant and in the
    /// memory from the beginning: see [`abi::INBOX`].
    pub(crate) fn inbox(&self) -> Option<u32> {
        let Some((ExternalKind::Global, index)) = self.exports.get(abi::INBOX) else { return None };
        if self.globals.get(*index as usize)?.mutable {
            return None;
        }
        let at = self.constants.get(index)?.cast_unsigned();
        // Two numbers of four bytes.
        (u64::from(at) + 8 <= self.memory_size()).then_some(at)
    }

    /// Returns the type of a function.
    pub(super) fn function_type(&self, index: u32) -> Option<&FuncType> {
        let ty = *self.functions.get(index as usize)?;
        self.types.get(ty as usize)?.as_ref()
    }

    fn take(&mut self, payload: Payload<'a>) -> Result<(), LoadError> {
        match payload {
            Payload::TypeSection(types) => {
                bounded("types", types.count(), MOST)?;
                for group in types {
                    for ty in group.map_err(invalid)?.into_types() {
                        let CompositeInnerType::Func(ty) = ty.composite_type.inner else {
                            self.types.push(None);
                            continue;
                        };
                        let parameters = count(ty.params().len().max(ty.results().len()));
                        bounded("parameters of a function", parameters, MOST_PARAMETERS)?;
                        self.references |=
                            ty.params().iter().chain(ty.results()).any(ValType::is_reference_type);
                        self.types.push(Some(ty));
                    }
                    // A group may hold many.
                    bounded("types", count(self.types.len()), MOST)?;
                }
            }
            Payload::ImportSection(imports) => {
                bounded("imports", imports.count(), MOST)?;
                for import in imports {
                    let import = import.map_err(invalid)?;
                    match import.ty {
                        TypeRef::Func(ty) => self.functions.push(ty),
                        TypeRef::Table(ty) => self.tables.push(ty),
                        TypeRef::Memory(ty) => self.memories.push(ty),
                        TypeRef::Global(ty) => self.globals.push(ty),
                        TypeRef::Tag(_) => {}
                    }
                    self.imports.push(import);
                }
            }
            Payload::FunctionSection(functions) => {
                bounded("functions", functions.count(), MOST)?;
                for ty in functions {
                    self.functions.push(ty.map_err(invalid)?);
                }
            }
            Payload::TableSection(tables) => {
                bounded("tables", tables.count(), MOST_TABLES)?;
                for table in tables {
                    self.tables.push(table.map_err(invalid)?.ty);
                }
            }
            Payload::MemorySection(memories) => {
                bounded("memories", memories.count(), 1)?;
                for memory in memories {
                    self.memories.push(memory.map_err(invalid)?);
                }
            }
            Payload::GlobalSection(globals) => {
                bounded("globals", globals.count(), MOST)?;
                for global in globals {
                    let global = global.map_err(invalid)?;
                    self.references |= global.ty.content_type.is_reference_type();
                    self.constant(count(self.globals.len()), &global.init_expr)?;
                    self.globals.push(global.ty);
                }
            }
            Payload::ExportSection(exports) => {
                bounded("exports", exports.count(), MOST)?;
                for export in exports {
                    let export = export.map_err(invalid)?;
                    self.exports.insert(export.name, (export.kind, export.index));
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(elements) => {
                bounded("element segments", elements.count(), MOST)?;
                for element in elements {
                    let element = element.map_err(invalid)?;
                    self.element_count += match &element.items {
                        ElementItems::Functions(items) => items.count() as usize,
                        ElementItems::Expressions(_, items) => items.count() as usize,
                    };
                    if self.element_count > MOST_ELEMENTS {
                        return Err(LoadError::TooMany { what: "elements for tables", limit: MOST_ELEMENTS });
                    }
                    let place = match &element.kind {
                        ElementKind::Active { table_index, offset_expr } => {
                            number(offset_expr)?.map(|at| (table_index.unwrap_or(0), at.cast_unsigned()))
                        }
                        ElementKind::Passive | ElementKind::Declared => None,
                    };
                    let functions = match element.items {
                        ElementItems::Functions(functions) => functions
                            .into_iter()
                            .map(|function| Ok(function.map_err(invalid)?.saturating_add(1)))
                            .collect::<Result<_, LoadError>>()?,
                        ElementItems::Expressions(_, expressions) => expressions
                            .into_iter()
                            .map(|expression| referenced(&expression.map_err(invalid)?))
                            .collect::<Result<_, LoadError>>()?,
                    };
                    self.elements.push(Elements { place, functions });
                }
            }
            Payload::DataCountSection { count, .. } => bounded("data segments", count, MOST)?,
            Payload::DataSection(segments) => {
                bounded("data segments", segments.count(), MOST)?;
                for segment in segments {
                    self.data.push(data(&segment.map_err(invalid)?)?);
                }
            }
            Payload::CodeSectionStart { count, .. } => bounded("functions", count, MOST)?,
            Payload::CodeSectionEntry(body) => {
                self.code(&body)?;
                self.bodies.push(body);
            }
            _ => {}
        }
        Ok(())
    }

    fn constant(&mut self, index: u32, expression: &ConstExpr<'a>) -> Result<(), LoadError> {
        if let Some(value) = number(expression)? {
            self.constants.insert(index, value);
        }
        Ok(())
    }

    /// Looks for the instructions that matter here.
    fn code(&mut self, body: &FunctionBody<'a>) -> Result<(), LoadError> {
        let mut locals = 0_u32;
        for group in body.get_locals_reader().map_err(invalid)? {
            let (count, ty) = group.map_err(invalid)?;
            self.references |= ty.is_reference_type();
            locals = locals.saturating_add(count);
            bounded("local variables in a function", locals, MOST_LOCALS)?;
        }
        let mut operators = body.get_operators_reader().map_err(invalid)?;
        // The number that the instruction before leaves on the stack, if it is one.
        let mut constant = None;
        while !operators.eof() {
            let begin = operators.original_position();
            let operator = operators.read().map_err(invalid)?;
            let short = constant.take().is_some_and(|len: i32| len.cast_unsigned() <= WRITTEN);
            let replaced = match operator {
                Operator::I32Const { value } => {
                    constant = Some(value);
                    continue;
                }
                // As nearly all are, in which there is nothing to be done in pieces.
                Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } | Operator::MemoryInit { .. }
                    if short =>
                {
                    continue;
                }
                Operator::MemoryFill { .. } => Replaced::Fill,
                Operator::MemoryCopy { .. } => Replaced::Copy,
                Operator::MemoryInit { data_index, .. } => Replaced::Init(data_index),
                Operator::TableInit { table, elem_index } => {
                    self.changing.insert(table);
                    Replaced::InitTable(table, elem_index)
                }
                Operator::TableCopy { dst_table, src_table } => {
                    self.changing.insert(dst_table);
                    Replaced::CopyTable(dst_table, src_table)
                }
                Operator::RefNull { .. }
                | Operator::RefFunc { .. }
                | Operator::RefIsNull
                | Operator::TableGet { .. }
                | Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableFill { .. }
                | Operator::TypedSelect { ty: ValType::Ref(_) }
                | Operator::Block { blockty: BlockType::Type(ValType::Ref(_)) }
                | Operator::Loop { blockty: BlockType::Type(ValType::Ref(_)) }
                | Operator::If { blockty: BlockType::Type(ValType::Ref(_)) } => {
                    self.references = true;
                    continue;
                }
                Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. } => {
                    self.tail_calls = true;
                    continue;
                }
                Operator::MemoryGrow { .. } => Replaced::Grow,
                Operator::Select | Operator::TypedSelect { .. } => Replaced::Select,
                Operator::I32Store { memarg }
                | Operator::I32Store8 { memarg }
                | Operator::I32Store16 { memarg }
                    if memarg.offset >= FAR =>
                {
                    Replaced::FarStore32
                }
                Operator::I64Store { memarg }
                | Operator::I64Store8 { memarg }
                | Operator::I64Store16 { memarg }
                | Operator::I64Store32 { memarg }
                    if memarg.offset >= FAR =>
                {
                    Replaced::FarStore64
                }
                Operator::DataDrop { data_index } => Replaced::DropData(data_index),
                Operator::ElemDrop { elem_index } => Replaced::DropElements(elem_index),
                _ => continue,
            };
            self.replaced.push((self.bodies.len(), begin..operators.original_position(), replaced));
            bounded("instructions that are replaced", count(self.replaced.len()), MOST_REPLACED)?;
        }
        Ok(())
    }
}

/// Returns the value of an expression, if it is a 32-bit number.
fn number(expression: &ConstExpr<'_>) -> Result<Option<i32>, LoadError> {
    match expression.get_operators_reader().read().map_err(invalid)? {
        Operator::I32Const { value } => Ok(Some(value)),
        _ => Ok(None),
    }
}

/// Returns one more than the index of the function that an expression refers to, or 0.
fn referenced(expression: &ConstExpr<'_>) -> Result<u32, LoadError> {
    match expression.get_operators_reader().read().map_err(invalid)? {
        Operator::RefFunc { function_index } => Ok(function_index.saturating_add(1)),
        _ => Ok(0),
    }
}

fn data<'a>(segment: &wasmparser::Data<'a>) -> Result<Data<'a>, LoadError> {
    match &segment.kind {
        DataKind::Passive => Ok(Data::Passive(segment.data)),
        DataKind::Active { offset_expr, .. } => match number(offset_expr)? {
            Some(at) => Ok(Data::Active(at.cast_unsigned(), segment.data)),
            // It could be that of a global which is imported, and none can be.
            None => Err(LoadError::Invalid("the address of its data is not a number".into())),
        },
    }
}

/// Returns the size of a memory's page in bytes, as a power of two. Only 1 and 64 Ki are valid.
pub(super) fn page_log2(memory: &MemoryType) -> u32 {
    memory.page_size_log2.unwrap_or(16).min(16)
}

/// The id of custom sections, of which there may be many.
const CUSTOM: u8 = 0;

fn bounded(what: &'static str, count: u32, limit: u32) -> Result<(), LoadError> {
    if count > limit { Err(LoadError::TooMany { what, limit: limit as usize }) } else { Ok(()) }
}

fn invalid(error: BinaryReaderError) -> LoadError {
    LoadError::Invalid(clip(&format!("{error}")))
}

/// Returns a count of things in a module as `u32`. There cannot be 2^32 of them.
fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
