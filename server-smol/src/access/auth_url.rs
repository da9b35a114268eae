use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{
    Uri,
    header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, ORIGIN, USER_AGENT},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use smol::{lock::Semaphore, unblock};

use super::{
    Claims, Denial, EntryRequest, Refused,
    exchange::{Answer, exchange},
    queue::Queue,
};

/// A URL of the operator's that says who may enter. `docs/guide/access.md` describes the request and the answers.
///
/// ```
/// use stateroom_server_smol::{Access, AuthUrl, Server};
///
/// let url: AuthUrl = "http://127.0.0.1:9000/may-enter".parse()?;
/// let server = Server::new().with_access(Some(Access::with_url(url)));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone)]
pub struct AuthUrl(Arc<Inner>);

struct Inner {
    /// The host and the port of `Host`.
    authority: Box<str>,
    host: Box<str>,
    port: u16,
    path: Box<str>,
    /// The time for which an answer is used again.
    kept: Duration,
    /// Bounds the clients that wait for an answer.
    queue: Queue,
    /// Bounds the questions that are asked at a time.
    asking: Arc<Semaphore>,
    cache: Mutex<Cache>,
    /// True if the last question had no answer that counts.
    is_failing: AtomicBool,
}

/// The answers of the last seconds, by the hashes of their questions.
#[derive(Default)]
struct Cache {
    answers: HashMap<[u8; 32], (Instant, Verdict)>,
    /// The size of the claims in it, in bytes.
    size: usize,
}

/// An answer that is kept.
type Verdict = Result<Claims, u16>;

/// The most questions that are asked at a time. Others wait.
const MOST_QUESTIONS: usize = 16;

/// The most answers that are kept, and the most bytes of claims in them.
const MOST_ANSWERS: usize = 4_096;
const MOST_BYTES: usize = 1 << 20;

/// The headers of clients that are passed on, beside `Authorization`.
const PASSED: [HeaderName; 3] = [COOKIE, ORIGIN, USER_AGENT];

impl AuthUrl {
    /// Sets the time for which an answer is used again, for the same client, room and token. Zero: each client is asked about. Default: 5 s.
    #[must_use]
    pub fn with_kept(self, time: Duration) -> Self {
        let Inner { authority, host, port, path, .. } = &*self.0;
        Self::of(authority.clone(), host.clone(), *port, path.clone(), time)
    }

    fn of(authority: Box<str>, host: Box<str>, port: u16, path: Box<str>, kept: Duration) -> Self {
        let asking = Arc::new(Semaphore::new(MOST_QUESTIONS));
        let (queue, cache, is_failing) = Default::default();
        Self(Arc::new(Inner { authority, host, port, path, kept, queue, asking, cache, is_failing }))
    }

    /// Asks who may enter. Who waits holds no copy of its request.
    pub(super) async fn ask(&self, request: &EntryRequest<'_>) -> Result<Claims, Refused> {
        let inner = &self.0;
        let hash = inner.hash(request);
        if let Some(verdict) = inner.cache().find(&hash, inner.kept) {
            return verdict.map_err(denial);
        }
        let _waits = inner.queue.enter(request.address).ok_or(Refused::TooMany)?;
        let place = inner.asking.acquire_arc().await;
        let (host, port, question) = (inner.host.clone(), inner.port, inner.question(request));
        let answer = unblock(move || {
            // It keeps its place as long as it takes, also if nobody waits any more.
            let _place = place;
            exchange(&host, port, &question)
        });
        let answer = answer.await.map_err(|error| format!("it cannot be asked: {error}"));
        let verdict = answer.and_then(verdict);
        let was_failing = inner.is_failing.swap(verdict.is_err(), Ordering::Relaxed);
        let verdict = verdict.map_err(|reason| Refused::Unknown { reason, is_new: !was_failing })?;
        inner.cache().add(hash, &verdict, inner.kept);
        verdict.map_err(denial)
    }
}

