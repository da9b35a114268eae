//! Does in rooms what the operator wants, and lets it watch them.

use std::time::Instant;

use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
};
use stateroom_core::{
    ClientId,
    abi::{CLOSE_REASON_SIZE, is_close_code},
};

use crate::{
    close::CloseReason,
    requests::{all_parameters, ending, json, not_allowed, text},
    room::{Action, Announcement, NotDone, RoomId},
    worker::Ending,
};

use super::{
    Answer, Control, Reach,
    kept::{no_such_room, read},
};

/// The most bytes of a message of the operator.
const LARGEST: usize = 1 << 20;

/// The codes with which the operator closes clients and rooms, if no other one is asked for.
const KICKED: (u16, &str) = (1008, "the operator has closed the connection");
const CLOSED: (u16, &str) = (1001, "the room has ended");

/// A part of a room that a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RoomPart<'a> {
    room: &'a str,
    part: Part<'a>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Client(&'a str),
    Close,
    Events,
    Messages,
}

impl<'a> RoomPart<'a> {
    /// Reads what comes behind `/rooms/` in a path. Returns `None` if it is no part of a room. A slash in an id is encoded.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let (room, part) = path.split_once('/')?;
        let part = match part {
            "close" => Part::Close,
            "events" => Part::Events,
            "messages" => Part::Messages,
            part => Part::Client(part.strip_prefix("clients/")?),
        };
        Some(Self { room, part })
    }
}

impl Control {
    /// Returns the answer to a request of the operator without the token, if it needs one. The playground of `dev` needs none.
    pub(super) fn refuse_without_token<B>(&self, request: &Request<B>, reach: Reach) -> Option<Answer> {
        let token = self.token.as_ref().filter(|_| !matches!(reach, Reach::Public(_)))?;
        let given = request.headers().get(AUTHORIZATION);
        if given.is_some_and(|given| token.is_in(given.as_bytes())) {
            return None;
        }
        let words = match given {
            None => "this needs the operator's token: send it as `Authorization: Bearer TOKEN`",
            Some(_) => {
                if let Some(requests) = self.wrong_tokens.count(Instant::now()) {
                    log::warn!(
                        "requests with a wrong operator's token: {requests}; somebody may be guessing it, or a program has an old one"
                    );
                }
                "this is not the operator's token"
            }
        };
        let mut answer = text(StatusCode::UNAUTHORIZED, words);
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Some(answer)
    }

    /// Answers a request for a part of a room.
    pub(super) async fn answer_part<B>(
        &self,
        RoomPart { room, part }: RoomPart<'_>,
        request: &Request<B>,
    ) -> Result<Answer, Ending> {
        let room = match RoomId::from_path(room) {
            Ok(room) => room,
            Err(reason) => return Ok(text(StatusCode::BAD_REQUEST, reason)),
        };
        match (part, request.method()) {
            (Part::Events, &Method::GET) => Ok(self.watch(room)),
            (Part::Events, _) => Ok(not_allowed("GET")),
            (Part::Close, &Method::POST) => match reason(request, CLOSED) {
                Ok(reason) => self.act(&room, Action::Close(reason)).await,
                Err(words) => Ok(text(StatusCode::BAD_REQUEST, &words)),
            },
            (Part::Client(client), &Method::DELETE) => match (client.parse(), reason(request, KICKED)) {
                (Ok(client), Ok(reason)) => self.act(&room, Action::Kick(ClientId(client), reason)).await,
                (Err(_), _) => Ok(text(StatusCode::BAD_REQUEST, "the id of a client is a number")),
                (_, Err(words)) => Ok(text(StatusCode::BAD_REQUEST, &words)),
            },
            (Part::Client(_), _) => Ok(not_allowed("DELETE")),
            // With content, it is answered before.
            (Part::Close | Part::Messages, _) => Ok(not_allowed("POST")),
        }
    }

