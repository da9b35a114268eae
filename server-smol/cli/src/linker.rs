use wasmparser::{Parser, Payload};

use super::{
    config::{Config, Target},
    purpose::Purpose,
};

/// The additional stack of a guest that formats panic messages, in bytes.
pub(crate) const FOR_PANICS: u32 = 16384;

/// The way in which a guest allocates memory. The layout of its memory depends on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Memory {
    /// No allocator: the SDK without features.
    Static,
    /// The allocator of this project's SDK, which asks the linker for the page size: feature `alloc`.
    Heap,
    /// The standard library with any allocator, or an unknown allocator.
    Std,
}

impl Memory {
    /// Returns the default size of a guest's stack, in bytes.
    pub(crate) const fn stack_size(self) -> u32 {
        match self {
            Self::Static => 3072,
            Self::Heap => 8192,
            // `serde_json` goes 128 levels deep, and takes 39 KiB for that.
            Self::Std => 49152,
        }
    }

    /// Returns the size of the heap that a guest with pages of one byte begins with, in bytes: enough for a
    /// short message, or for a first heap. The first time that a memory grows, the engine allocates twice as
    /// much.
    const fn heap_size(self) -> u32 {
        match self {
            Self::Static => 512,
            Self::Heap => 2048,
            // It has the rest of its first page.
            Self::Std => 0,
        }
    }
}

/// Returns the linker's arguments for the guest's memory.
///
/// By default a memory grows by pages of 64 KiB, and Rust gives guests a stack of 1 MiB. So a room with one
/// number would take more than a megabyte. With pages of one byte and a small stack it takes about three
/// kilobytes. This saves much more than smaller code could.
///
/// The standard library's allocator assumes pages of 64 KiB, on every target: it asks for one page and uses
/// 64 KiB. With pages of one byte it would write past the end of the memory. So only guests with a known
/// allocator, or without one, get pages of one byte. A WASI guest always has the standard library's C part,
/// with an allocator of the same kind.
///
/// With the standard library a guest's stack is three quarters of a page: all of a small one's memory is in a
/// page, and JSON that is nested as deep as `serde_json` allows does not overflow it. The stack comes first in memory (Rust's default), so an overflow traps and does not overwrite other
/// data.
pub(crate) fn arguments(memory: Memory, config: &Config, portable: bool, purpose: Purpose) -> Vec<String> {
    let memory = match config.target {
        Target::Unknown => memory,
        Target::Wasip1 => Memory::Std,
    };
    let stack_size = config.stack_size.unwrap_or(memory.stack_size());
    let stack_size = match purpose {
        Purpose::Release => stack_size,
        Purpose::Trial => stack_size + FOR_PANICS,
    };
    // The compiler leaves room in the numbers that the linker fills in, five bytes for each. It is a tenth of
    // a module; and an engine that knows the first version of WebAssembly only takes it for a mistake where a
    // function is called through a table.
    let mut arguments = vec![format!("-zstack-size={stack_size}"), "--compress-relocations".to_owned()];
    if !portable && memory != Memory::Std {
        arguments.push("--page-size=1".to_owned());
        arguments.push(format!("--initial-heap={}", memory.heap_size()));
    }
    arguments
}

/// The default size of a page, in bytes.
pub(crate) const DEFAULT_PAGE: u64 = 1 << 16;

/// Returns the size of a page of a module's memory, in bytes. Returns `None` if it has no memory, or is not a
/// module.
pub(crate) fn page_size(module: &[u8]) -> Option<u64> {
    let memory = Parser::new(0).parse_all(module).find_map(|payload| match payload {
        Ok(Payload::MemorySection(memories)) => memories.into_iter().next()?.ok(),
        _ => None,
    });
    memory.map(|memory| memory.page_size_log2.map_or(DEFAULT_PAGE, |log2| 1 << log2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_one_byte_are_for_known_allocators() {
        let usual = Config::default();
        let wasi = Config { target: Target::Wasip1, ..Config::default() };
        let of = |memory, config, portable| arguments(memory, config, portable, Purpose::Release);
        let in_bytes = |memory, config| of(memory, config, false).contains(&"--page-size=1".to_owned());
        assert!(in_bytes(Memory::Static, &usual) && in_bytes(Memory::Heap, &usual));
        assert!(!in_bytes(Memory::Std, &usual) && !in_bytes(Memory::Static, &wasi));
        assert!(!of(Memory::Heap, &usual, true).contains(&"--page-size=1".to_owned()));
    }

    #[test]
    fn a_stack_is_as_large_as_asked_for_and_larger_where_panics_are_put_into_words() {
        let usual = Config::default();
        let deep = Config { stack_size: Some(4096), ..Config::default() };
        let stack = |config, purpose| arguments(Memory::Heap, config, false, purpose).swap_remove(0);
        assert_eq!(stack(&usual, Purpose::Release), "-zstack-size=8192");
        assert_eq!(stack(&deep, Purpose::Release), "-zstack-size=4096");
        assert_eq!(stack(&deep, Purpose::Trial), "-zstack-size=20480");
    }
}
