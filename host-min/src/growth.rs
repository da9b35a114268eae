use wasmi::{
    ResourceLimiter,
    errors::{MemoryError, TableError},
};
use wasmi_core::LimiterError;

use crate::Limits;

/// What the engine asks before it gives an instance memory or tables.
#[derive(Debug)]
pub(crate) struct Growth {
    memory: usize,
    table_elements: usize,
}

impl Growth {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { memory: limits.memory, table_elements: limits.table_elements }
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(desired <= self.memory)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(desired <= self.table_elements)
    }

    /// Makes a trap of it where the system has no memory. A guest that was told so would go on differently on another
    /// machine, with the same events.
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
    fn a_guest_goes_on_where_fuel_is_lacking_and_not_where_memory_is() {
        let mut growth = Growth::new(&Limits::default());
        assert!(growth.memory_grow_failed(&MemoryError::OutOfFuel { required_fuel: 1 }).is_ok());
        assert!(growth.memory_grow_failed(&MemoryError::OutOfSystemMemory).is_err());
    }
}
