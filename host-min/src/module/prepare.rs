use alloc::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    sync::Arc,
    vec,
    vec::Vec,
};

use stateroom_core::abi;
use wasm_encoder::{
    BlockType, ConstExpr, DataSection, Encode, ExportKind, ExportSection, Function, GlobalType,
    InstructionSink, MemArg, MemArgTarget, MemorySection, MemoryType, Module, RawSection, RefType, TableType,
    ValType,
};
use wasmparser::BinaryReader;

use super::{
    inspect::REACTOR,
    outline::{AbiFlavor, Data, ORDER, Outline, Replaced, page_log2},
    pieces::{LARGE, Sizes},
};
use crate::{
    Limits, LoadError,
    tables::{Change, Tables, WATCHER},
};

/// A module that the host can run. It is the guest's module, with the host's additions and without unused
/// parts.
///
/// - Only the items that the host calls or reads are exported. Exports take memory in every room.
/// - All state is exported, because the engine shows an instance's globals and tables only if they are exported.
/// - The start function is an export like others, so that the host can run it in slices, and only in new rooms.
/// - The functions that handle data also call `jam_free`, if it is not empty. This saves the host a call for
///   each message.
/// - Segments are dropped by functions that record this, because the engine does not report it. Tables are changed by
///   functions that tell the host: see `tables.rs`.
/// - Instructions whose time depends on their operands are replaced by functions that work in pieces: see `pieces.rs`.
/// - The memory is empty. The host writes its initial contents: see `construction.rs`.
/// - If the engine would translate a sequence of instructions wrongly, other instructions are put between them.
/// - Custom sections, which contain names and debug information, are left out.
///
/// All additions come after the existing items, so that no index changes.
pub(crate) struct Prepared {
    pub(crate) bytes: Vec<u8>,
    pub(crate) layout: Layout,
}

/// The names under which a prepared module exports the parts of its state that can change.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) sizes: Sizes,
    pub(crate) globals: Vec<String>,
    /// The tables that can change, with their indices.
    pub(crate) tables: Vec<(u32, String)>,
    /// The record of their contents.
    pub(crate) account: Option<Arc<Tables>>,
    /// The functions that the tables may refer to, by their index.
    pub(crate) functions: Vec<(u32, String)>,
    /// The segments that can be dropped: for each, the function that drops it, and the global that says
    /// whether it has been dropped.
    pub(crate) segments: Vec<(String, String)>,
}

/// The maximum number of exports that exist because their values can change. Each takes a quarter of a
/// microsecond when a room is made, and again when it wakes. Compilers make one or two such globals, and no
/// other such items.
const MOST_CHANGING: usize = 500;

/// The export of the start function.
pub(crate) const START: &str = "start";
/// The export of the global that is 1 while `jam_free` runs.
pub(crate) const FREEING: &str = "freeing";

/// Prepares a module that is valid and has no problems.
///
/// # Errors
/// The module has too many parts that can change.
pub(crate) fn prepare(outline: &Outline<'_>, limits: &Limits) -> Result<Prepared, LoadError> {
    let mut additions = Additions::new(outline);
    let (free, takers, callers): (_, &[_], &[_]) = match outline.abi_flavor() {
        AbiFlavor::Exports => (
            abi::FREE,
            &[abi::INITIALIZE, abi::MESSAGE, abi::BINARY, abi::LOAD_STATE],
            &[abi::MALLOC, abi::CONNECT, abi::DISCONNECT, abi::TIMER, abi::SAVE_STATE],
        ),
        AbiFlavor::Bincode => {
            (abi::recv::FREE, &[abi::recv::RECV, abi::LOAD_STATE], &[abi::recv::MALLOC, abi::SAVE_STATE])
        }
    };
    additions.memory();
    for name in callers.iter().chain(&[REACTOR]) {
        additions.function(name, outline.function(name));
    }
    additions.function(START, outline.start);
    let mut layout = additions.state(outline.sizes(limits));
    // Every guest has it: see `inspect.rs`.
    if let Some(free) = outline.function(free) {
        if outline.is_empty(free) {
            takers.iter().for_each(|name| additions.function(name, outline.function(name)));
        } else {
            let freeing = additions.global(FREEING);
            let fill = additions.fill(layout.sizes);
            takers.iter().for_each(|name| additions.taker(name, free, freeing, fill));
        }
    }
    layout.segments = additions.replacements(layout.sizes);
    layout.account = additions.account(limits);
    let changing =
        layout.globals.len() + layout.tables.len() + layout.functions.len() + 2 * layout.segments.len();
    if changing > MOST_CHANGING {
        let what = "globals and segments that can change, and functions in tables that can";
        return Err(LoadError::TooMany { what, limit: MOST_CHANGING });
    }
    Ok(Prepared { bytes: additions.module(), layout })
}

