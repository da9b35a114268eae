use hyper::{
    Method, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, LOCATION},
};
use stateroom_sdk_core::engine::EngineFactory;

use crate::{
    room_id::RoomId,
    settings::RoomIds,
    worker::{Command, CreateError},
};

use super::{
    Site,
    body::{Body, text},
    ending, not_allowed,
};

impl<F: EngineFactory> Site<F> {
    /// `POST /new_room`: creates a room under a new id.
    pub(super) async fn new_room(&self, method: &Method) -> Response<Body> {
        if method != Method::POST {
            return not_allowed("POST");
        }
        loop {
            let Ok(room) = RoomId::generate(self.shared.settings.room_ids.generated()) else {
                return text(StatusCode::INTERNAL_SERVER_ERROR, "the system has no random numbers");
            };
            match self.create(&room).await {
                // Rarer than anything else that can go wrong, but an existing room is not a new one.
                Some(Err(CreateError::Exists)) => {}
                created => return answer(created, &room),
            }
        }
    }

    /// `POST /ws/{room}`: creates a room under a given id.
    pub(super) async fn create_room(&self, room: RoomId) -> Response<Body> {
        if let RoomIds::Generated(_) = self.shared.settings.room_ids {
            return text(
                StatusCode::FORBIDDEN,
                "rooms have generated ids here: POST /new_room creates one and answers with its id",
            );
        }
        answer(self.create(&room).await, &room)
    }

    async fn create(&self, room: &RoomId) -> Option<Result<(), CreateError>> {
        Self::ask(self.worker(room), |answer| Command::Create(room.clone(), answer)).await
    }
}

fn answer(created: Option<Result<(), CreateError>>, room: &RoomId) -> Response<Body> {
    match created {
        Some(Ok(())) => {
            let mut response = text(StatusCode::CREATED, room.as_str());
            let headers = response.headers_mut();
            if let Ok(location) = HeaderValue::try_from(format!("/ws/{}", room.to_path())) {
                headers.insert(LOCATION, location);
            }
            // Whoever may open a WebSocket from another site may create its room, too.
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            response
        }
        Some(Err(CreateError::Exists)) => text(StatusCode::CONFLICT, "the room exists"),
        Some(Err(CreateError::TooMany)) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "the server has no space for another room")
        }
        Some(Err(CreateError::Failed)) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, "the room failed; the server's log says why")
        }
        None => ending(),
    }
}
