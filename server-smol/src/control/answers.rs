use hyper::{Method, Request, StatusCode};
use serde_json::Value;

use crate::{
    close::CloseReason,
    requests::{all_parameters, ending, json, not_allowed, object, text, typed},
    room::{CreateRoomError, RoomId},
    worker::{Ending, MOST_LISTED},
};

#[cfg(feature = "wasm")]
use super::modules;
use super::{Answer, Control, READY, ready};
#[cfg(feature = "rooms")]
use super::{actions::RoomPart, kept::wants_text};

/// The default number of rooms on a page.
const ROOMS: usize = 100;

/// The methods for a room.
const METHODS: &str = if cfg!(feature = "rooms") { "DELETE, GET, POST" } else { "DELETE, POST" };

impl Control {
    /// Answers a request for one of the paths that the operator knows.
    pub(super) async fn answer_path<B>(&self, path: &str, request: &Request<B>) -> Answer {
        self.dispatch(path, request).await.unwrap_or_else(|Ending| ending())
    }

    async fn dispatch<B>(&self, path: &str, request: &Request<B>) -> Result<Answer, Ending> {
        let method = request.method();
        match path {
            READY => Ok(ready(self.workers.phase(), method)),
            "/status" if method == Method::GET => self.status().await,
            #[cfg(feature = "metrics")]
            "/metrics" if method == Method::GET => self.metrics().await,
            #[cfg(feature = "metrics")]
            "/metrics" => Ok(not_allowed("GET")),
            "/rooms" if method == Method::GET => self.rooms(request).await,
            // A file that is posted to `/rooms` is taken before.
            "/status" | "/rooms" => Ok(not_allowed("GET")),
            #[cfg(feature = "wasm")]
            "/reload" if method == Method::POST => Ok(self.reload().await),
            #[cfg(feature = "wasm")]
            "/reload" => Ok(not_allowed("POST")),
            // A slash in an id is encoded.
            path if let Some(id) =
                path.strip_prefix("/rooms/").and_then(|path| path.strip_suffix("/recording")) =>
            {
                match RoomId::from_path(id) {
                    Err(reason) => Ok(text(StatusCode::BAD_REQUEST, reason)),
                    Ok(room) if method == Method::GET => self.recording(&room).await,
                    Ok(_) => Ok(not_allowed("GET")),
                }
            }
            #[cfg(feature = "rooms")]
            path if let Some(id) =
                path.strip_prefix("/rooms/").and_then(|path| path.strip_suffix("/export")) =>
            {
                match RoomId::from_path(id) {
                    Err(reason) => Ok(text(StatusCode::BAD_REQUEST, reason)),
                    Ok(room) if method == Method::GET => self.export(&room).await,
                    Ok(_) => Ok(not_allowed("GET")),
                }
            }
            #[cfg(feature = "rooms")]
            path if let Some(part) = path.strip_prefix("/rooms/").and_then(RoomPart::of) => {
                self.answer_part(part, request).await
            }
            path => match path.strip_prefix("/rooms/").map(RoomId::from_path) {
                None => Ok(text(
                    StatusCode::NOT_FOUND,
                    "there are /ready, /status, /metrics, /rooms, /rooms/{room}, /rooms/{room}/clients/{client}, /rooms/{room}/close, /rooms/{room}/events, /rooms/{room}/export, /rooms/{room}/messages, /rooms/{room}/recording and /reload",
                )),
                Some(Err(reason)) => Ok(text(StatusCode::BAD_REQUEST, reason)),
                #[cfg(feature = "rooms")]
                Some(Ok(room)) if method == Method::GET => self.room(&room, request.headers()).await,
                Some(Ok(room)) if method == Method::POST => self.create(&room).await,
                Some(Ok(room)) if method == Method::DELETE => self.close(&room).await,
                Some(Ok(_)) => Ok(not_allowed(METHODS)),
            },
        }
    }

