use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;

use crate::{
    journal::KeptRooms,
    metrics::{Count, Snapshot},
    requests::typed,
    worker::{Counts, Ending},
};

use super::{
    Answer, Control,
    open_metrics::{CONTENT_TYPE, OpenMetrics},
};

/// The number of seconds in a nanosecond.
const NANO: f64 = 1e-9;

/// The labels of the counts that belong to one family.
const ROOM_CHANGES: [(&str, Count); 3] =
    [("created", Count::RoomsCreated), ("restored", Count::RoomsRestored), ("ended", Count::RoomsEnded)];

impl Control {
    /// `GET /metrics`: what there is and what has happened, for programs that watch servers.
    pub(super) async fn metrics(&self) -> Result<Answer, Ending> {
        let mut text = OpenMetrics::default();
        text.info("stateroom_build", "The version of the server", "version", env!("CARGO_PKG_VERSION"));
        let started = SystemTime::now().checked_sub(self.started.elapsed()).unwrap_or(UNIX_EPOCH);
        let started = started.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        text.gauge(
            "stateroom_start_time_seconds",
            "The time at which the server started, in seconds since 1970",
            started.as_secs(),
        );
        #[cfg(feature = "tls")]
        if let Some(expiry) = self.tls.as_ref().and_then(crate::tls::Tls::expiry) {
            text.gauge(
                "stateroom_certificate_expiry_seconds",
                "The time at which the certificate expires, in seconds since 1970",
                expiry,
            );
        }
        let kept = self.workers.kept_rooms();
        // While all rooms wait for space on the disk, their threads may not answer.
        if !kept.is_some_and(KeptRooms::is_stalled) {
            let (counts, snapshot) = self.workers.measure().await?;
            #[cfg(feature = "rooms")]
            let snapshot = self.with_wrong_tokens(snapshot);
            add_counts(&mut text, &counts);
            add_passes(&mut text, &counts);
            add_snapshot(&mut text, &snapshot);
        }
        if let Some(kept) = kept {
            add_journal(&mut text, kept).await?;
        }
        Ok(typed(StatusCode::OK, CONTENT_TYPE, text.end()))
    }

    /// Adds the requests that were refused here, and not on a thread of rooms.
    #[cfg(feature = "rooms")]
    fn with_wrong_tokens(&self, mut snapshot: Snapshot) -> Snapshot {
        let count = self.wrong_tokens.all();
        snapshot.refusals.extend((count > 0).then_some(("operator_token", count)));
        snapshot
    }
}

/// Adds what there is.
fn add_counts(text: &mut OpenMetrics, counts: &Counts) {
    let awake = counts.rooms.saturating_sub(counts.hibernating_rooms);
    text.gauges(
        "stateroom_rooms",
        "The rooms in memory",
        "state",
        [("awake", awake), ("hibernating", counts.hibernating_rooms)],
    );
    text.gauge("stateroom_clients", "The clients in rooms", counts.clients);
    text.gauge(
        "stateroom_tasks",
        "The tasks of connections, sessions and timers, and a few for each thread",
        counts.tasks,
    );
    let other = counts.memory.saturating_sub(counts.awake_memory);
    text.gauges(
        "stateroom_memory_bytes",
        "The memory that counts against the limit: of rooms that are awake, and of all else",
        "of",
        [("awake_rooms", counts.awake_memory), ("other", other)],
    );
    text.gauge(
        "stateroom_memory_peak_bytes",
        "The most of this memory since the start, added up over the threads",
        counts.peak_memory,
    );
    text.gauge(
        "stateroom_memory_limit_bytes",
        "The limit of this memory (--max-total-memory)",
        counts.memory_limit,
    );
}

/// Adds the times of passes, if they are measured.
fn add_passes(text: &mut OpenMetrics, counts: &Counts) {
    let Some(p99) = counts.p99_pass else { return };
    text.gauges(
        "stateroom_pass_seconds",
        "The processor time of a pass of a thread's event loop: the 99th percentile, and the longest",
        "quantile",
        [("0.99", p99), ("1", counts.longest_pass)].map(|(label, micros)| (label, micros as f64 * 1e-6)),
    );
}

/// Adds what has happened since the start.
fn add_snapshot(text: &mut OpenMetrics, snapshot: &Snapshot) {
    let count = |count| snapshot.get(count);
    text.counters(
        "stateroom_room_changes",
        "Rooms that were created, came back from the disk, or ended",
        "change",
        &ROOM_CHANGES.map(|(label, number)| (label, count(number))),
    );
    text.counter(
        "stateroom_hibernations",
        "The times that a room began to hibernate",
        count(Count::Hibernations),
    );
    text.counter("stateroom_connections", "WebSockets that asked for a room", count(Count::Connections));
    text.counter(
        "stateroom_sessions_resumed",
        "Connections on which a client resumed its session",
        count(Count::Resumptions),
    );
    text.counters(
        "stateroom_closed_connections",
        "WebSockets that have ended, by the reason",
        "reason",
        &snapshot.closes,
    );
    text.counters(
        "stateroom_refused_requests",
        "Requests and new connections that were refused, by the reason",
        "reason",
        &snapshot.refusals,
    );
    text.counter(
        "stateroom_received_messages",
        "Messages that clients have sent",
        count(Count::MessagesReceived),
    );
    text.counter(
        "stateroom_sent_messages",
        "Messages that rooms have sent, once for each recipient",
        count(Count::MessagesSent),
    );
    text.counter(
        "stateroom_received_bytes",
        "Bytes that were read from WebSockets",
        count(Count::BytesReceived),
    );
    text.counter("stateroom_sent_bytes", "Bytes that were written to WebSockets", count(Count::BytesSent));
    text.counter("stateroom_events", "Events that rooms have begun", snapshot.events);
    text.histogram(
        "stateroom_event_seconds",
        "The time from the beginning of an event to its end; one in 61 events is measured",
        NANO,
        &snapshot.event_time,
    );
    text.histogram(
        "stateroom_event_fuel",
        "The fuel of an event; one in 61 events is measured",
        1.0,
        &snapshot.event_fuel,
    );
    text.counters("stateroom_room_failures", "Rooms that have failed, by kind", "kind", &snapshot.failures);
}

/// Adds what the journal has done.
async fn add_journal(text: &mut OpenMetrics, kept: &KeptRooms) -> Result<(), Ending> {
    let (stats, max_size, sync_times) = kept.measure().await.map_err(|_| Ending)?;
    text.gauge("stateroom_journal_rooms", "The rooms on disk", stats.rooms);
    text.gauge("stateroom_journal_live_bytes", "The size of the histories of these rooms", stats.bytes_live);
    text.gauge("stateroom_journal_size_bytes", "The size of the journal's files", stats.bytes_used);
    text.gauge("stateroom_journal_limit_bytes", "The largest size that they may have", max_size);
    text.gauge(
        "stateroom_journal_stalled",
        "1 if all rooms wait for space on the disk",
        u8::from(kept.is_stalled()),
    );
    text.counter("stateroom_journal_groups", "The groups of entries that were written", stats.batches);
    text.counter(
        "stateroom_journal_written_bytes",
        "Bytes that were written to the journal",
        stats.bytes_written,
    );
    text.counter(
        "stateroom_journal_moved_bytes",
        "Bytes of these that moved histories out of old files",
        stats.bytes_moved,
    );
    text.histogram(
        "stateroom_journal_sync_seconds",
        "The time that the disk took to make a group durable",
        NANO,
        &sync_times,
    );
    Ok(())
}
