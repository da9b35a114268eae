//! Answers what the operator asks about single rooms, in memory and on disk.

use std::{future::poll_fn, pin::Pin, rc::Rc, time::Duration};

use hyper::{
    Request, StatusCode,
    body::{Body as _, Incoming},
    header::{ACCEPT, HeaderMap, HeaderValue, LINK},
};
use serde_json::Value;
use smol::{future::or, unblock};

use crate::{
    journal::{KeptRooms, Modules, hex},
    kept::{Bounds, Import, KeptRoom, LoadedRoom, RoomDetails, RoomMemory, export, sealed},
    reactor::Timer,
    requests::{all_parameters, json, later, object, text, typed},
    room::{NotImported, Presence, RoomId},
    worker::{Ending, RemoteCharge, Workers},
};

use super::{Answer, Control, IMPORT_TIMEOUT, answers::Page, late};

/// The largest file of a room, in bytes. It is in memory while it is read.
const LARGEST: usize = 256 << 20;

/// The time that the events in a file may take.
const IMPORT_TIME: Duration = IMPORT_TIMEOUT.saturating_sub(Duration::from_secs(1));

/// The time after which to try an export again, in seconds.
const AGAIN: u64 = 5;

impl Control {
    /// `GET /rooms?after=ID&limit=N`: the rooms in memory and on disk, page by page.
    pub(super) async fn all_rooms(&self, page: Page, headers: &HeaderMap) -> Result<Answer, Ending> {
        let Page { after, limit } = page;
        // While all rooms wait for space on the disk, their threads may not answer.
        let is_stalled = self.is_stalled();
        let in_memory = match is_stalled {
            true => Vec::new(),
            false => self.workers.list(after.as_ref(), limit + 1).await?,
        };
        let on_disk = match self.workers.kept_rooms() {
            None => Vec::new(),
            Some(kept) => {
                kept.list(after.as_ref().map(RoomId::as_str), limit + 1).await.map_err(|_| Ending)?
            }
        };
        let on_disk = on_disk.into_iter().map(KeptRoom::from);
        let mut rooms: Vec<_> = on_disk.map(|room| KeptRoom { is_unknown: is_stalled, ..room }).collect();
        for status in in_memory {
            match rooms.binary_search_by(|room| (*room.id).cmp(status.id.as_str())) {
                Ok(index) => rooms[index].loaded = Some(status.into()),
                Err(index) => rooms.insert(index, status.into()),
            }
        }
        let has_more = rooms.len() > limit;
        rooms.truncate(limit);
        Ok(page_of_rooms(&rooms, has_more, limit, headers))
    }

    /// `GET /rooms/ID`: what is known of a room.
    pub(super) async fn room(&self, id: &RoomId, headers: &HeaderMap) -> Result<Answer, Ending> {
        let presence = match self.is_stalled() {
            true => Presence::Unknown,
            false => self.workers.find(id).await?,
        };
        let on_disk = match self.workers.kept_rooms() {
            None => Ok(None),
            Some(kept) => kept.read(id.as_str()).await,
        };
        Ok(match on_disk.and_then(|on_disk| RoomDetails::new(on_disk, presence)) {
            Ok(None) => no_such_room(id),
            Ok(Some(room)) if wants_text(headers) => plain(room.to_string()),
            Ok(Some(room)) => json(details(&room)),
            Err(reason) => unreadable(&reason),
        })
    }

    fn is_stalled(&self) -> bool {
        self.workers.kept_rooms().is_some_and(KeptRooms::is_stalled)
    }

    /// `GET /rooms/ID/export`: a file of a room, as it is on the disk between two events.
    pub(super) async fn export(&self, id: &RoomId) -> Result<Answer, Ending> {
        let modules = self.deployment.as_ref().and_then(|deployment| deployment.kept_modules());
        let (Some(kept), Some(modules)) = (self.workers.kept_rooms(), modules) else {
            return self.export_recording(id).await;
        };
        let (on_disk, history) = match kept.read(id.as_str()).await {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(no_such_room(id)),
            Err(reason) => return Ok(unreadable(&reason)),
        };
        // The history and the file. While all rooms wait, no thread of theirs answers for the memory.
        let size = usize::try_from(on_disk.base_bytes.saturating_add(on_disk.event_bytes));
        let mut memory = ImportMemory { workers: self.workers.clone(), charges: Vec::new(), charged: 0 };
        let has_memory = self.is_stalled() || memory.take(size.unwrap_or(usize::MAX).saturating_mul(2)).await;
        if !has_memory {
            let words = "there is not enough memory for the file now (`--max-total-memory`)";
            return Ok(later(StatusCode::SERVICE_UNAVAILABLE, words, AGAIN));
        }
        let modules = modules.clone();
        Ok(match unblock(move || export(&history, &|hash| modules.read(hash))).await {
            Ok(file) => {
                log::info!("the operator has exported room {id}");
                let mut answer = typed(StatusCode::OK, "application/octet-stream", file);
                answer.body_mut().hold(Rc::new(memory));
                answer
            }
            Err(reason) => unreadable(&reason),
        })
    }

