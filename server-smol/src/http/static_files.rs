use std::{
    io,
    path::{Component, Path, PathBuf},
    rc::Rc,
    time::{Duration, SystemTime},
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, IF_MODIFIED_SINCE, LAST_MODIFIED},
};
use percent_encoding::percent_decode_str;
use smol::fs::metadata;
use stateroom_core::engine::EngineFactory;

#[cfg(feature = "built-in")]
use super::Shared;
use crate::{
    close::CloseReason,
    requests::{Body, Download, later, media_type, not_allowed, redirect, text},
    thread::Cut,
};

use super::{Site, peer::Peer};

/// The time since its last change after which a file cannot change in the same second.
const SETTLED: Duration = Duration::from_secs(2);

/// The time after which to try again if there is no space for a download, in seconds.
const LATER: u64 = 5;

impl<F: EngineFactory> Site<F> {
    /// `GET /…`: a file that is built in, or one of the static directory.
    pub(super) async fn static_file(&self, request: &Request<Incoming>, peer: &Peer) -> Response<Body> {
        #[cfg(feature = "built-in")]
        if let Some(response) = crate::requests::built_in(self.shared.settings.built_in, request) {
            return response;
        }
        #[cfg(feature = "built-in")]
        // It is rare, and would take memory in each connection.
        if let Some(response) = Box::pin(self.playground(request)).await {
            return response;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET");
        }
        let url_path = request.uri().path();
        let not_found = || {
            let line = || format!("{} asks for {:?}: there is nothing", peer.address, Cut::new(url_path));
            self.here.0.thread().log.event(log::Level::Debug, line);
            text(StatusCode::NOT_FOUND, "there is nothing here; rooms are WebSockets at /ws/{room}")
        };
        let Some(path) = self.shared.settings.static_files.as_deref().and_then(|root| below(root, url_path))
        else {
            return not_found();
        };
        match self.send(path, request, peer).await {
            Ok(response) => response,
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidFilename => not_found(),
                io::ErrorKind::OutOfMemory => {
                    later(StatusCode::SERVICE_UNAVAILABLE, CloseReason::OutOfMemory.words(), LATER)
                }
                _ => {
                    let line = || format!("{:?} cannot be served: {error}", Cut::new(url_path));
                    self.here.0.thread().log.event(log::Level::Warn, line);
                    text(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "the file cannot be read; the server's log says why",
                    )
                }
            },
        }
    }

    /// Answers a request for the playground, if it is public. Without a page of its own, the playground is the page.
    #[cfg(feature = "built-in")]
    async fn playground(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let Shared { control, settings, .. } = &self.shared;
        if request.uri().path() == "/" && settings.static_files.is_none() && control.has_public_playground() {
            return Some(redirect(StatusCode::FOUND, "/_/"));
        }
        control.answer_public(request).await
    }

    async fn send(
        &self,
        mut path: PathBuf,
        request: &Request<Incoming>,
        peer: &Peer,
    ) -> io::Result<Response<Body>> {
        let mut found = metadata(&path).await?;
        if found.is_dir() {
            let url_path = request.uri().path();
            if !url_path.ends_with('/') {
                // So that relative links in the page lead where they should. A path that begins with `//` would
                // lead to another host.
                let to = format!("/{}/", url_path.trim_matches('/'));
                return Ok(redirect(StatusCode::MOVED_PERMANENTLY, &to));
            }
            path.push("index.html");
            found = metadata(&path).await?;
        }
        // Neither devices nor pipes, which a read may wait for without end.
        if !found.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let modified = found.modified().ok().filter(is_settled).and_then(http_time);
        if let (Some(modified), Some(since)) = (modified, since(request))
            && modified <= since
        {
            let mut response = Response::new(Body::from(Bytes::new()));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let media_type = media_type(&path);
        let content = if *request.method() == Method::HEAD {
            Body::from(Bytes::new())
        } else {
            let thread = self.here.0.thread();
            let Some(permit) = self.shared.downloads.take(thread.clock.now()) else {
                thread.log.refused("there are as many downloads as there may be (`--max-downloads`)");
                return Ok(later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "there are as many downloads as there may be",
                    LATER,
                ));
            };
            let permit = Rc::new(permit);
            peer.set_download(&permit);
            Download::open(path, found.len(), &thread.memory, permit).await?.into()
        };
        let mut response = Response::new(content);
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, found.len().into());
        // Always ask whether it is still the same: a page and its service change together.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(modified) = modified
            && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(modified))
        {
            headers.insert(LAST_MODIFIED, date);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Ok(response)
    }
}

/// Returns whether a file can be known by this time of its last change. Times in HTTP have no parts of a second, and a file that is
/// being edited may change again in the same one.
fn is_settled(modified: &SystemTime) -> bool {
    modified.elapsed().is_ok_and(|age| age >= SETTLED)
}

/// Returns the file that a URL's path names below `root`; nothing for a path that leads anywhere else.
fn below(root: &Path, url_path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(url_path).decode_utf8().ok()?;
    let mut path = root.to_owned();
    for part in decoded.split('/').filter(|part| !part.is_empty()) {
        let mut components = Path::new(part).components();
        match (components.next(), components.next()) {
            // Neither `..` nor a drive, nor hidden files such as `.git` and `.env`. One hidden directory is for others to read
            // (RFC 8615).
            (Some(Component::Normal(name)), None)
                if name == part && (!part.starts_with('.') || part == ".well-known") =>
            {
                path.push(name)
            }
            _ => return None,
        }
    }
    Some(path)
}

fn since(request: &Request<Incoming>) -> Option<SystemTime> {
    let value = request.headers().get(IF_MODIFIED_SINCE)?.to_str().ok()?;
    httpdate::parse_http_date(value).ok()
}

/// Returns a time as HTTP dates can tell it: in whole seconds, not before 1970, and in a year of four digits.
fn http_time(time: SystemTime) -> Option<SystemTime> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    (seconds < YEAR_10000).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_has_no_date_in_http_is_none() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let date = |time| http_time(time).map(httpdate::fmt_http_date);
        assert_eq!(
            date(at(1) + Duration::from_millis(999)).as_deref(),
            Some("Thu, 01 Jan 1970 00:00:01 GMT")
        );
        assert_eq!(date(at(0) - Duration::from_secs(1)).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(date(at(253_402_300_799)).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(date(at(253_402_300_800)), None);
    }

    #[test]
    fn a_path_never_leads_out_of_the_directory() {
        let root = Path::new("/srv");
        assert_eq!(below(root, "/"), Some("/srv".into()));
        assert_eq!(below(root, "/a/b.js"), Some("/srv/a/b.js".into()));
        assert_eq!(below(root, "/a%20b"), Some("/srv/a b".into()));
        assert_eq!(below(root, "//a"), Some("/srv/a".into()));
        assert_eq!(below(root, "/.well-known/a.txt"), Some("/srv/.well-known/a.txt".into()));
        for path in [
            "/..",
            "/a/../..",
            "/%2e%2e/x",
            "/..%2fx",
            "/a/%2E%2E%2F%2E%2E%2Fetc",
            "/.git",
            "/a/.env",
            "/.well-known/.env",
            "/.well-known2",
        ] {
            assert_eq!(below(root, path), None, "{path}");
        }
    }
}
