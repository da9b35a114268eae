//! Functions that replace instructions whose time depends on their operands. The functions do the same work
//! in pieces. The engine takes fuel before each piece. So a guest that clears all of its memory can be
//! suspended before the end.

use wasm_encoder::{BlockType, Function, InstructionSink, ValType};

/// The number of bytes that are written in one step: 2,048 units of fuel, about 2 µs.
pub(super) const WRITTEN: u32 = 16 << 10;

/// The number of bytes by which a memory grows in one step. Most systems allocate memory page by page when it
/// is first used. Each page takes a few microseconds, so a step takes 20 to 60 µs.
pub(crate) const GROWN: u32 = 64 << 10;

/// Data for the guest that is larger than this is cleared when the guest has handled it. For smaller data
/// this would take more time than it saves memory.
pub(crate) const LARGE: u32 = 4 << 10;

/// The sizes that a memory can have.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sizes {
    /// The size of a page in bytes, as a power of two: 1 or 64 Ki.
    pub(crate) page_log2: u32,
    /// The maximum number of pages, by the module and by the host.
    pub(crate) most: u32,
}

impl Sizes {
    /// `(pages) -> (pages before, or -1)`: grows the memory as `memory.grow` does, either by all pages or not
    /// at all. Each call takes as much fuel as a few thousand other instructions.
    ///
    /// The limits are checked first. What is beyond them is asked for at once, so that `growth.rs` notes that it was refused. After
    /// that, only the system can fail, and this is a trap: see `growth.rs`.
    ///
    /// The engine's instructions end in a call of the next one, and the compiler makes a jump of this call.
    /// In this version of the engine it does not do so for `memory.grow`: each one takes about 200 bytes of
    /// native stack until the slice is over. Because it takes so much fuel, a slice of a million units takes
    /// at most 50 KB of stack.
    pub(super) fn grow(self) -> Function {
        let piece = (GROWN >> self.page_log2).max(1).cast_signed();
        let (pages, before) = (0, 1);
        let mut body = Function::new([(1, ValType::I32)]);
        let mut code = body.instructions();
        // The engine takes the fuel for a whole block when it enters the block.
        code.memory_size(0).local_set(before);
        code.local_get(pages).if_(BlockType::Empty);
        code.local_get(pages).i32_const(self.most.cast_signed()).local_get(before).i32_sub().i32_gt_u();
        // The engine refuses it: the result is -1.
        code.if_(BlockType::Empty).local_get(pages).memory_grow(0);
        cost(&mut code, 15);
        code.return_().else_();
        code.local_get(pages).i32_const(piece).i32_gt_u().if_(BlockType::Empty).loop_(BlockType::Empty);
        code.i32_const(piece).memory_grow(0).drop();
        cost(&mut code, 45);
        code.local_get(pages).i32_const(piece).i32_sub().local_tee(pages).i32_const(piece).i32_gt_u();
        code.br_if(0).end().end();
        code.local_get(pages).memory_grow(0).drop();
        cost(&mut code, 15);
        code.end().end().local_get(before).end();
        body
    }

    /// `(at, byte, len)`, as `memory.fill`.
    pub(super) fn fill(self) -> Function {
        let (at, byte, len) = (0, 1, 2);
        self.upwards(&[at], len, |code, whole| {
            code.local_get(at).local_get(byte);
            length(code, whole, len).memory_fill(0);
        })
    }

    /// `(at, from, len)`, as `memory.init` of this segment.
    pub(super) fn init(self, segment: u32) -> Function {
        let (at, from, len) = (0, 1, 2);
        self.upwards(&[at, from], len, |code, whole| {
            code.local_get(at).local_get(from);
            length(code, whole, len).memory_init(0, segment);
        })
    }

    /// `(to, from, len)`, as `memory.copy`. If the ranges overlap, the copy begins at the end that would be
    /// overwritten.
    pub(super) fn copy(self) -> Function {
        let (to, from, len) = (0, 1, 2);
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.local_get(len).i32_const(WRITTEN.cast_signed()).i32_gt_u().if_(BlockType::Empty);
        self.is_inside(&mut code, to, len);
        self.is_inside(&mut code, from, len);
        code.i32_and().if_(BlockType::Empty);
        code.local_get(to).local_get(from).i32_le_u().if_(BlockType::Empty).loop_(BlockType::Empty);
        code.local_get(to).local_get(from).i32_const(WRITTEN.cast_signed()).memory_copy(0, 0);
        add(&mut code, to);
        add(&mut code, from);
        shorten(&mut code, len);
        code.br_if(0).end().else_().loop_(BlockType::Empty);
        code.local_get(to).local_get(len).i32_add().i32_const(WRITTEN.cast_signed()).i32_sub();
        code.local_get(from).local_get(len).i32_add().i32_const(WRITTEN.cast_signed()).i32_sub();
        code.i32_const(WRITTEN.cast_signed()).memory_copy(0, 0);
        shorten(&mut code, len);
        code.br_if(0).end().end();
        code.end().end();
        code.local_get(to).local_get(from).local_get(len).memory_copy(0, 0).end();
        body
    }

    /// Returns a function that writes from the beginning to the end. Its first parameter is the address. The
    /// parameters `moved` grow with it. `write` is the instruction for a piece, or for the rest.
    fn upwards(self, moved: &[u32], len: u32, write: impl Fn(&mut InstructionSink<'_>, bool)) -> Function {
        let mut body = Function::new([]);
        let mut code = body.instructions();
        code.local_get(len).i32_const(WRITTEN.cast_signed()).i32_gt_u().if_(BlockType::Empty);
        self.is_inside(&mut code, 0, len);
        code.if_(BlockType::Empty).loop_(BlockType::Empty);
        write(&mut code, false);
        moved.iter().for_each(|local| add(&mut code, *local));
        shorten(&mut code, len);
        code.br_if(0).end().end().end();
        // All of a short one, the end of a long one, and one that leads out of the memory and traps.
        write(&mut code, true);
        code.end();
        body
    }

    /// Checks that the whole range is in the memory. Otherwise an address could overflow during the work.
    fn is_inside(self, code: &mut InstructionSink<'_>, at: u32, len: u32) {
        code.local_get(at).i64_extend_i32_u().local_get(len).i64_extend_i32_u().i64_add();
        code.memory_size(0).i64_extend_i32_u().i64_const(self.page_log2.into()).i64_shl().i64_le_u();
    }
}

fn length<'a, 'b>(code: &'a mut InstructionSink<'b>, whole: bool, len: u32) -> &'a mut InstructionSink<'b> {
    if whole { code.local_get(len) } else { code.i32_const(WRITTEN.cast_signed()) }
}

fn add(code: &mut InstructionSink<'_>, local: u32) {
    code.local_get(local).i32_const(WRITTEN.cast_signed()).i32_add().local_set(local);
}

/// Subtracts a piece from the length, and checks whether more than one piece is left.
fn shorten(code: &mut InstructionSink<'_>, len: u32) {
    let piece = WRITTEN.cast_signed();
    code.local_get(len).i32_const(piece).i32_sub().local_tee(len).i32_const(piece).i32_gt_u();
}

/// Adds code whose only effect is that it takes fuel: see `engine.rs`.
fn cost(code: &mut InstructionSink<'_>, times: usize) {
    for _ in 0..times {
        code.memory_size(0).drop();
    }
}