    /// Returns the recording of a room of a server that keeps no rooms, if it records them in memory: it is the same as an export.
    async fn export_recording(&self, id: &RoomId) -> Result<Answer, Ending> {
        Ok(match (self.workers.recording(id).await?, self.workers.find(id).await?) {
            (Some(file), _) => typed(StatusCode::OK, "application/octet-stream", sealed(file)),
            (None, Presence::InMemory(_)) => text(
                StatusCode::CONFLICT,
                "this server neither keeps its rooms on disk (`--data`) nor records them in memory, so it cannot export one",
            ),
            (None, _) => no_such_room(id),
        })
    }

    /// `POST /rooms?as=ID`: makes a room of a file.
    pub(super) async fn import<B>(&self, request: &Request<B>, content: Incoming) -> Result<Answer, Ending> {
        let id = match wanted_id(request.uri().query().unwrap_or("")) {
            Ok(id) => id,
            Err(reason) => return Ok(text(StatusCode::BAD_REQUEST, reason)),
        };
        let modules = self.deployment.as_ref().and_then(|deployment| deployment.kept_modules());
        let (Some(kept), Some(modules)) = (self.workers.kept_rooms(), modules) else {
            let words = "this server keeps no rooms on disk (`--data`), so it cannot import one";
            return Ok(text(StatusCode::CONFLICT, words));
        };
        if kept.is_stalled() {
            let words = "all rooms wait for space on the disk, as the server's log says: make space first";
            return Ok(text(StatusCode::SERVICE_UNAVAILABLE, words));
        }
        if kept.is_filling() {
            let words = "the rooms on disk need nearly all space (`--journal-size`): delete rooms first";
            return Ok(text(StatusCode::SERVICE_UNAVAILABLE, words));
        }
        let limits = self.deployment.as_ref().map(|deployment| deployment.limits()).unwrap_or_default();
        let mut memory = ImportMemory { workers: self.workers.clone(), charges: Vec::new(), charged: 0 };
        let file =
            match read(content, LARGEST, "the file of a room has at most 256 MiB", Some(&mut memory)).await {
                Ok(file) => file,
                Err((status, reason)) => return Ok(text(status, reason)),
            };
        let words =
            "the import takes long, and may go on; look whether the room is there before you try again";
        let timeout = async { Ok(late(IMPORT_TIMEOUT, words).await) };
        or(self.add_imported(file, id, limits, memory, modules.clone()), timeout).await
    }

    /// Makes a room of a file that has come whole.
    async fn add_imported(
        &self,
        file: Vec<u8>,
        id: Option<RoomId>,
        limits: stateroom_host_min::Limits,
        mut memory: ImportMemory,
        modules: Modules,
    ) -> Result<Answer, Ending> {
        // It runs the guest, and writes its module.
        let checked = unblock(move || {
            let (mut has_memory, own) = (true, memory.charged);
            let mut take_memory = |bytes: usize| {
                has_memory = smol::block_on(memory.take(own.saturating_add(bytes)));
                has_memory
            };
            let bounds = Bounds { limits, time: IMPORT_TIME, take_memory: &mut take_memory };
            let import = Import::read(&file, id.as_ref(), bounds).map_err(|error| match has_memory {
                true => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
                false => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            })?;
            modules.keep(&import.module_hash, &import.module).map(|()| (import, memory)).map_err(|error| {
                (StatusCode::UNPROCESSABLE_ENTITY, format!("its module cannot be kept: {error}"))
            })
        });
        let (Import { id, base, .. }, _memory) = match checked.await {
            Ok(checked) => checked,
            Err((status, reason)) => {
                return Ok(text(status, &format!("the file cannot become a room: {reason}")));
            }
        };
        Ok(match self.workers.import(&id, base).await? {
            Ok(()) => {
                log::info!("the operator has imported room {id}");
                text(StatusCode::CREATED, id.as_str())
            }
            Err(NotImported::Exists) => {
                let words =
                    format!("a room {id} exists: delete it first, or give the new one another id (`as`)");
                text(StatusCode::CONFLICT, &words)
            }
            Err(NotImported::TooLarge(reason)) => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("the room is too large for this server: {reason}"),
            ),
            Err(NotImported::Ending) => return Err(Ending),
        })
    }
}

/// Returns the id that the room is to have, if one is asked for.
fn wanted_id(query: &str) -> Result<Option<RoomId>, &'static str> {
    let mut id = None;
    for parameter in all_parameters(query) {
        let (name, value) = parameter?;
        if name != "as" || id.replace(RoomId::new(&value)?).is_some() {
            return Err("there is the parameter `as`, once");
        }
    }
    Ok(id)
}

