use alloc::{collections::BTreeMap, format, string::String, vec::Vec};

use wasmi::{Func, Nullable, Ref};

use crate::live::Live;

/// The functions that a room's tables may point to, and how that is written down.
pub(super) struct Functions {
    /// In the order of their indices.
    known: Vec<(u32, Func)>,
    indices: BTreeMap<String, u32>,
}

impl Functions {
    pub(super) fn of(room: &Live) -> Self {
        let functions = room.program.layout().functions.iter();
        let known: Vec<_> = functions
            .filter_map(|(index, name)| Some((*index, room.instance.get_func(&room.store, name)?)))
            .collect();
        let indices = known.iter().map(|(index, function)| (shown(function), *index)).collect();
        Self { known, indices }
    }

    pub(super) fn encode(&self, element: &Ref) -> u32 {
        let Ref::Func(Nullable::Val(function)) = element else { return 0 };
        // All are known that can come into a table: see `module/outline.rs`.
        self.indices.get(&shown(function)).map_or(0, |index| index + 1)
    }

    pub(super) fn decode(&self, value: u32) -> Option<Ref> {
        let Some(index) = value.checked_sub(1) else { return Some(Ref::Func(Nullable::Null)) };
        let known = self.known.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(Ref::Func(Nullable::Val(self.known[known].1)))
    }
}

/// The number that a function's handle consists of. The engine does not compare handles, but shows them.
fn shown(function: &Func) -> String {
    format!("{function:?}")
}