    /// `POST /rooms/ID/messages`: sends the content to all clients of a room.
    pub(super) async fn answer_message(&self, id: &str, request: &Request<()>, content: Incoming) -> Answer {
        let room = match RoomId::from_path(id) {
            Ok(room) => room,
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        let content = match read(content, LARGEST, "a message of the operator has at most 1 MiB", None).await
        {
            Ok(content) => content,
            Err((status, words)) => return text(status, words),
        };
        let is_binary = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|content_type| content_type.as_bytes() == b"application/octet-stream");
        let message = match (is_binary, String::from_utf8(content)) {
            (true, content) => {
                Announcement::Bytes(content.map_or_else(|error| error.into_bytes(), String::into_bytes))
            }
            (false, Ok(content)) => Announcement::Text(content),
            (false, Err(_)) => {
                let words = "a text is UTF-8; a binary message has the type `application/octet-stream`";
                return text(StatusCode::BAD_REQUEST, words);
            }
        };
        self.act(&room, Action::Send(message)).await.unwrap_or_else(|Ending| ending())
    }

    async fn act(&self, room: &RoomId, action: Action) -> Result<Answer, Ending> {
        Ok(match self.workers.act(room, action).await? {
            Ok(clients) => json(vec![("clients", clients.into())]),
            Err(NotDone::NoRoom) => no_such_room(room),
            Err(NotDone::NoClient) => text(StatusCode::NOT_FOUND, "the room has no such client"),
            Err(NotDone::NotRestored) => text(
                StatusCode::CONFLICT,
                "the room cannot be restored from the disk; the server's log says why",
            ),
            Err(NotDone::TooLarge) => text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the message is larger than what may wait for a client (`--max-outbox-size`)",
            ),
            Err(NotDone::OutOfMemory) => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the server has no memory for the message")
            }
            Err(NotDone::Ending) => return Err(Ending),
        })
    }

    /// `GET /rooms/ID/events`: what happens in a room, as long as the client listens.
    fn watch(&self, room: RoomId) -> Answer {
        match self.open_stream() {
            Ok((sender, response)) => {
                self.workers.trace(room, sender);
                response
            }
            Err(refusal) => *refusal,
        }
    }
}

/// Returns the reason with which clients are closed: the one that the query has, or this one.
///
/// # Errors
/// Says in a sentence what is wrong with the query.
fn reason<B>(request: &Request<B>, (code, words): (u16, &str)) -> Result<CloseReason, String> {
    let (mut wanted, mut reason) = (None, None);
    for parameter in all_parameters(request.uri().query().unwrap_or("")) {
        let (name, value) = parameter?;
        let is_second = match &*name {
            "code" => {
                let code = value.parse().ok().filter(|code: &u16| is_close_code((*code).into()));
                wanted.replace(code.ok_or("`code` is 1000, or a number from 3000 to 4999")?).is_some()
            }
            "reason" if value.len() > CLOSE_REASON_SIZE => {
                return Err(format!("`reason` has {} bytes, and {CLOSE_REASON_SIZE} fit", value.len()));
            }
            "reason" => reason.replace(value.into_owned()).is_some(),
            _ => return Err("there are the parameters `code` and `reason`".to_owned()),
        };
        if is_second {
            return Err("a parameter is there twice; give it once".to_owned());
        }
    }
    Ok(CloseReason::ByOperator {
        code: wanted.unwrap_or(code),
        reason: reason.unwrap_or_else(|| words.to_owned()).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_a_part_of_a_room() {
        let part = |room, part| Some(RoomPart { room, part });
        assert_eq!(RoomPart::of("a%2Fb/clients/3"), part("a%2Fb", Part::Client("3")));
        assert_eq!(RoomPart::of("clients/close"), part("clients", Part::Close));
        assert_eq!(RoomPart::of("a/events"), part("a", Part::Events));
        for path in ["a", "a/", "a/other", "a/clients"] {
            assert_eq!(RoomPart::of(path), None, "{path}");
        }
    }

    #[test]
    fn clients_are_closed_with_codes_that_rooms_may_use() {
        let reason = |query: &str| {
            let request = Request::builder().uri(format!("/rooms/a/close?{query}")).body(()).unwrap();
            reason(&request, CLOSED).map(|reason| (reason.code(), reason.words().to_owned()))
        };
        assert_eq!(reason(""), Ok((Some(1001), "the room has ended".into())));
        assert_eq!(reason("code=4000&reason=a+b"), Ok((Some(4000), "a b".into())));
        assert_eq!(reason("reason="), Ok((Some(1001), String::new())));
        for query in ["code=1001", "code=5000", "code=", "kode=1000", "code=1000&code=1000"] {
            assert!(reason(query).is_err(), "{query}");
        }
        assert!(reason(&format!("reason={}", "a".repeat(124))).unwrap_err().contains("123"));
    }
}