/// Reads the content of a request, which has at most so many bytes. Charges its memory, if it may be large.
pub(super) async fn read(
    mut content: Incoming,
    most: usize,
    too_large: &'static str,
    mut memory: Option<&mut ImportMemory>,
) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    let mut bytes = Vec::new();
    loop {
        let next = async { Ok(poll_fn(|cx| Pin::new(&mut content).poll_frame(cx)).await) };
        let silence = async {
            Timer::after(IMPORT_TIMEOUT).await;
            Err((StatusCode::REQUEST_TIMEOUT, "the content did not come in time; nothing was done"))
        };
        let Some(frame) = or(next, silence).await? else { break };
        let Ok(frame) = frame else {
            return Err((StatusCode::BAD_REQUEST, "the content has not come whole"));
        };
        let Some(piece) = frame.data_ref() else { continue };
        if bytes.len() + piece.len() > most {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, too_large));
        }
        // Its copies while it grows, and later the copy of its module.
        if let Some(memory) = &mut memory
            && !memory.take(2 * (bytes.len() + piece.len())).await
        {
            let words = "there is not enough memory for the file now (`--max-total-memory`)";
            return Err((StatusCode::SERVICE_UNAVAILABLE, words));
        }
        bytes.extend_from_slice(piece);
    }
    Ok(bytes)
}

/// The memory of an import or an export. A thread of rooms is charged for it.
pub(super) struct ImportMemory {
    workers: Workers,
    charges: Vec<RemoteCharge>,
    charged: usize,
}

/// The least that is charged at once.
const CHARGE: usize = 256 << 10;

impl ImportMemory {
    /// Charges so much in all. Returns false if there is not so much.
    async fn take(&mut self, bytes: usize) -> bool {
        if bytes <= self.charged {
            return true;
        }
        let more = (bytes - self.charged).max(CHARGE);
        let Ok(Some(charge)) = self.workers.charge(more).await else { return false };
        self.charges.push(charge);
        self.charged += more;
        true
    }
}

pub(super) fn wants_text(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes() == b"text/plain")
}

fn plain(lines: String) -> Answer {
    typed(StatusCode::OK, "text/plain; charset=utf-8", lines)
}

pub(super) fn no_such_room(id: &RoomId) -> Answer {
    text(StatusCode::NOT_FOUND, &format!("there is no room {id}"))
}

fn unreadable(reason: &str) -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, &format!("the room cannot be read: {reason}"))
}

/// Returns a page of the list, as text or as JSON.
fn page_of_rooms(rooms: &[KeptRoom], has_more: bool, limit: usize, headers: &HeaderMap) -> Answer {
    let next = rooms.last().filter(|_| has_more).map(|room| &*room.id);
    if !wants_text(headers) {
        let rooms: Value = rooms.iter().map(|room| object(fields(room))).collect();
        return json(vec![("rooms", rooms), ("next", next.into())]);
    }
    let lines: String = rooms.iter().map(|room| format!("{room}\n")).collect();
    let mut answer = plain(lines);
    if let Some(next) = next.and_then(|id| RoomId::new(id).ok())
        && let Ok(link) =
            HeaderValue::try_from(format!("</rooms?after={}&limit={limit}>; rel=\"next\"", next.to_path()))
    {
        answer.headers_mut().insert(LINK, link);
    }
    answer
}

/// Returns the fields of a room in the list.
fn fields(room: &KeptRoom) -> Vec<(&'static str, Value)> {
    let loaded = room.loaded.as_ref();
    let clients = loaded.map_or(&[][..], |loaded| &loaded.clients);
    let mut fields = vec![
        ("id", (&*room.id).into()),
        ("clients", clients.iter().map(|client| client.0).collect()),
        ("hibernates", loaded.is_some_and(|LoadedRoom { hibernates, .. }| *hibernates).into()),
    ];
    // Without rooms on disk, all are in memory, and nothing more is known of them.
    if let Some((base, events)) = room.base_bytes.zip(room.event_bytes) {
        fields.extend([
            ("in_memory", (!room.is_unknown).then_some(loaded.is_some()).into()),
            ("module", room.module.map(|hash| hex(&hash)).into()),
            ("base_bytes", base.into()),
            ("event_bytes", events.into()),
            ("timer_due", room.timer_due.into()),
        ]);
    }
    fields
}

/// Returns the fields of a room that is shown.
fn details(details: &RoomDetails) -> Vec<(&'static str, Value)> {
    let mut fields = fields(&details.room);
    fields.push(("quarantined", (details.memory == RoomMemory::Quarantined).into()));
    if let Some(history) = &details.history {
        fields.extend([
            ("base_is_snapshot", history.is_snapshot.into()),
            ("base_version", (&*history.host_version).into()),
            ("events", history.events.into()),
            ("members", history.members.iter().map(|client| client.0).collect()),
        ]);
    }
    fields
}
