use std::{
    io::Read,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// The speed at which the server's standard error is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As fast as it is written.
    Fast,
    /// 100 KB a second.
    Slow,
    /// Not any more, when the server has said where it is.
    Stopped,
}

const SLOW: f64 = 100e3;
/// The number of bytes of its end that are kept.
const END: usize = 2000;

/// The addresses that the server reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) public: SocketAddr,
    pub(crate) operator: SocketAddr,
}

/// Counts what the server writes to its standard error.
#[derive(Debug)]
pub(crate) struct Log {
    counts: Arc<Counts>,
    addresses: mpsc::Receiver<Addresses>,
    /// A reader that has stopped waits for the end of this.
    _held: mpsc::Sender<()>,
}

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    lines: AtomicU64,
    end: Mutex<Vec<u8>>,
}

impl Log {
    pub(crate) fn read(output: impl Read + Send + 'static, reader: Reader) -> Self {
        let counts = Arc::new(Counts::default());
        let (found, addresses) = mpsc::channel();
        let (held, wait) = mpsc::channel();
        let shared = Arc::clone(&counts);
        thread::spawn(move || drain(output, reader, &shared, &found, &wait));
        Self { counts, addresses, _held: held }
    }

    /// Waits until the server says where it is; an error is what it has said instead.
    pub(crate) fn addresses(&self, patience: Duration) -> Result<Addresses, String> {
        self.addresses.recv_timeout(patience).map_err(|_| self.end())
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn lines(&self) -> u64 {
        self.counts.lines.load(Ordering::Relaxed)
    }

    /// Returns the last of what was written.
    pub(crate) fn end(&self) -> String {
        let end = self.counts.end.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&end).trim().to_owned()
    }
}

fn drain(
    mut output: impl Read,
    reader: Reader,
    counts: &Counts,
    found: &mpsc::Sender<Addresses>,
    wait: &mpsc::Receiver<()>,
) {
    let (begin, mut chunk, mut is_found) = (Instant::now(), vec![0; 64 << 10], false);
    loop {
        let room = if reader == Reader::Slow { 4 << 10 } else { chunk.len() };
        let Ok(count @ 1..) = output.read(&mut chunk[..room]) else { return };
        let bytes = &chunk[..count];
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let sum = counts.bytes.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        counts.lines.fetch_add(lines as u64, Ordering::Relaxed);
        {
            let mut end = counts.end.lock().unwrap_or_else(PoisonError::into_inner);
            end.extend(&bytes[count.saturating_sub(END)..]);
            let excess = end.len().saturating_sub(END);
            end.drain(..excess);
            if !is_found && let Some(addresses) = addresses(&String::from_utf8_lossy(&end)) {
                is_found = true;
                let _ = found.send(addresses);
            }
        }
        match reader {
            Reader::Fast => {}
            Reader::Slow => {
                let due = Duration::from_secs_f64(sum as f64 / SLOW);
                thread::sleep(due.saturating_sub(begin.elapsed()));
            }
            Reader::Stopped if is_found => {
                let _ = wait.recv();
                return;
            }
            Reader::Stopped => {}
        }
    }
}

/// Finds where the server says that it listens, once it has said both.
fn addresses(text: &str) -> Option<Addresses> {
    let between = |begin, end| text.split_once(begin)?.1.split_once(end)?.0.parse().ok();
    let public = between("serving on ", "\n")?;
    Some(Addresses { public, operator: between("the operator's status is at http://", "/status")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_counted_and_the_addresses_are_found() {
        let text = "INFO  serving on 127.0.0.1:4000\nINFO  the operator's status is at http://127.0.0.1:4001/status, \
                    the rooms\nINFO  a room\n";
        let log = Log::read(text.as_bytes(), Reader::Fast);
        let [public, operator] = [4000, 4001].map(|port| ([127, 0, 0, 1], port).into());
        assert_eq!(log.addresses(Duration::from_secs(10)), Ok(Addresses { public, operator }));
        assert_eq!((log.bytes(), log.lines()), (text.len() as u64, 3));
        assert!(log.end().ends_with("a room"));
    }

    #[test]
    fn a_server_that_does_not_start_says_why() {
        let log = Log::read(&b"error: no such file\n"[..], Reader::Stopped);
        assert_eq!(log.addresses(Duration::from_secs(10)), Err("error: no such file".to_owned()));
    }
}
