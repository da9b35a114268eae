use alloc::{boxed::Box, sync::Arc, vec::Vec};

use wasmi::{Caller, Error, Func, Instance, Nullable, Ref, Store};

use crate::state::State;

/// The contents of a module's tables, as numbers. The engine does not tell functions apart, so the host records the
/// contents: the instructions that change tables report each change (see `module/prepare.rs`). Few modules have any.
///
/// A function is one more than its index, and 0 is none.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The initial contents of each table.
    pub(crate) first: Vec<Box<[u32]>>,
    /// The segments that they can be changed from.
    pub(crate) segments: Vec<Box<[u32]>>,
    /// The changes that instructions make to them. An instruction names its change by the index.
    pub(crate) changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// Elements of a segment come into a table.
    Init { table: u32, segment: u32 },
    /// Elements of a table come into another, or into itself.
    Copy { to: u32, from: u32 },
}

/// The export of the table with one place, for the function of the host that is told of changes.
pub(crate) const WATCHER: &str = "watcher";

impl Tables {
    /// Begins to keep the account of a new instance.
    pub(crate) fn watch(
        self: &Arc<Self>,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> Result<(), Error> {
        store.data_mut().tables = self.first.clone();
        let tables = self.clone();
        let watcher = Func::wrap(
            &mut *store,
            move |mut caller: Caller<'_, State>, to: u32, from: u32, len: u32, change: u32| {
                // The instruction has been carried out, so that all of it fits.
                let _ = tables.note(&mut caller.data_mut().tables, to, from, len, change);
            },
        );
        if let Some(place) = instance.get_table(&*store, WATCHER) {
            place.set(store, 0, Ref::Func(Nullable::Val(watcher)))?;
        }
        Ok(())
    }

    fn note(&self, held: &mut [Box<[u32]>], to: u32, from: u32, len: u32, change: u32) -> Option<()> {
        let range = |begin: u32| begin as usize..begin as usize + len as usize;
        match self.changes.get(change as usize)? {
            Change::Init { table, segment } => {
                let elements = self.segments.get(*segment as usize)?.get(range(from))?;
                held.get_mut(*table as usize)?.get_mut(range(to))?.copy_from_slice(elements);
            }
            Change::Copy { to: table, from: source } => {
                let elements = held.get(*source as usize)?.get(range(from))?.to_vec();
                held.get_mut(*table as usize)?.get_mut(range(to))?.copy_from_slice(&elements);
            }
        }
        Some(())
    }
}
