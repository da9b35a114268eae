use std::{
    fs::File,
    io::{self, Read as _},
    mem,
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use smol::{Task, unblock};

use crate::memory::{Charge, Ledger, OutOfMemory, Purpose};

/// The number of bytes of a file that are read at a time.
const PIECE: usize = 64 << 10;

/// A piece of a file, and what its memory is charged with.
type Charged = (Vec<u8>, Charge);

/// Counts the downloads of all threads, each of which has an open file.
#[derive(Debug, Clone)]
pub(crate) struct Downloads {
    count: Arc<AtomicUsize>,
    most: usize,
}

/// The permission for a download.
#[derive(Debug)]
pub(crate) struct DownloadPermit(Downloads);

impl Downloads {
    pub(crate) fn new(most: usize) -> Self {
        Self { count: Arc::default(), most }
    }

    /// Takes a permit. Returns nothing if all permits are taken.
    pub(crate) fn take(&self) -> Option<DownloadPermit> {
        let more = |count| (count < self.most).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(DownloadPermit(self.clone()))
    }
}

impl Drop for DownloadPermit {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A file on its way to a client, piece by piece. The memory of a piece is charged before it is read, so there is one at a time:
/// the next one is read when the library has written this one.
#[derive(Debug)]
pub(crate) struct Download {
    state: State,
    /// The number of bytes that are still to come.
    left: u64,
    ledger: Rc<Ledger>,
    _permit: DownloadPermit,
}

#[derive(Debug)]
enum State {
    /// An open file, and perhaps memory for its next piece.
    Ready(File, Option<Charge>),
    Reading(Task<io::Result<(File, Vec<u8>)>>, Charge),
    Failed,
}

impl Download {
    /// Opens a file, of which the first `len` bytes are to be sent: they have been promised, and it may grow.
    ///
    /// # Errors
    /// There is no such file, or no memory for a piece of it ([`io::ErrorKind::OutOfMemory`]).
    pub(crate) async fn open(
        path: PathBuf,
        len: u64,
        ledger: &Rc<Ledger>,
        permit: DownloadPermit,
    ) -> io::Result<Self> {
        let charge = charge(ledger, size(len))?;
        let file = unblock(move || File::open(path)).await?;
        let state = State::Ready(file, Some(charge));
        Ok(Self { state, left: len, ledger: Rc::clone(ledger), _permit: permit })
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
    ledger.charge(size, Purpose::Small).map_err(|OutOfMemory| io::ErrorKind::OutOfMemory.into())
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
    use std::{env, fs, future::poll_fn, process};

    use super::*;

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let path = env::temp_dir().join(format!("stateroom-{name}-{}", process::id()));
        fs::write(&path, content).unwrap();
        path
    }

    fn next(download: &mut Download) -> Option<io::Result<Charged>> {
        smol::block_on(poll_fn(|cx| download.poll_piece(cx)))
    }

    #[test]
    fn a_download_holds_one_piece_at_a_time_and_is_charged_before_it_reads() {
        let (ledger, downloads) = (Ledger::new(PIECE + 1), Downloads::new(1));
        let path = file("pieces", &vec![7; PIECE + 10]);
        let open = |permit| smol::block_on(Download::open(path.clone(), PIECE as u64 + 10, &ledger, permit));
        let mut download = open(downloads.take().unwrap()).unwrap();
        assert_eq!((ledger.used(), downloads.take().is_none()), (PIECE, true));
        let (piece, charge) = next(&mut download).unwrap().unwrap();
        assert_eq!((piece.len(), download.left(), ledger.used()), (PIECE, 10, PIECE));
        let refused = next(&mut download).unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
        drop((download, charge));
        assert_eq!(ledger.used(), 0);
        let mut download = open(downloads.take().expect("the other one is over")).unwrap();
        drop(next(&mut download));
        let (rest, _charge) = next(&mut download).unwrap().unwrap();
        assert_eq!((&rest[..], ledger.used(), download.left()), (&[7; 10][..], 10, 0));
        assert!(next(&mut download).is_none());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_becomes_shorter_ends_its_download() {
        let (ledger, downloads) = (Ledger::new(1 << 20), Downloads::new(1));
        let path = file("shorter", b"hello");
        let mut download =
            smol::block_on(Download::open(path.clone(), 6, &ledger, downloads.take().unwrap())).unwrap();
        assert_eq!(next(&mut download).unwrap().unwrap().0, b"hello");
        assert_eq!(next(&mut download).unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        fs::remove_file(path).unwrap();
    }
}