impl Inner {
    fn hash(&self, request: &EntryRequest<'_>) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.write_question(request, &mut |part| hash.update(part));
        hash.finalize().into()
    }

    fn question(&self, request: &EntryRequest<'_>) -> Vec<u8> {
        let mut question = Vec::new();
        self.write_question(request, &mut |part| question.extend(part));
        question
    }

    /// Writes the request, piece by piece. It has all that the answer may depend on.
    fn write_question(&self, request: &EntryRequest<'_>, write: &mut dyn FnMut(&[u8])) {
        let EntryRequest { room, address, headers, .. } = request;
        let room = || utf8_percent_encode(room, NON_ALPHANUMERIC);
        let method = if request.creates { "POST" } else { "GET" };
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAccept: application/json\r\n\
             X-Forwarded-Method: {method}\r\nX-Forwarded-For: {address}\r\nX-Stateroom-Room: ",
            self.path, self.authority,
        );
        write(head.as_bytes());
        room().for_each(|part| write(part.as_bytes()));
        write(b"\r\nX-Forwarded-Uri: /ws/");
        room().for_each(|part| write(part.as_bytes()));
        if let Some(query) = &request.query {
            // It is a part of a URI, and has no line breaks.
            write(b"?");
            write(query.as_bytes());
        }
        let mut header = |name: &HeaderName, prefix: &str, value: &[u8]| {
            [b"\r\n", name.as_str().as_bytes(), b": ", prefix.as_bytes(), value]
                .iter()
                .for_each(|part| write(part));
        };
        for name in &PASSED {
            headers.get_all(name).iter().for_each(|value| header(name, "", value.as_bytes()));
        }
        match &request.token {
            // It counts, and not another one that the client has sent beside it.
            Some(token) if HeaderValue::from_str(token).is_ok() => {
                header(&AUTHORIZATION, "Bearer ", token.as_bytes());
            }
            Some(_) => {}
            None => headers
                .get_all(AUTHORIZATION)
                .iter()
                .for_each(|value| header(&AUTHORIZATION, "", value.as_bytes())),
        }
        write(b"\r\n\r\n");
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn find(&self, hash: &[u8; 32], kept: Duration) -> Option<Verdict> {
        let (since, verdict) = self.answers.get(hash)?;
        (since.elapsed() < kept).then(|| verdict.clone())
    }

    fn add(&mut self, hash: [u8; 32], verdict: &Verdict, kept: Duration) {
        if kept.is_zero() {
            return;
        }
        let size = |verdict: &Verdict| verdict.as_ref().map_or(0, Claims::size);
        if self.answers.len() >= MOST_ANSWERS || self.size + size(verdict) > MOST_BYTES {
            self.answers.retain(|_, (since, _)| since.elapsed() < kept);
            self.size = self.answers.values().map(|(_, verdict)| size(verdict)).sum();
            // All of them are new. Asking again does no harm.
            if self.answers.len() >= MOST_ANSWERS || self.size + size(verdict) > MOST_BYTES {
                *self = Self::default();
            }
        }
        self.size += size(verdict);
        if let Some((_, old)) = self.answers.insert(hash, (Instant::now(), verdict.clone())) {
            self.size -= size(&old);
        }
    }
}

/// Reads an answer.
///
/// # Errors
/// It says neither that the client may enter nor that it may not.
fn verdict(answer: Answer) -> Result<Verdict, String> {
    let Answer { status, content } = answer;
    match status {
        200..=299 if content.trim_ascii().is_empty() => Claims::from_json("{}").map(Ok),
        200..=299 => {
            let claims = str::from_utf8(&content).map_err(|_| "its answer is not UTF-8".to_owned());
            let claims = claims.and_then(Claims::from_json);
            claims.map(Ok).map_err(|reason| format!("its answer is not understood: {reason}"))
        }
        401 | 403 => Ok(Err(status)),
        _ => Err(format!("its status is {status}, and not 200, 401 or 403")),
    }
}

