use hyper::{
    Method, Request, Response, StatusCode,
    header::{HeaderValue, LOCATION},
};
use stateroom_core::engine::EngineFactory;

use crate::{
    admission::TooFast,
    close::CloseReason,
    requests::{Body, ending, later, not_allowed, text},
    room::{CreateRoomError, RoomId},
    settings::RoomIds,
    worker::Ending,
};

use super::{Site, peer::Peer, refusal::LATER};

impl<F: EngineFactory> Site<F> {
    /// `POST /new_room`: creates a room under a new id.
    pub(super) async fn new_room<B>(&self, request: &Request<B>, peer: &Peer) -> Response<Body> {
        if request.method() != Method::POST {
            return not_allowed("POST");
        }
        let generate = || RoomId::generate(self.shared.settings.room_ids.generated());
        let no_random = || text(StatusCode::INTERNAL_SERVER_ERROR, "the system has no random numbers");
        let Ok(mut room) = generate() else { return no_random() };
        // This comes first: it also limits how many tokens can be tried.
        if let Err(error) = peer.create_room() {
            return self.too_fast(error);
        }
        #[cfg(feature = "auth")]
        if let Err(refusal) = self.admit(request, &room, peer).await {
            return *refusal;
        }
        loop {
            match self.create(&room).await {
                // Rarer than anything else that can go wrong, but an existing room is not a new one.
                Ok(Err(CreateRoomError::Exists)) => match generate() {
                    Ok(another) => room = another,
                    Err(_) => return no_random(),
                },
                created => return self.created(created, &room),
            }
        }
    }

    /// `POST /ws/{room}`: creates a room under a given id.
    pub(super) async fn create_room<B>(
        &self,
        request: &Request<B>,
        room: RoomId,
        peer: &Peer,
    ) -> Response<Body> {
        if let Err(error) = peer.create_room() {
            return self.too_fast(error);
        }
        #[cfg(feature = "auth")]
        if let Err(refusal) = self.admit(request, &room, peer).await {
            return *refusal;
        }
        #[cfg(not(feature = "auth"))]
        let _ = request;
        if let RoomIds::Generated(_) = self.shared.settings.room_ids {
            return text(
                StatusCode::FORBIDDEN,
                "rooms have generated ids here: POST /new_room creates one and answers with its id",
            );
        }
        self.created(self.create(&room).await, &room)
    }

    /// Creates a room that does not exist, on the thread that it is to live on.
    async fn create(&self, room: &RoomId) -> Result<Result<(), CreateRoomError>, Ending> {
        let (worker, number) = &self.here;
        if self.shared.control.workers.home(room) == *number {
            return Ok(worker.create(room.clone()).await);
        }
        self.shared.control.workers.create(room).await
    }

    fn created(&self, created: Result<Result<(), CreateRoomError>, Ending>, room: &RoomId) -> Response<Body> {
        match created {
            Ok(Ok(())) => {
                let mut response = text(StatusCode::CREATED, room.as_str());
                if let Ok(location) = HeaderValue::try_from(format!("/ws/{}", room.to_path())) {
                    response.headers_mut().insert(LOCATION, location);
                }
                response
            }
            Ok(Err(CreateRoomError::Exists)) => text(StatusCode::CONFLICT, "the room exists"),
            Ok(Err(error @ (CreateRoomError::TooMany | CreateRoomError::OutOfMemory))) => {
                let reason = CloseReason::from(error);
                self.count_refused(&reason);
                later(StatusCode::SERVICE_UNAVAILABLE, reason.words(), LATER)
            }
            Ok(Err(CreateRoomError::Failed)) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, "the room failed; the server's log says why")
            }
            Err(Ending) => ending(),
        }
    }

    fn too_fast(&self, error: TooFast) -> Response<Body> {
        let reason = CloseReason::TooManyNewRooms;
        self.count_refused(&reason);
        later(StatusCode::TOO_MANY_REQUESTS, reason.words(), error.seconds())
    }

    fn count_refused(&self, reason: &CloseReason) {
        let thread = self.here.0.thread();
        reason.limit().into_iter().for_each(|limit| thread.refuse(reason.label(), limit));
    }
}