/// The additions to a module.
struct Additions<'a> {
    outline: &'a Outline<'a>,
    exports: ExportSection,
    types: Vec<Vec<u8>>,
    globals: Vec<Vec<u8>>,
    /// Their types' indices and their bodies.
    functions: Vec<(u32, Function)>,
    /// The changes that some of them make to tables.
    changes: Vec<Change>,
    /// The functions that replace instructions.
    replacements: BTreeMap<Replaced, u32>,
}

impl<'a> Additions<'a> {
    fn new(outline: &'a Outline<'a>) -> Self {
        Self {
            outline,
            exports: ExportSection::new(),
            types: Vec::new(),
            globals: Vec::new(),
            functions: Vec::new(),
            changes: Vec::new(),
            replacements: BTreeMap::new(),
        }
    }

    fn memory(&mut self) {
        // There is no other: see `outline.rs`.
        self.exports.export(abi::MEMORY, ExportKind::Memory, 0);
    }

    fn function(&mut self, name: &str, index: Option<u32>) {
        if let Some(index) = index {
            let index = self.resumable(index);
            self.exports.export(name, ExportKind::Func, index);
        }
    }

    /// Returns the function, or a new one that calls it if it is an import or may end in one by a tail call.
    /// The engine can resume a call that an import has suspended only if there is a function around the
    /// import.
    fn resumable(&mut self, index: u32) -> u32 {
        let outline = self.outline;
        let is_import = (index as usize) < outline.functions.len() - outline.bodies.len();
        let ty = outline.functions.get(index as usize).filter(|_| is_import || outline.tail_calls);
        let Some(ty) = ty.copied() else { return index };
        let parameters = outline.function_type(index).map_or(0, |ty| ty.params().len() as u32);
        let mut body = Function::new([]);
        let mut code = body.instructions();
        (0..parameters).for_each(|parameter| {
            code.local_get(parameter);
        });
        code.call(index).end();
        self.functions.push((ty, body));
        (outline.functions.len() + self.functions.len() - 1) as u32
    }

    /// Adds a mutable global that is 0 at first, and returns its index.
    fn global(&mut self, name: &str) -> u32 {
        let index = (self.outline.globals.len() + self.globals.len()) as u32;
        let mut global = Vec::new();
        GlobalType { val_type: ValType::I32, mutable: true, shared: false }.encode(&mut global);
        ConstExpr::i32_const(0).encode(&mut global);
        self.globals.push(global);
        self.exports.export(name, ExportKind::Global, index);
        index
    }

    /// Adds a function with these numbers of parameters and results, all of them 32-bit numbers. Returns its
    /// index.
    fn add(&mut self, parameters: usize, results: usize, body: Function) -> u32 {
        let ty = self.ty(parameters, results);
        let index = (self.outline.functions.len() + self.functions.len()) as u32;
        self.functions.push((ty, body));
        index
    }

    /// Returns the index of the type of such a function, and adds the type if the module lacks it.
    fn ty(&mut self, parameters: usize, results: usize) -> u32 {
        self.outline.type_of(parameters, results).unwrap_or_else(|| {
            let mut ty = vec![FUNCTION_TYPE];
            vec![ValType::I32; parameters].encode(&mut ty);
            vec![ValType::I32; results].encode(&mut ty);
            let known = self.types.iter().position(|known| *known == ty).unwrap_or_else(|| {
                self.types.push(ty);
                self.types.len() - 1
            });
            (self.outline.types.len() + known) as u32
        })
    }

