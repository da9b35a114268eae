#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::{
    fs::Metadata,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use percent_encoding::percent_decode_str;
use smol::fs::metadata;
use stateroom_core::engine::EngineFactory;

#[cfg(feature = "built-in")]
use super::Shared;
use crate::{
    close::CloseReason,
    requests::{
        Body, Download, knows, later, media_type, not_allowed, not_modified, redirect, set_validator, text,
    },
    thread::Cut,
};

use super::{Site, peer::Peer};

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
        let tag = tag(&path, &found);
        if knows(request.headers(), &tag) {
            return Ok(not_modified(&tag));
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
        set_validator(headers, &tag);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Ok(response)
    }
}

/// Returns the entity tag of a file. It differs for two files that take turns at one path, also if they are equally old and large, as
/// after a copy that keeps times. A date (`Last-Modified`) would not, and a browser that compares it shows a page of another service.
/// The tag stays the same when the server restarts.
///
/// It is weak, because it does not depend on the content itself.
fn tag(path: &Path, found: &Metadata) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    #[cfg(unix)]
    {
        let _ = path;
        // The time of the last change of the inode tells of a content that was replaced and given the old time.
        let changed = (found.ctime(), found.ctime_nsec());
        (found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), changed).hash(&mut hasher);
    }
    #[cfg(not(unix))]
    (std::path::absolute(path).ok(), found.modified().ok(), found.created().ok()).hash(&mut hasher);
    found.len().hash(&mut hasher);
    let tag = format!("W/\"{:016x}\"", hasher.finish());
    HeaderValue::try_from(tag).expect("it is digits between quotes")
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

#[cfg(test)]
mod tests {
    use super::*;

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
