use std::{io, thread};

use smol::block_on;
use stateroom_host_min::RecordingHeader;

use crate::journal::{KeptRooms, Modules, RoomOnDisk};

/// The rooms that are looked at together.
const PAGE: usize = 10_000;

/// Removes the modules that no room runs any more, on a thread of its own.
pub(crate) fn begin_cleaning(rooms: KeptRooms, modules: Modules) {
    let clean = move || {
        let list = |after: Option<&str>| block_on(rooms.list(after, PAGE)).ok();
        if let Ok(2..) = modules.count()
            && let Some(needed) = needed(list)
        {
            match block_on(rooms.remove_modules(modules, needed)) {
                Ok(0) => {}
                Ok(count) => {
                    log::info!("{count} modules were removed that no room on the disk runs any more")
                }
                Err(error) => log::warn!("old modules cannot be removed: {error}"),
            }
        }
    };
    // Without a thread, the next start does it.
    let _ = thread::Builder::new().name("modules".to_owned()).spawn(clean);
}

/// Removes the modules that no room runs any more, while no server runs.
pub(super) fn clean(list: impl FnMut(Option<&str>) -> Vec<RoomOnDisk>, modules: &Modules) -> io::Result<()> {
    let mut list = list;
    if modules.count()? > 1
        && let Some(needed) = needed(|after| Some(list(after)))
    {
        modules.remove_all_but(&needed)?;
    }
    Ok(())
}

/// Returns the modules that rooms run. Nothing if that is not known, because a room cannot be read.
fn needed(mut list: impl FnMut(Option<&str>) -> Option<Vec<RoomOnDisk>>) -> Option<Vec<[u8; 32]>> {
    let (mut needed, mut after) = (Vec::new(), None);
    loop {
        let page = list(after.as_deref())?;
        for room in &page {
            let module = RecordingHeader::module_hash_of(&room.head)?;
            if !needed.contains(&module) {
                needed.push(module);
            }
        }
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.id),
            None => return Some(needed),
        }
    }
}