    /// Exports a function that calls the guest's function of this name, and then calls `jam_free` for the
    /// data in its last two parameters. It is not called for data in the guest's inbox. Large data is first
    /// set to zero, because a hibernating room keeps all bytes that are not zero.
    fn taker(&mut self, name: &str, free: u32, freeing: u32, fill: u32) {
        let Some(own) = self.outline.function(name) else { return };
        let parameters = self.outline.function_type(own).map_or(0, |ty| ty.params().len() as u32);
        let (at, len, is_asked_for) =
            (parameters.saturating_sub(2), parameters.saturating_sub(1), parameters);
        let inbox = self.outline.inbox();
        let mut body = Function::new(inbox.map(|_| (1, ValType::I32)));
        let mut code = body.instructions();
        if let Some(inbox) = inbox {
            // Before the guest's own, which may have its inbox elsewhere from then on.
            let begin = MemArg { offset: 0, align: 0, target: MemArgTarget::Memory(0), ordering: None };
            code.local_get(at)
                .i32_const(inbox.cast_signed())
                .i32_load(begin)
                .i32_ne()
                .local_set(is_asked_for);
        }
        (0..parameters).for_each(|parameter| {
            code.local_get(parameter);
        });
        code.call(own);
        if inbox.is_some() {
            code.local_get(is_asked_for).if_(BlockType::Empty);
        }
        code.local_get(len).i32_const(LARGE.cast_signed()).i32_gt_u().if_(BlockType::Empty);
        code.local_get(at).i32_const(0).local_get(len).call(fill).end();
        code.i32_const(1).global_set(freeing);
        code.local_get(at).local_get(len).call(free).i32_const(0).global_set(freeing);
        if inbox.is_some() {
            code.end();
        }
        code.end();
        let index = self.add(parameters as usize, 0, body);
        self.function(name, Some(index));
    }

    /// Exports all state that can change.
    fn state(&mut self, sizes: Sizes) -> Layout {
        let outline = self.outline;
        let mut layout = Layout { sizes, ..Layout::default() };
        for (index, _) in outline.globals.iter().enumerate().filter(|(_, global)| global.mutable) {
            let name = format!("g{index}");
            self.exports.export(&name, ExportKind::Global, index as u32);
            layout.globals.push(name);
        }
        for index in &outline.changing {
            let name = format!("t{index}");
            self.exports.export(&name, ExportKind::Table, *index);
            layout.tables.push((*index, name));
        }
        if !layout.tables.is_empty() {
            let elements = outline.elements.iter().flat_map(|segment| segment.functions.iter());
            // `collect` would bring a sort of 5 KB along.
            let mut functions = BTreeSet::new();
            functions.extend(elements.filter_map(|element| element.checked_sub(1)));
            for index in functions {
                let name = format!("f{index}");
                self.exports.export(&name, ExportKind::Func, index);
                layout.functions.push((index, name));
            }
        }
        layout
    }

    /// Adds the functions that replace instructions. Returns the names of those that drop segments, and of
    /// the globals in which they record this.
    fn replacements(&mut self, sizes: Sizes) -> Vec<(String, String)> {
        let mut segments = Vec::new();
        // `collect` would bring a sort of 5 KB along.
        let mut replaced = BTreeSet::new();
        replaced.extend(self.outline.replaced.iter().map(|(_, _, replaced)| *replaced));
        for replaced in replaced {
            let index = match replaced {
                Replaced::Fill => self.fill(sizes),
                Replaced::Grow => self.add(1, 1, sizes.grow()),
                Replaced::Copy => self.add(3, 0, sizes.copy()),
                Replaced::Init(segment) => self.add(3, 0, sizes.init(segment)),
                Replaced::InitTable(table, segment) => self.changer(Change::Init { table, segment }),
                Replaced::CopyTable(to, from) => self.changer(Change::Copy { to, from }),
                Replaced::DropData(segment) => {
                    let names = (format!("d{segment}"), format!("d{segment}?"));
                    let index = self.dropper(&names, |code| code.data_drop(segment));
                    segments.push(names);
                    index
                }
                Replaced::DropElements(segment) => {
                    let names = (format!("e{segment}"), format!("e{segment}?"));
                    let index = self.dropper(&names, |code| code.elem_drop(segment));
                    segments.push(names);
                    index
                }
                Replaced::Select | Replaced::FarStore32 | Replaced::FarStore64 => continue,
            };
            self.replacements.insert(replaced, index);
        }
        segments
    }

