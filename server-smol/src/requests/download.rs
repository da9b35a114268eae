use std::{
    fs::{File, Metadata},
    io::{self, Read as _, Seek as _, SeekFrom},
    mem,
    ops::Range,
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use smol::{Task, unblock};

use crate::memory::{Charge, Ledger, OutOfMemory, Purpose};

use super::DownloadPermit;

/// The number of bytes of a file that are read at a time.
const PIECE: usize = 64 << 10;

/// A piece of a file, and what its memory is charged with.
type Charged = (Vec<u8>, Charge);

/// A file on its way to a client, piece by piece. The memory of a piece is charged before it is read, so there is one at a time:
/// the next one is read when the library has written this one.
#[derive(Debug)]
pub(crate) struct Download {
    state: State,
    /// The number of bytes that are still to come.
    left: u64,
    ledger: Rc<Ledger>,
    permit: Rc<DownloadPermit>,
}

#[derive(Debug)]
enum State {
    /// An open file, and perhaps memory for its next piece.
    Ready(File, Option<Charge>),
    Reading(Task<io::Result<(File, Vec<u8>)>>, Charge),
    Failed,
}

impl Download {
    /// Opens the file that was found at a path, of which these bytes are to be sent: they have been promised, and it may grow.
    ///
    /// # Errors
    /// There is no such file, there is another one now ([`io::ErrorKind::ResourceBusy`]), or no memory for a piece of it
    /// ([`io::ErrorKind::OutOfMemory`]).
    pub(crate) async fn open(
        (path, found): (PathBuf, Metadata),
        bytes: Range<u64>,
        ledger: &Rc<Ledger>,
        permit: Rc<DownloadPermit>,
    ) -> io::Result<Self> {
        let left = bytes.end.saturating_sub(bytes.start);
        let charge = charge(ledger, size(left))?;
        let open = move || {
            let mut file = File::open(path)?;
            let opened = file.metadata()?;
            if (opened.len(), opened.modified().ok()) != (found.len(), found.modified().ok()) {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            if bytes.start > 0 {
                file.seek(SeekFrom::Start(bytes.start))?;
            }
            Ok::<_, io::Error>(file)
        };
        let file = unblock(open).await?;
        let state = State::Ready(file, Some(charge));
        Ok(Self { state, left, ledger: Rc::clone(ledger), permit })
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Returns the next piece.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Charged>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.poll_next(cx).map(Some)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Charged>> {
        loop {
            match mem::replace(&mut self.state, State::Failed) {
                State::Ready(file, charged) => {
                    let size = size(self.left);
                    let charge = charged.map_or_else(|| charge(&self.ledger, size), Ok)?;
                    self.state = State::Reading(unblock(move || read(file, size)), charge);
                }
                State::Reading(mut task, charge) => {
                    let Poll::Ready(read) = Pin::new(&mut task).poll(cx) else {
                        self.state = State::Reading(task, charge);
                        return Poll::Pending;
                    };
                    let (file, piece) = read?;
                    self.left -= piece.len() as u64;
                    self.permit.add(piece.len());
                    self.state = State::Ready(file, None);
                    return Poll::Ready(Ok((piece, charge)));
                }
                State::Failed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }
}

/// Returns how many bytes the next piece has at most.
fn size(left: u64) -> usize {
    usize::try_from(left).unwrap_or(PIECE).min(PIECE)
}

fn charge(ledger: &Rc<Ledger>, size: usize) -> io::Result<Charge> {
    ledger.charge(size, Purpose::New).map_err(|OutOfMemory| io::ErrorKind::OutOfMemory.into())
}

fn read(mut file: File, size: usize) -> io::Result<(File, Vec<u8>)> {
    let mut piece = vec![0; size];
    match file.read(&mut piece)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter")),
        read => {
            piece.truncate(read);
            Ok((file, piece))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, future::poll_fn, path::Path, process, time::Instant};

    use super::*;
    use crate::requests::Downloads;

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let path = env::temp_dir().join(format!("stateroom-{name}-{}", process::id()));
        fs::write(&path, content).unwrap();
        path
    }

    fn found(path: &Path) -> (PathBuf, Metadata) {
        (path.to_owned(), fs::metadata(path).unwrap())
    }

    fn take(downloads: &Downloads) -> Option<Rc<DownloadPermit>> {
        downloads.take(Instant::now()).map(Rc::new)
    }

    fn next(download: &mut Download) -> Option<io::Result<Charged>> {
        smol::block_on(poll_fn(|cx| download.poll_piece(cx)))
    }

    #[test]
    fn a_download_holds_one_piece_at_a_time_and_is_charged_before_it_reads() {
        let (ledger, downloads) = (Ledger::new(PIECE + PIECE / 7 + 2), Downloads::new(1));
        let path = file("pieces", &vec![7; PIECE + 10]);
        let open =
            |permit| smol::block_on(Download::open(found(&path), 0..PIECE as u64 + 10, &ledger, permit));
        let mut download = open(take(&downloads).unwrap()).unwrap();
        assert_eq!((ledger.used(), take(&downloads).is_none()), (PIECE, true));
        let (piece, charge) = next(&mut download).unwrap().unwrap();
        assert_eq!((piece.len(), download.left(), ledger.used()), (PIECE, 10, PIECE));
        let refused = next(&mut download).unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
        drop((download, charge));
        assert_eq!(ledger.used(), 0);
        let mut download = open(take(&downloads).expect("the other one is over")).unwrap();
        drop(next(&mut download));
        let (rest, _charge) = next(&mut download).unwrap().unwrap();
        assert_eq!((&rest[..], ledger.used(), download.left()), (&[7; 10][..], 10, 0));
        assert!(next(&mut download).is_none());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_part_begins_and_ends_where_it_was_asked_for() {
        let (ledger, downloads) = (Ledger::new(1 << 20), Downloads::new(1));
        let path = file("part", b"hello");
        let mut download =
            smol::block_on(Download::open(found(&path), 1..4, &ledger, take(&downloads).unwrap())).unwrap();
        assert_eq!(next(&mut download).unwrap().unwrap().0, b"ell");
        assert!(next(&mut download).is_none());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_was_replaced_is_not_sent_in_place_of_the_one_that_was_found() {
        let (ledger, downloads) = (Ledger::new(1 << 20), Downloads::new(1));
        let path = file("replaced", b"hello");
        let found = found(&path);
        fs::write(&path, b"goodbye").unwrap();
        let opened = smol::block_on(Download::open(found, 0..5, &ledger, take(&downloads).unwrap()));
        assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(ledger.used(), 0);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_becomes_shorter_ends_its_download() {
        let (ledger, downloads) = (Ledger::new(1 << 20), Downloads::new(1));
        let path = file("shorter", b"hello");
        let mut download =
            smol::block_on(Download::open(found(&path), 0..6, &ledger, take(&downloads).unwrap())).unwrap();
        assert_eq!(next(&mut download).unwrap().unwrap().0, b"hello");
        assert_eq!(next(&mut download).unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        fs::remove_file(path).unwrap();
    }
}
