use std::{
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{format::Format, queue::Queue};

/// The maximum time that a flush of the log waits. If no program reads stderr, the log is never written.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// The time to wait before another attempt, if stderr accepts no bytes and the system cannot report when it
/// will.
const BACK_OFF: Duration = Duration::from_millis(10);

/// Passes lines from the threads that log to the thread that writes.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    queue: Mutex<Queue>,
    /// Notified when there is something to write.
    filled: Condvar,
    /// Notified when everything has been written.
    emptied: Condvar,
}

impl Pipe {
    pub(crate) fn new(format: Format) -> Self {
        Self { queue: Mutex::new(Queue::new(format)), ..Self::default() }
    }

    /// Adds a line, or drops it. It never waits for a write.
    pub(crate) fn push(&self, line: String, is_error: bool) {
        if self.queue().push(Instant::now(), line, is_error) {
            self.filled.notify_one();
        }
    }

    /// Waits until everything is written, or for [`PATIENCE`]. Returns true if everything is written.
    pub(crate) fn flush(&self) -> bool {
        let waiting = self.emptied.wait_timeout_while(self.queue(), PATIENCE, |queue| !queue.is_idle());
        let (queue, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        queue.is_idle()
    }

    /// Does the same at the end of the process, when dropped lines cannot be reported later.
    pub(crate) fn finish(&self) -> bool {
        self.queue().report();
        self.filled.notify_one();
        self.flush()
    }

    /// Writes the lines, for ever.
    pub(crate) fn write_to(&self, mut out: impl Write) -> ! {
        let (mut chunk, mut lost, mut is_torn) = (String::new(), 0, false);
        loop {
            self.take(&mut chunk);
            let lines = count_lines(chunk.as_bytes());
            if lost > 0 {
                // The line whose beginning was written ends here.
                let end = if is_torn { "\n" } else { "" };
                chunk.insert_str(0, &format!("{end}{}", self.queue().lost_line(lost)));
            }
            let written = write(&mut out, chunk.as_bytes());
            let (said, rest) = chunk.as_bytes().split_at(written);
            let left = count_lines(rest);
            // What is put before the lines is none of them.
            lost = if left == 0 { 0 } else { lost + left.min(lines) };
            is_torn = said.last().map_or(is_torn, |last| *last != b'\n');
            chunk.clear();
        }
    }

    /// Waits for lines and takes them.
    fn take(&self, chunk: &mut String) {
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            queue.take(now, chunk);
            if !chunk.is_empty() {
                return;
            }
            self.emptied.notify_all();
            queue = match queue.report_due() {
                Some(due) => {
                    let timeout = due.saturating_duration_since(now);
                    self.filled.wait_timeout(queue, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics in the middle of a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// Writes all bytes, and returns how many it has written. If that is not all, no program reads stderr any more, or its disk is full.
fn write(out: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(count @ 1..) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody who shares stderr with this process has made it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(BACK_OFF),
            Ok(0) | Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    };

    use super::*;

    /// Takes a write when the test does, and not before.
    struct Slow(SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (Arc<Pipe>, Receiver<Vec<u8>>) {
        let (sender, written) = sync_channel(0);
        let pipe = Arc::new(Pipe::default());
        let writer = Arc::clone(&pipe);
        thread::spawn(move || writer.write_to(Slow(sender)));
        (pipe, written)
    }

    #[test]
    fn logging_does_not_wait_for_a_writer_that_is_blocked() {
        let (pipe, written) = pipe();
        for _ in 0..200 {
            pipe.push("a".repeat(1_023) + "\n", false);
        }
        assert!(!pipe.flush(), "nobody reads");
        pipe.push("ERROR b\n".into(), true);
        let mut text = String::new();
        while !(text.contains("the reader of this log is too slow\n") && text.contains("\nERROR b\n")) {
            text += str::from_utf8(&written.recv().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_flush_waits_until_all_is_written() {
        let (pipe, written) = pipe();
        let lines = thread::spawn(move || {
            let mut lines = 0;
            while let Ok(chunk) = written.recv() {
                lines += chunk.iter().filter(|&&byte| byte == b'\n').count();
                if lines == 100 {
                    break;
                }
            }
            lines
        });
        for _ in 0..100 {
            pipe.push("a".repeat(999) + "\n", false);
        }
        assert!(pipe.flush());
        assert_eq!(lines.join().unwrap(), 100);
    }

    #[test]
    fn what_is_over_the_budget_is_reported_though_nobody_logs_any_more() {
        let (pipe, written) = pipe();
        while pipe.queue().report_due().is_none() {
            pipe.push("a\n".into(), false);
        }
        let mut text = String::new();
        while !text.contains("dropped") {
            text += str::from_utf8(&written.recv().unwrap()).unwrap();
        }
        assert!(text.ends_with(" log lines were dropped: 1000 lines and 256 KiB a second are written\n"));
    }

    /// Takes some bytes, then has no space, and then has space again.
    struct Full(Vec<usize>, SyncSender<Vec<u8>>);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.pop() {
                Some(0) => Err(io::ErrorKind::StorageFull.into()),
                most => {
                    let taken = &bytes[..most.unwrap_or(bytes.len()).min(bytes.len())];
                    self.1.send(taken.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
                    Ok(taken.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_cannot_be_written_is_reported_when_the_next_line_can() {
        let (sender, written) = sync_channel(100);
        let pipe = Arc::new(Pipe::default());
        let writer = Arc::clone(&pipe);
        // The last one comes first.
        thread::spawn(move || writer.write_to(Full(vec![0, 0, 0, 3], sender)));
        for line in ["INFO  a\n", "INFO  b\n", "INFO  c\n", "INFO  d\n"] {
            pipe.push(line.into(), false);
            assert!(pipe.flush());
        }
        let text: Vec<u8> = written.try_iter().flatten().collect();
        assert_eq!(
            str::from_utf8(&text).unwrap(),
            "INF\nWARN  3 log lines were lost: they could not be written\nINFO  d\n"
        );
    }

    #[test]
    fn a_reader_that_is_gone_stops_nobody() {
        let (pipe, written) = pipe();
        drop(written);
        pipe.push("a\n".into(), false);
        assert!(pipe.finish());
    }
}