fn denial(status: u16) -> Refused {
    Refused::Denied(match status {
        401 => Denial::Unauthenticated("you have to sign in to enter".to_owned()),
        _ => Denial::Forbidden("you may not enter this room".to_owned()),
    })
}

impl FromStr for AuthUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: Uri =
            text.parse().map_err(|_| "is not a URL such as http://127.0.0.1:9000/may-enter".to_owned())?;
        match (url.scheme_str(), url.authority()) {
            (Some("http"), Some(authority)) if !authority.as_str().contains('@') => {
                let host = authority.host();
                let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                let path = url.path_and_query().map_or("/", |path| path.as_str());
                let port = match authority.port_u16() {
                    Some(port) => port,
                    None if authority.as_str() == authority.host() => 80,
                    None => return Err("has a port that is not from 1 to 65535".to_owned()),
                };
                Ok(Self::of(authority.as_str().into(), host.into(), port, path.into(), Duration::from_secs(5)))
            }
            (Some("http"), _) => Err("has a password in it, which others could see: let the server behind it ask for none".to_owned()),
            (Some("https"), _) => Err("begins with https, and this server asks over http alone: give the address of a server on this machine or in a private network, or of a proxy there that speaks TLS".to_owned()),
            _ => Err("is not a URL such as http://127.0.0.1:9000/may-enter".to_owned()),
        }
    }
}

impl fmt::Debug for AuthUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuthUrl").field(&self.0.authority).field(&self.0.path).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_and_has_no_password() {
        for (text, host, port, path) in [
            ("http://127.0.0.1:9000/may-enter?x=1", "127.0.0.1", 9000, "/may-enter?x=1"),
            ("http://auth", "auth", 80, "/"),
            ("http://[::1]:1/", "::1", 1, "/"),
        ] {
            let url: AuthUrl = text.parse().unwrap();
            assert_eq!((&*url.0.host, url.0.port, &*url.0.path), (host, port, path));
        }
        for (text, said) in [
            ("https://auth/", "http alone"),
            ("http://ada:secret@auth/", "password"),
            ("auth", "http://"),
            ("", "http://"),
            ("ftp://auth/", "http://"),
            ("http://auth:90000/", "port"),
            ("http://auth:/", "port"),
            ("http://[::1]:x/", "http://"),
        ] {
            let error = text.parse::<AuthUrl>().unwrap_err();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = Cache::default();
        let claims = Claims::of([("a", &*"x".repeat(2_000))]).unwrap();
        let kept = Duration::from_secs(1_000);
        for number in 0..20_000_u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            let verdict = if number % 2 == 0 { Ok(claims.clone()) } else { Err(403) };
            cache.add(hash, &verdict, kept);
            assert_eq!(cache.find(&hash, kept), Some(verdict));
            assert_eq!(cache.find(&hash, Duration::ZERO), None);
            assert!(cache.answers.len() <= MOST_ANSWERS && cache.size <= MOST_BYTES);
        }
    }

    #[test]
    fn only_clear_answers_count() {
        let verdict = |status, content: &str| verdict(Answer { status, content: content.into() });
        assert_eq!(verdict(204, ""), Ok(Ok(Claims::from_json("{}").unwrap())));
        assert_eq!(verdict(200, "{\"sub\":\"a\"}\n"), Ok(Ok(Claims::of([("sub", "a")]).unwrap())));
        assert_eq!(verdict(401, "x"), Ok(Err(401)));
        assert_eq!(verdict(403, ""), Ok(Err(403)));
        for (status, content) in
            [(200, "yes"), (200, "[]"), (302, ""), (404, ""), (500, ""), (200, "{\"a\":1,\"a\":2}")]
        {
            assert!(verdict(status, content).is_err(), "{status} {content}");
        }
    }
}