    /// `GET /status`: how much there is.
    async fn status(&self) -> Result<Answer, Ending> {
        let counts = self.workers.counts().await?;
        #[cfg(feature = "wasm")]
        let modules = self.deployment.as_ref().map(|deployment| modules::modules(deployment));
        #[cfg(not(feature = "wasm"))]
        let modules = None::<Value>;
        Ok(json(vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("uptime_seconds", self.started.elapsed().as_secs().into()),
            ("rooms", counts.rooms.into()),
            ("hibernating_rooms", counts.hibernating_rooms.into()),
            ("clients", counts.clients.into()),
            ("memory", counts.memory.into()),
            ("peak_memory", counts.peak_memory.into()),
            ("memory_limit", counts.memory_limit.into()),
            ("awake_memory", counts.awake_memory.into()),
            ("p99_pass_us", counts.p99_pass.into()),
            ("longest_pass_us", counts.p99_pass.map(|_| counts.longest_pass).into()),
            ("address", self.address.as_ref().map(ToString::to_string).into()),
            ("modules", modules.into()),
        ]))
    }

    /// `GET /rooms?after=ID&limit=N`: the rooms, page by page.
    async fn rooms<B>(&self, request: &Request<B>) -> Result<Answer, Ending> {
        let page = match Page::of(request.uri().query().unwrap_or("")) {
            Ok(page) => page,
            Err(reason) => return Ok(text(StatusCode::BAD_REQUEST, reason)),
        };
        #[cfg(feature = "rooms")]
        if self.workers.kept_rooms().is_some() || wants_text(request.headers()) {
            return self.all_rooms(page, request.headers()).await;
        }
        let Page { after, limit } = page;
        let mut rooms = self.workers.list(after.as_ref(), limit + 1).await?;
        let has_more = rooms.len() > limit;
        rooms.truncate(limit);
        let next = rooms.last().filter(|_| has_more).map(|room| room.id.as_str());
        let list: Value = rooms
            .iter()
            .map(|room| {
                object(vec![
                    ("id", room.id.as_str().into()),
                    ("clients", room.clients.iter().map(|client| u32::from(*client)).collect()),
                    ("hibernates", room.hibernates.into()),
                ])
            })
            .collect();
        Ok(json(vec![("rooms", list), ("next", next.into())]))
    }

    /// `POST /reload`: loads the module again.
    #[cfg(feature = "wasm")]
    async fn reload(&self) -> Answer {
        let Some(deployment) = &self.deployment else {
            return text(StatusCode::NOT_FOUND, "this server has no module");
        };
        match modules::reload(deployment, &self.workers).await {
            Ok(renewals) => {
                let crate::room::Renewals { loaded, replayed, fresh, kept } = &renewals;
                log::info!(
                    "replaced the module; rooms: {} with their saved state, {} with their events replayed, {} afresh, {} on their module",
                    loaded.count,
                    replayed.count,
                    fresh.count,
                    kept.count,
                );
                json(modules::renewals(&renewals))
            }
            Err(reason) => {
                log::error!("the previous module is still served: {reason}");
                text(StatusCode::UNPROCESSABLE_ENTITY, &reason)
            }
        }
    }

    /// `POST /rooms/ID`: creates a room.
    async fn create(&self, room: &RoomId) -> Result<Answer, Ending> {
        Ok(match self.workers.create(room).await? {
            Ok(()) => {
                log::info!("the operator has created room {room}");
                text(StatusCode::CREATED, room.as_str())
            }
            Err(CreateRoomError::Exists) => text(StatusCode::CONFLICT, "the room exists"),
            Err(CreateRoomError::Failed) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, "the room failed; the server's log says why")
            }
            Err(error @ (CreateRoomError::TooMany | CreateRoomError::OutOfMemory)) => {
                text(StatusCode::SERVICE_UNAVAILABLE, CloseReason::from(error).words())
            }
        })
    }

    /// `GET /rooms/ID/recording`: the room's events up to now.
    async fn recording(&self, room: &RoomId) -> Result<Answer, Ending> {
        Ok(match self.workers.recording(room).await? {
            Some(recording) => typed(StatusCode::OK, "application/octet-stream", recording),
            None => text(StatusCode::NOT_FOUND, "there is no such room, or it is not recorded"),
        })
    }

    /// `DELETE /rooms/ID`: ends a room.
    async fn close(&self, room: &RoomId) -> Result<Answer, Ending> {
        Ok(match self.workers.close(room).await? {
            Ok(true) => {
                log::info!("the operator has deleted room {room}");
                text(StatusCode::OK, "the room has ended")
            }
            Ok(false) => text(StatusCode::NOT_FOUND, &format!("there is no room {room}")),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, &reason),
        })
    }
}

/// The rooms that are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) after: Option<RoomId>,
    pub(super) limit: usize,
}

impl Page {
    fn of(query: &str) -> Result<Self, &'static str> {
        let (mut after, mut limit) = (None, None);
        for parameter in all_parameters(query) {
            let (name, value) = parameter?;
            let is_second = match &*name {
                "after" => after.replace(RoomId::new(&value)?).is_some(),
                "limit" => {
                    let number = value.parse().ok().filter(|number| (1..=MOST_LISTED).contains(number));
                    limit.replace(number.ok_or("`limit` is a number from 1 to 1000")?).is_some()
                }
                _ => return Err("there are the parameters `after` and `limit`"),
            };
            if is_second {
                return Err("a parameter is there twice; give it once");
            }
        }
        Ok(Self { after, limit: limit.unwrap_or(ROOMS) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_at_most_a_thousand_rooms() {
        let page =
            |after: Option<&str>, limit| Ok(Page { after: after.map(|id| RoomId::new(id).unwrap()), limit });
        assert_eq!(Page::of(""), page(None, 100));
        assert_eq!(Page::of("limit=1000&after=a%2Fb+c"), page(Some("a/b c"), 1_000));
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=", "after=", "befor=a"] {
            assert!(Page::of(query).is_err(), "{query}");
        }
        for query in ["limit=3&limit=4", "after=a&after=a"] {
            assert!(Page::of(query).unwrap_err().contains("twice"), "{query}");
        }
        assert!(Page::of("after=%ff").unwrap_err().contains("UTF-8"));
        assert_eq!(Page::of("&limit=7&&"), page(None, 7));
    }
}
