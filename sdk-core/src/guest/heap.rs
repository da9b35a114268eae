//! The global allocator of guests with the feature `alloc`: a third of the standard library's in code, and at home
//! in pages of any size.

use core::{alloc::Layout, ptr::NonNull};

use talc::{
    base::{Talc, binning::Binning},
    cell::TalcSyncCell,
    min_first_heap_size,
    source::Source,
    wasm::WasmBinning,
};

use super::linear_memory;

#[global_allocator]
static HEAP: TalcSyncCell<LinearMemory, WasmBinning> = TalcSyncCell::new_wasm(LinearMemory { end: None });

/// How much more than needed the heap grows by, so that a room that fills up slowly does not ask for every
/// few bytes.
const SLACK: usize = 512;

/// A chunk's tag and its rounding, generously.
const CHUNK_OVERHEAD: usize = 32;

/// Gives the allocator the memory from the linker's heap base on, as one heap that grows at its end.
#[derive(Debug)]
struct LinearMemory {
    end: Option<NonNull<u8>>,
}

// SAFETY: touches the allocator through the given reference only, and does not allocate.
unsafe impl Source for LinearMemory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let wanted = layout.size().checked_add(layout.align() + CHUNK_OVERHEAD + SLACK).ok_or(())?;
        let Some(heap_end) = talc.source.end else {
            let base = linear_memory::HEAP_BASE as usize;
            let first = min_first_heap_size::<B>() + SLACK;
            if linear_memory::end() - base < first {
                linear_memory::grow(first);
            }
            // SAFETY: nothing else in the guest uses memory past the heap base.
            let end = unsafe { talc.claim(base as *mut u8, linear_memory::end() - base) };
            talc.source.end = end;
            return end.map(|_| ()).ok_or(());
        };
        let begin = linear_memory::end();
        linear_memory::grow(wanted);
        let end = linear_memory::end();
        if end == begin {
            return Err(());
        }
        // Where somebody else has grown the memory in between, what is theirs stays theirs.
        talc.source.end = if begin - heap_end.as_ptr() as usize <= CHUNK_OVERHEAD {
            // SAFETY: the memory between the heap's end, which talc rounds down, and the new end is new.
            Some(unsafe { talc.extend(heap_end, end as *mut u8) })
        } else {
            // SAFETY: the memory from `begin` on is new.
            unsafe { talc.claim(begin as *mut u8, end - begin) }
        };
        Ok(())
    }
}