    /// `(to, from, len)`: changes a table, and tells the host of it.
    fn changer(&mut self, change: Change) -> u32 {
        let watcher = self.outline.tables.len() as u32;
        let ty = self.ty(4, 0);
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.local_get(0).local_get(1).local_get(2);
        match change {
            Change::Init { table, segment } => code.table_init(table, segment),
            Change::Copy { to, from } => code.table_copy(to, from),
        };
        code.local_get(0).local_get(1).local_get(2).i32_const(self.changes.len() as i32);
        code.i32_const(0).call_indirect(watcher, ty).end();
        self.changes.push(change);
        self.add(3, 0, body)
    }

    /// Lists the contents of the tables that can change.
    fn account(&mut self, limits: &Limits) -> Option<Arc<Tables>> {
        if self.changes.is_empty() {
            return None;
        }
        self.exports.export(WATCHER, ExportKind::Table, self.outline.tables.len() as u32);
        Some(Arc::new(Tables {
            first: self.outline.first_elements(limits),
            segments: self.outline.elements.iter().map(|segment| segment.functions.clone()).collect(),
            changes: self.changes.clone(),
        }))
    }

    /// Adds the function that fills memory in pieces.
    fn fill(&mut self, sizes: Sizes) -> u32 {
        if let Some(index) = self.replacements.get(&Replaced::Fill) {
            return *index;
        }
        let index = self.add(3, 0, sizes.fill());
        self.replacements.insert(Replaced::Fill, index);
        index
    }

    fn dropper(
        &mut self,
        (name, flag): &(String, String),
        drop: impl for<'b, 'c> Fn(&'b mut InstructionSink<'c>) -> &'b mut InstructionSink<'c>,
    ) -> u32 {
        let global = self.global(flag);
        let mut body = Function::new([]);
        drop(&mut body.instructions()).i32_const(1).global_set(global).end();
        let index = self.add(0, 0, body);
        self.function(name, Some(index));
        index
    }

    /// Returns a memory that is empty at first. The host gives it its size and contents in pieces. If its
    /// maximum is all that can be addressed, the maximum is left out. It would have no effect, and on hosts
    /// with addresses of 32 bits wasmi 2.0 would treat 4 GiB as 0 when the memory grows.
    fn empty_memory(&self) -> MemorySection {
        let mut memories = MemorySection::new();
        if let Some(memory) = self.outline.memories.first() {
            memories.memory(MemoryType {
                minimum: 0,
                maximum: memory.maximum.filter(|most| most << page_log2(memory) <= u64::from(u32::MAX)),
                memory64: false,
                shared: false,
                page_size_log2: memory.page_size_log2,
            });
        }
        memories
    }

    /// Returns the segments from which instructions copy. The other segments are empty, and only keep their
    /// numbers.
    fn data(&self) -> DataSection {
        let mut section = DataSection::new();
        for data in &self.outline.data {
            match data {
                Data::Active(..) => section.passive([]),
                Data::Passive(bytes) => section.passive(bytes.iter().copied()),
            };
        }
        section
    }

