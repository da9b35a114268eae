use hyper::{
    Method, Request, StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};

use crate::{
    requests::{EventSender, all_parameters, built_in, ending, later, not_allowed, redirect, text},
    room::RoomId,
    settings::{NoticeReceiver, Playground},
    worker::NoStream,
};

use super::{Answer, Control};

/// The page loads nothing from elsewhere, and no page of others shows it in a frame. Its clients connect to rooms at any address.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src data:; connect-src 'self' ws: wss:; frame-ancestors 'none'",
);

impl Control {
    /// Answers a request for the stream of events.
    pub(super) fn answer_events<B>(&self, playground: &Playground, request: &Request<B>) -> Answer {
        if *request.method() == Method::GET { self.events(playground, request) } else { not_allowed("GET") }
    }

    /// `GET /_/events?room=ID`: the notices of the program, and the records of a room, as long as the client listens.
    fn events<B>(&self, playground: &Playground, request: &Request<B>) -> Answer {
        let room = match room_of(request.uri().query().unwrap_or("")) {
            Ok(room) => room,
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        let (sender, response) = match self.open_stream() {
            Ok(stream) => stream,
            Err(refusal) => return *refusal,
        };
        playground.notices().subscribe(NoticeSender(sender.clone()));
        if let Some(room) = room {
            self.workers.trace(room, sender);
        }
        response
    }

    /// Makes a response that goes on as long as the client listens, and the sender of what is in it.
    ///
    /// # Errors
    /// The answer, if there is no place for another one.
    pub(super) fn open_stream(&self) -> Result<(EventSender, Answer), Box<Answer>> {
        self.workers.open_stream().map_err(|reason| {
            Box::new(match reason {
                NoStream::TooMany => busy(),
                NoStream::Ending => ending(),
            })
        })
    }
}

/// Returns a file of the playground, if the request for this path below `/_` is for one.
pub(super) fn page_file<B>(playground: &Playground, path: &str, request: &Request<B>) -> Option<Answer> {
    // So that relative links in the page lead where they should. Not for good: another program may have this port later.
    if path.is_empty() {
        return Some(redirect(StatusCode::FOUND, "/_/"));
    }
    let mut response = built_in(playground.files(), request)?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    Some(response)
}

/// Returns the part of a path below `/_`, if it is one of the playground's. Others there are those of static files.
pub(super) fn playground_path<'a>(playground: &Playground, path: &'a str) -> Option<&'a str> {
    let path = path.strip_prefix("/_")?;
    let is_file = || playground.files().iter().any(|file| path.strip_prefix('/') == Some(file.name()));
    let is_known = matches!(path, "" | "/" | "/events" | "/status" | "/rooms") || path.starts_with("/rooms/");
    (is_known || is_file()).then_some(path)
}

/// Passes notices on as events.
struct NoticeSender(EventSender);

impl NoticeReceiver for NoticeSender {
    fn receive(&mut self, name: &str, value: &str) {
        // What would be dropped is lost for good. A browser connects again, and then gets the present values.
        if self.0.is_full() {
            return self.0.close();
        }
        self.0.send(name, value);
    }

    fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// Returns the room that is asked for, if one is.
fn room_of(query: &str) -> Result<Option<RoomId>, &'static str> {
    let mut room = None;
    for parameter in all_parameters(query) {
        let (name, value) = parameter?;
        if name != "room" {
            return Err("there is the parameter `room`");
        }
        if room.replace(RoomId::new(&value)?).is_some() {
            return Err("`room` is there twice; give it once");
        }
    }
    Ok(room)
}

fn busy() -> Answer {
    later(StatusCode::SERVICE_UNAVAILABLE, "there are as many streams of events as there may be", 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::BuiltIn;

    #[test]
    fn the_page_sends_requests_to_this_server_alone_and_connects_to_rooms_anywhere() {
        const FILES: &[BuiltIn] = &[BuiltIn::new("index.html", b"1"), BuiltIn::new("main.js", b"2")];
        let playground = Playground::new(FILES);
        for path in ["/", "/main.js"] {
            let request = Request::builder().uri(format!("/_{path}")).body(()).unwrap();
            let file = page_file(&playground, path, &request).expect("it is there");
            let policy = file.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.contains("connect-src 'self' ws: wss:;"), "{policy}");
            assert!(
                policy.contains("default-src 'self';") && policy.contains("frame-ancestors 'none'"),
                "{policy}"
            );
            assert_eq!(file.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(file.headers()[REFERRER_POLICY], "same-origin");
        }
    }

    #[test]
    fn a_stream_is_for_one_room_at_most() {
        let room = |id| Ok(Some(RoomId::new(id).unwrap()));
        assert_eq!(room_of(""), Ok(None));
        assert_eq!(room_of("room=a%2Fb+c"), room("a/b c"));
        for (query, problem) in
            [("room=a&room=b", "twice"), ("romm=a", "parameter"), ("room=", ""), ("room=%ff", "UTF-8")]
        {
            assert!(room_of(query).unwrap_err().contains(problem), "{query}");
        }
    }
}
