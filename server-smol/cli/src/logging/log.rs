use std::{fmt::Arguments, io, panic, sync::Arc, thread};

use ::log::{Level, LevelFilter, Metadata, Record, set_boxed_logger, set_max_level};

use super::{filter::Filter, format::Format, pipe::Pipe};

/// The target of the lines that guests write.
const GUEST: &str = "stateroom::guest";

/// The stack of the thread that writes, in bytes. It needs little, independently of the lines that it writes.
const STACK: usize = 64 << 10;

/// The log of the process.
#[derive(Debug)]
pub(crate) struct Log {
    pipe: Arc<Pipe>,
    format: Format,
}

impl Log {
    /// Sends the log and panic messages to stderr. `RUST_LOG` overrides `level`.
    ///
    /// Text has no timestamps, because systemd and containers add their own.
    ///
    /// # Errors
    /// The system does not start another thread.
    pub(crate) fn start(level: LevelFilter, format: Format) -> io::Result<Self> {
        let pipe = Arc::new(Pipe::new(format));
        let writer = Arc::clone(&pipe);
        let work = move || writer.write_to(io::stderr());
        thread::Builder::new().name("log".to_owned()).stack_size(STACK).spawn(work)?;

        let filter = Filter::new(level);
        set_max_level(filter.most());
        // Fails only where there is one already, and this is the only one.
        let _ = set_boxed_logger(Box::new(Logger { filter, format, pipe: Arc::clone(&pipe) }));

        let log = Arc::clone(&pipe);
        // Rust's own hook writes to stderr itself, and the thread that panics would wait for it.
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let name = thread.name().unwrap_or("(no name)");
            let line = format.own_line(Level::Error, &format_args!("thread {name} {panic}"));
            log.push(painted(line, format), true);
            if cfg!(panic = "abort") || name == "main" {
                log.finish();
            }
        }));
        Ok(Self { pipe, format })
    }

    /// Ends the log: waits until it is written, but only for a short time.
    pub(crate) fn finish(self) {
        self.pipe.finish();
    }

    /// Does the same after a last line that says why the command has failed.
    pub(crate) fn fail(self, reason: &Arguments<'_>) {
        self.pipe.push(painted(self.format.last_line(reason), self.format), true);
        self.finish();
    }
}

/// Adds colours to a line, if stderr shows them.
fn painted(line: String, format: Format) -> String {
    #[cfg(not(feature = "dev"))]
    let _ = format;
    #[cfg(feature = "dev")]
    if format == Format::Text && crate::color::is_on() {
        return crate::color::paint(&line);
    }
    line
}

/// Puts lines into the pipe.
struct Logger {
    filter: Filter,
    format: Format,
    pipe: Arc<Pipe>,
}

impl ::log::Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.enabled(record.metadata()) {
            return;
        }
        // What a guest calls an error is none of the server's.
        let is_of_guest = record.target() == GUEST;
        let is_error = record.level() == Level::Error && !is_of_guest;
        let line = self.format.line(record.level(), record.args(), record.key_values(), is_of_guest);
        self.pipe.push(painted(line, self.format), is_error);
    }

    /// Waits until all earlier lines are written. Code that writes to stderr itself, or starts a program that
    /// does, calls this first.
    fn flush(&self) {
        self.pipe.flush();
    }
}