    fn module(self) -> Vec<u8> {
        let mut module = Module::new();
        for id in ORDER {
            let section = self.outline.sections[usize::from(id)];
            let data: Cow<'_, [u8]> = match id {
                TYPES => Cow::Owned(appended(section, self.types.clone())),
                FUNCTIONS => {
                    let types = self.functions.iter().map(|(ty, _)| encoded(ty)).collect();
                    Cow::Owned(appended(section, types))
                }
                TABLES if !self.changes.is_empty() => {
                    let watcher = TableType {
                        element_type: RefType::FUNCREF,
                        table64: false,
                        minimum: 1,
                        maximum: Some(1),
                        shared: false,
                    };
                    Cow::Owned(appended(section, vec![encoded(&watcher)]))
                }
                GLOBALS => Cow::Owned(appended(section, self.globals.clone())),
                // Sections encode their size, too, which `RawSection` does itself.
                MEMORIES => {
                    module.section(&self.empty_memory());
                    continue;
                }
                DATA => {
                    module.section(&self.data());
                    continue;
                }
                EXPORTS => {
                    module.section(&self.exports);
                    continue;
                }
                START_FUNCTION => continue,
                CODE => {
                    let added = self.functions.iter().map(|(_, body)| encoded(body)).collect();
                    if self.outline.replaced.is_empty() {
                        Cow::Owned(appended(section, added))
                    } else {
                        let mut bodies = self.bodies();
                        bodies.extend(added);
                        Cow::Owned(appended(None, bodies))
                    }
                }
                _ => match section {
                    Some(section) => Cow::Borrowed(section),
                    None => continue,
                },
            };
            module.section(&RawSection { id, data: &data });
        }
        module.finish()
    }

    /// Returns the guest's functions, in which calls replace some instructions, and other instructions are
    /// put before some.
    fn bodies(&self) -> Vec<Vec<u8>> {
        let mut places = self.outline.replaced.iter().peekable();
        let mut bodies = Vec::with_capacity(self.outline.bodies.len());
        for (index, body) in self.outline.bodies.iter().enumerate() {
            let (bytes, offset) = (body.as_bytes(), body.range().start);
            let mut code = Vec::with_capacity(bytes.len());
            let mut copied = 0;
            while let Some((_, range, replaced)) = places.next_if(|(body, ..)| *body == index) {
                code.extend_from_slice(&bytes[copied..range.start - offset]);
                copied = range.start - offset;
                let mut sink = InstructionSink::new(&mut code);
                match replaced {
                    // wasmi 2.0 uses an old value for the condition if this is a test for zero. It panics at
                    // a store of a variable that is changed for the address of the store. The instructions
                    // between them have no effect.
                    Replaced::Select | Replaced::FarStore32 => {
                        sink.i32_const(0).i32_or();
                        continue;
                    }
                    Replaced::FarStore64 => {
                        sink.i64_const(0).i64_or();
                        continue;
                    }
                    _ => {}
                }
                copied = range.end - offset;
                // There is one for each.
                sink.call(self.replacements.get(replaced).copied().unwrap_or(u32::MAX));
            }
            code.extend_from_slice(&bytes[copied..]);
            bodies.push(encoded(&code[..]));
        }
        bodies
    }
}

/// The first byte of a function's type (WebAssembly core specification, 5.3.6).
const FUNCTION_TYPE: u8 = 0x60;

// The ids of sections (WebAssembly core specification, 5.5.2).
const TYPES: u8 = 1;
const FUNCTIONS: u8 = 3;
const TABLES: u8 = 4;
const MEMORIES: u8 = 5;
const GLOBALS: u8 = 6;
const EXPORTS: u8 = 7;
const START_FUNCTION: u8 = 8;
const CODE: u8 = 10;
const DATA: u8 = 11;

/// Returns the contents of a section, which begin with the number of its items, with items added.
fn appended(section: Option<&[u8]>, added: Vec<Vec<u8>>) -> Vec<u8> {
    let section = section.unwrap_or(&[0]);
    let mut reader = BinaryReader::new(section, 0);
    // It has been read before: see `outline.rs`.
    let count = reader.read_var_u32().unwrap_or(0) as usize;
    let mut contents = encoded(&(count + added.len()));
    contents.extend_from_slice(&section[reader.original_position()..]);
    added.iter().for_each(|item| contents.extend_from_slice(item));
    contents
}

fn encoded(item: &(impl Encode + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::new();
    item.encode(&mut bytes);
    bytes
}
