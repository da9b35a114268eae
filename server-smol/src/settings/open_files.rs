use super::Settings;

/// The maximum number of the operator's connections at a time. Others wait until one has ended.
pub(crate) const OPERATOR_CONNECTIONS: usize = 16;

/// The maximum number of streams of events at a time, for those who look at a playground or watch a room.
#[cfg(feature = "built-in")]
pub(crate) const EVENT_STREAMS: usize = 32;

/// The maximum number of files and sockets that are neither downloads, clients nor the operator's: the listener, the
/// log, the event queues, and refused connections on their way out.
const OTHERS: usize = 128;

impl Settings {
    /// Returns the number of files and sockets that the server has open at most. The process must be allowed to have so
    /// many (`ulimit -n`, `RLIMIT_NOFILE`), or connections are refused earlier than at
    /// [`max_connections`](Self::max_connections).
    pub fn open_files(&self) -> usize {
        // The operator's listener is a socket, too.
        let operator = if self.admin.is_some() { OPERATOR_CONNECTIONS + 1 } else { 0 };
        #[cfg(feature = "built-in")]
        let has_streams = self.playground.is_some() || cfg!(feature = "rooms") && self.admin.is_some();
        #[cfg(feature = "built-in")]
        let operator = operator + if has_streams { EVENT_STREAMS } else { 0 };
        [self.max_downloads, operator, OTHERS].into_iter().fold(self.max_connections, usize::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_and_the_operator_take_open_files_beside_clients() {
        let mut settings = Settings { max_connections: 1_000, max_downloads: 64, ..Settings::default() };
        assert_eq!(settings.open_files(), 1_192);
        settings.admin = "127.0.0.1:0".parse().ok();
        assert_eq!(settings.open_files(), if cfg!(feature = "rooms") { 1_241 } else { 1_209 });
        settings.max_connections = usize::MAX;
        assert_eq!(settings.open_files(), usize::MAX);
    }
}
