//! The global allocator of guests with the feature `alloc`: a third of the standard library's in code, and at home
//! in pages of any size.

use core::{alloc::Layout, ptr::NonNull};

use talc::{
    base::{Talc, binning::Binning},
    min_first_heap_size,
    source::Source,
    wasm::WasmBinning,
};

use super::linear_memory::{self, HEAP_BASE};

#[cfg(target_family = "wasm")]
#[global_allocator]
static HEAP: talc::cell::TalcSyncCell<LinearMemory, WasmBinning> =
    talc::cell::TalcSyncCell::new_wasm(LinearMemory::new());

/// The number of bytes that the heap grows by beyond the need, so that a room that fills up slowly does not ask for
/// every few bytes.
const SLACK: usize = 512;

/// A chunk's tag and its rounding, generously.
const CHUNK_OVERHEAD: usize = 32;

/// Gives the allocator the memory from the linker's heap base on, as one heap that grows at its end.
#[derive(Debug)]
struct LinearMemory {
    /// The end of the heap, which talc rounds down.
    heap_end: Option<NonNull<u8>>,
    /// The end of the memory when the heap last got a part of it.
    end: usize,
}

impl LinearMemory {
    const fn new() -> Self {
        Self { heap_end: None, end: 0 }
    }
}

// SAFETY: touches the allocator through the given reference only, and does not allocate.
unsafe impl Source for LinearMemory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = layout.size().checked_add(layout.align() + CHUNK_OVERHEAD + SLACK).ok_or(())?;
        let Some(heap_end) = talc.source.heap_end else {
            let base = HEAP_BASE as usize;
            let first = min_first_heap_size::<B>() + SLACK;
            if linear_memory::end() - base < first {
                linear_memory::grow(first);
            }
            let end = linear_memory::end();
            // SAFETY: nothing else in the guest uses memory past the heap base.
            talc.source.heap_end = unsafe { talc.claim(HEAP_BASE, end - base) };
            talc.source.end = end;
            return talc.source.heap_end.map(|_| ()).ok_or(());
        };
        let begin = linear_memory::end();
        linear_memory::grow(wanted);
        let end = linear_memory::end();
        if end == begin {
            return Err(());
        }
        // Where somebody else has grown the memory in between, what is theirs stays theirs.
        talc.source.heap_end = if begin == talc.source.end {
            // SAFETY: the memory from the heap's end on was left over from what it got last, or is new.
            Some(unsafe { talc.extend(heap_end, end as *mut u8) })
        } else {
            // SAFETY: the memory from `begin` on is new.
            unsafe { talc.claim(begin as *mut u8, end - begin) }
        };
        talc.source.end = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::{alloc::GlobalAlloc, slice};
    use std::vec::Vec;

    use talc::cell::TalcCell;

    use super::{super::test_host::TestHost, *};

    type Heap = TalcCell<LinearMemory, WasmBinning>;

    /// A block full of one byte.
    struct Block {
        at: *mut u8,
        layout: Layout,
        byte: u8,
    }

    impl Block {
        fn new(heap: &Heap, size: usize, align: usize, byte: u8) -> Self {
            let layout = Layout::from_size_align(size, align).unwrap();
            // SAFETY: the layout's size is not 0.
            let at = unsafe { heap.alloc(layout) };
            assert!(!at.is_null() && at.addr().is_multiple_of(align));
            // SAFETY: the block has this size.
            unsafe { at.write_bytes(byte, size) };
            Self { at, layout, byte }
        }

        fn check(&self) {
            // SAFETY: it has been filled, and nobody else uses it.
            let bytes = unsafe { slice::from_raw_parts(self.at, self.layout.size()) };
            assert!(bytes.iter().all(|byte| *byte == self.byte), "somebody has written to the block");
        }

        fn free(self, heap: &Heap) {
            self.check();
            // SAFETY: it came from this heap with this layout.
            unsafe { heap.dealloc(self.at, self.layout) };
        }
    }

    #[test]
    fn blocks_lie_apart_while_the_heap_grows_around_what_others_have_grown() {
        for page in [1, 4096] {
            let _host = TestHost::with_memory(page, 200 << 10);
            let heap = Heap::new(LinearMemory::new());
            let (mut blocks, mut theirs) = (Vec::new(), Vec::new());
            for turn in 1..=60 {
                blocks.push(Block::new(&heap, turn * 37 % 300 + 1, 1 << (turn % 5), turn.to_le_bytes()[0]));
                if turn % 3 == 0 {
                    blocks.swap_remove(turn % blocks.len()).free(&heap);
                }
                if turn % 5 == 0 {
                    // Less than a chunk has, or more.
                    let size = if turn % 20 == 0 { 100 } else { turn / 5 };
                    let layout = Layout::from_size_align(size, 1).unwrap();
                    let at = HEAP_BASE.with_addr(linear_memory::grow(layout.size()));
                    // SAFETY: this memory is new.
                    unsafe { at.write_bytes(0xee, layout.size()) };
                    theirs.push(Block { at, layout, byte: 0xee });
                }
            }
            theirs.iter().for_each(Block::check);
            blocks.into_iter().for_each(|block| block.free(&heap));
            theirs.iter().for_each(Block::check);
        }
    }

    #[test]
    fn a_heap_that_cannot_grow_refuses_and_goes_on() {
        let _host = TestHost::with_memory(1, 20_000);
        let heap = Heap::new(LinearMemory::new());
        let first = Block::new(&heap, 4000, 8, 1);
        for size in [30_000, isize::MAX as usize] {
            // SAFETY: the layout's size is not 0.
            assert!(unsafe { heap.alloc(Layout::from_size_align(size, 1).unwrap()) }.is_null());
        }
        let second = Block::new(&heap, 4000, 8, 2);
        first.free(&heap);
        second.free(&heap);
        Block::new(&heap, 7000, 8, 3).free(&heap);
    }
}
