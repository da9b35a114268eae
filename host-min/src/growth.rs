use wasmi::{
    ResourceLimiter,
    errors::{MemoryError, TableError},
};
use wasmi_core::LimiterError;

use crate::Limits;

/// The limiter that the engine asks before it gives an instance memory or tables.
#[derive(Debug)]
pub(crate) struct Growth {
    memory: usize,
    table_elements: usize,
    /// The number of bytes that the engine has allocated for the memory. The engine keeps the memory in a vector,
    /// which doubles when it is full.
    allocated: usize,
    /// The number of bytes that the guest last asked for in the present event and that are beyond the limit, or 0.
    refused: usize,
}

impl Growth {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory: limits.memory, table_elements: limits.table_elements, allocated: 0, refused: 0 }
    }

    /// Notes that an event begins.
    pub(crate) fn begin(&mut self) {
        self.refused = 0;
    }

    /// Returns the size in bytes that the memory could not have in this event because of its limit.
    pub(crate) fn refused(&self) -> Option<usize> {
        (self.refused > 0).then_some(self.refused)
    }

    /// Returns how many bytes the memory takes, the part of it included that it has not grown to.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        if desired > self.memory {
            self.refused = desired;
            return Ok(false);
        }
        if desired > self.allocated {
            self.allocated = desired.max(2 * self.allocated);
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(desired <= self.table_elements)
    }

    /// Traps if the system has no memory. A guest that learned of it would behave differently on another machine,
    /// with the same events.
    fn memory_grow_failed(&mut self, error: &MemoryError) -> Result<(), LimiterError> {
        match error {
            MemoryError::OutOfSystemMemory => Err(LimiterError::ResourceLimiterDeniedAllocation),
            // It is suspended, and asks again.
            _ => Ok(()),
        }
    }

    fn table_grow_failed(&mut self, _: &TableError) -> Result<(), LimiterError> {
        Ok(())
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        // `module/outline.rs` counts them.
        usize::MAX
    }

    fn memories(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_takes_what_a_vector_does_that_grows_like_it() {
        let mut growth = Growth::new(&Limits::default());
        let mut vector = alloc::vec::Vec::<u8>::new();
        for size in [0, 1, 70_000, 70_001, 140_000, 140_001, 1_000_000, 1_000_100] {
            assert!(growth.memory_growing(vector.len(), size, None).unwrap());
            vector.reserve(size - vector.len());
            vector.resize(size, 0);
            assert!(growth.allocated() + 8 >= vector.capacity(), "{size}");
        }
        assert_eq!(growth.refused(), None);
        assert!(!growth.memory_growing(0, usize::MAX, None).unwrap());
        assert_eq!(growth.refused(), Some(usize::MAX));
        growth.begin();
        assert_eq!(growth.refused(), None);
    }

    #[test]
    fn a_guest_goes_on_where_fuel_is_lacking_and_not_where_memory_is() {
        let mut growth = Growth::new(&Limits::default());
        assert!(growth.memory_grow_failed(&MemoryError::OutOfFuel { required_fuel: 1 }).is_ok());
        assert!(growth.memory_grow_failed(&MemoryError::OutOfSystemMemory).is_err());
    }
}
