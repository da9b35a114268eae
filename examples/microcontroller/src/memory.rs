//! The heap, and the measurement of all memory.
#![expect(unsafe_code, reason = "an allocator, and symbols of the linker")]

use core::{
    alloc::{GlobalAlloc, Layout},
    fmt,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use cortex_m_rt::{STACK_PAINT_VALUE, heap_start};
use embedded_alloc::LlffHeap;

#[global_allocator]
static HEAP: Heap = Heap {
    heap: LlffHeap::empty(),
    peak: AtomicUsize::new(0),
};

/// An allocator that remembers the most that was in use.
struct Heap {
    heap: LlffHeap,
    peak: AtomicUsize,
}

// SAFETY: All is done by an allocator that keeps the promises of the trait.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: The caller promises the same.
        let place = unsafe { self.heap.alloc(layout) };
        self.peak.fetch_max(self.heap.used(), Relaxed);
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: The caller promises the same.
        unsafe { self.heap.dealloc(place, layout) }
    }
}

// SAFETY: The linker scripts of `cortex-m-rt` and `memory.x` define these. They have addresses only.
unsafe extern "C" {
    safe static __vector_table: u32;
    safe static __sidata: u32;
    safe static __sdata: u32;
    safe static __edata: u32;
    safe static _ram_start: u32;
    safe static _stack_start: u32;
    safe static _stack_end: u32;
    safe static _heap_end: u32;
}

/// Makes a heap of the RAM that is left. This comes first, and only once.
pub fn init() {
    let begin = heap_start() as usize;
    let size = (&raw const _heap_end).addr() - begin;
    // SAFETY: Nothing else lies between the static variables and the end of the RAM, since the stack is before them.
    unsafe { HEAP.heap.init(begin, size) }
}

/// Returns the bytes of the heap that are in use.
pub fn heap_in_use() -> usize {
    HEAP.heap.used()
}

/// The memory that the program used, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Code, constants, and the initial values of static variables.
    flash: usize,
    /// Static variables.
    statics: usize,
    /// The most of the heap that was in use at once.
    heap: usize,
    /// The most of the stack that was in use at once.
    stack: usize,
}

impl Usage {
    /// Returns the memory that was used up to now.
    pub fn now() -> Self {
        let initial_values = (&raw const __edata).addr() - (&raw const __sdata).addr();
        Self {
            flash: (&raw const __sidata).addr() + initial_values
                - (&raw const __vector_table).addr(),
            statics: heap_start().addr() - (&raw const _ram_start).addr(),
            heap: HEAP.peak.load(Relaxed),
            stack: stack_used(),
        }
    }
}

/// Returns the size of the part of the stack that has lost its paint.
fn stack_used() -> usize {
    let begin = &raw const _stack_start;
    let mut place = &raw const _stack_end;
    // SAFETY: These are the words of the stack, from its end on.
    while place < begin && unsafe { place.read_volatile() } == STACK_PAINT_VALUE {
        place = place.wrapping_add(1);
    }
    begin.addr() - place.addr()
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            flash,
            statics,
            heap,
            stack,
        } = self;
        writeln!(f, "used flash {flash}")?;
        writeln!(f, "used statics {statics}")?;
        writeln!(f, "used heap {heap}")?;
        writeln!(f, "used stack {stack}")?;
        writeln!(f, "used ram {}", statics + heap + stack)
    }
}
