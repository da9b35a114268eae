use crate::reactor::SPARES;

use super::Settings;

/// The maximum number of the operator's requests that are answered at a time. Others wait until one has ended.
pub(crate) const OPERATOR_REQUESTS: usize = 16;

/// The maximum number of the operator's connections without a request, or whose request waits. If there are more, the oldest one ends.
pub(crate) const OPERATOR_NEWCOMERS: usize = 16;

/// The maximum number of streams of events at a time, for those who look at a playground or watch a room.
#[cfg(feature = "built-in")]
pub(crate) const EVENT_STREAMS: usize = 32;

/// The maximum number of files and sockets that are neither downloads, clients nor the operator's: the log, what is asked at
/// `--auth-url`, and refused connections on their way out.
const OTHERS: usize = 128;

/// The number of files with which a thread waits for events.
const OF_A_THREAD: usize = 3;

impl Settings {
    /// Returns the number of files and sockets that the server has open at most. The process must be allowed to have so
    /// many (`ulimit -n`, `RLIMIT_NOFILE`), or connections are refused earlier than at
    /// [`max_connections`](Self::max_connections).
    pub fn open_files(&self) -> usize {
        // The operator's listener is a socket, too.
        let operator =
            if self.admin.is_some() { OPERATOR_REQUESTS + OPERATOR_NEWCOMERS + 1 + SPARES } else { 0 };
        #[cfg(feature = "built-in")]
        let has_streams = self.playground.is_some() || cfg!(feature = "rooms") && self.admin.is_some();
        #[cfg(feature = "built-in")]
        let operator = operator + if has_streams { EVENT_STREAMS } else { 0 };
        // Each thread has all listeners.
        let threads = self.threads * (OF_A_THREAD + self.listeners() * (1 + SPARES));
        [self.max_downloads, operator, threads, OTHERS]
            .into_iter()
            .fold(self.max_connections, usize::saturating_add)
    }

    fn listeners(&self) -> usize {
        let listeners = self.listen.len().max(1);
        #[cfg(feature = "tls")]
        let listeners = listeners * if self.redirect_http.is_some() { 2 } else { 1 };
        listeners
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_and_the_operator_take_open_files_beside_clients() {
        let mut settings = Settings { max_connections: 1_000, max_downloads: 64, ..Settings::default() };
        assert_eq!(settings.open_files(), 1_196 + SPARES);
        settings.admin = "127.0.0.1:0".parse().ok();
        let streams = if cfg!(feature = "rooms") { 32 } else { 0 };
        assert_eq!(settings.open_files(), 1_229 + streams + 2 * SPARES);
        settings.listen = vec!["127.0.0.1:0".parse().unwrap(); 3];
        settings.threads = 100;
        assert_eq!(settings.open_files(), 1_225 + streams + 600 + 301 * SPARES);
        settings.max_connections = usize::MAX;
        assert_eq!(settings.open_files(), usize::MAX);
    }
}
