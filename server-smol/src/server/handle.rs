use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use smol::{channel::Receiver, future::or, unblock};
use stateroom_core::ClientId;

#[cfg(feature = "wasm")]
use crate::{control::reload, guests::Deployment};

use crate::{
    admin_address::AdminAddress,
    close::CloseReason,
    error::{RoomError, ServeError},
    journal::JournalThread,
    listen::ListenAddress,
    operator::Operator,
    room::{Renewals, RoomId, RoomStatus, Rooms},
    worker::{Counts, Ending, MOST_LISTED, Workers},
};

/// The part of [`Settings::drain`](crate::Settings::drain) that is left for the end of the process.
pub(super) const REST: Duration = Duration::from_millis(100);

/// The time that the journal's thread has to end.
const TIMEOUT: Duration = Duration::from_millis(1_900);

/// The time between two looks whether the threads have ended.
const LOOK: Duration = Duration::from_millis(50);

/// A server that runs, on threads of its own. It ends when this is [shut down](Self::shutdown), or dropped.
#[derive(Debug)]
pub struct ServerHandle {
    pub(super) addresses: Vec<ListenAddress>,
    /// The reason that clients are told when the server ends.
    pub(super) goodbye: CloseReason,
    /// The time that the threads have to end. A native service that does not return may keep its thread for longer. The server does
    /// not wait for it.
    pub(super) patience: Duration,
    pub(super) workers: Workers,
    pub(super) operator: Option<Operator>,
    pub(super) threads: Vec<JoinHandle<Result<(), ServeError>>>,
    /// A channel that closes when all threads have ended.
    pub(super) ended: Receiver<()>,
    /// The thread that keeps rooms on disk. It ends when all handles of it are gone.
    pub(super) journal: Option<JournalThread>,
    /// The program of the rooms, if they run guests.
    #[cfg(feature = "wasm")]
    pub(super) deployment: Option<std::sync::Arc<Deployment>>,
}

/// A room, as [`ServerHandle::rooms`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomInfo {
    /// Its id.
    pub id: String,
    /// The ids of the clients that are in it, in order.
    pub clients: Vec<ClientId>,
    /// True if it [hibernates](crate::Settings::hibernate_after).
    pub hibernates: bool,
}

/// Lists the rooms by the result of [`ServerHandle::renew_rooms`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replacement {
    /// The rooms that continue in the state that their guest has saved and loaded.
    pub loaded: RenewedRooms,
    /// The rooms that continue in the state that their events have led to in the new program.
    pub replayed: RenewedRooms,
    /// The rooms that have started afresh.
    pub fresh: RenewedRooms,
    /// The rooms that stay on their program.
    pub kept: RenewedRooms,
}

/// Some rooms of a [`Replacement`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RenewedRooms {
    /// Their number.
    pub count: usize,
    /// The ids of up to five of them.
    pub first: Vec<String>,
}

/// The counts of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The number of rooms.
    pub rooms: usize,
    /// The number of rooms that [hibernate](crate::Settings::hibernate_after).
    pub hibernating_rooms: usize,
    /// The number of clients in rooms.
    pub clients: usize,
    /// The memory of the rooms that are awake, in bytes.
    pub awake_memory: usize,
    /// The memory that guests, clients and requests take, in bytes; see
    /// [`Settings::total_memory`](crate::Settings::total_memory).
    pub memory: usize,
    /// The most that it has been on each thread, added up, in bytes.
    pub peak_memory: usize,
}

impl ServerHandle {
    /// Returns the address that the server listens on: the first one of TCP. `0.0.0.0:0` if it listens only on Unix sockets.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        super::tcp_address(&self.addresses).unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Returns all addresses that the server listens on.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Returns the host and the port by which programs on this machine reach the server, such as `localhost:8080`.
    #[must_use]
    pub fn local_host(&self) -> String {
        super::announcement::local_host(self.address())
    }

    /// Lists up to `most` rooms, and at most 1,000, in the order of their ids: the first rooms, or those after the room `after`.
    ///
    /// # Errors
    /// [`RoomError::InvalidId`], or [`RoomError::Ending`].
    pub async fn rooms(&self, after: Option<&str>, most: usize) -> Result<Vec<RoomInfo>, RoomError> {
        let after = after.map(room_id).transpose()?;
        let rooms = self.workers.list(after.as_ref(), most.min(MOST_LISTED)).await?;
        Ok(rooms.into_iter().map(RoomInfo::from).collect())
    }

    /// Creates a room, and waits until its `init` has run. Whatever [`Settings::room_ids`](crate::Settings::room_ids) says, which
    /// is for clients.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn create_room(&self, id: &str) -> Result<(), RoomError> {
        Ok(self.workers.create(&room_id(id)?).await??)
    }

    /// Ends a room: its clients are closed with 1001, and if it is on disk, it is deleted there. Answers whether there was one.
    ///
    /// # Errors
    /// [`RoomError::InvalidId`], [`RoomError::NotDeleted`], or [`RoomError::Ending`].
    pub async fn close_room(&self, id: &str) -> Result<bool, RoomError> {
        self.workers.close(&room_id(id)?).await?.map_err(|reason| RoomError::NotDeleted { reason })
    }

    /// Replaces the program of all rooms while they run, and returns when this is done. New rooms run it at once. Connections and
    /// client ids stay.
    ///
    /// For each room, the first of these that applies happens:
    ///
    /// 1. The guest saves its state, and the new guest loads it. If this fails, the room keeps its program.
    /// 2. With [recordings](crate::Settings::recordings), the room has its events again in the new program, without their effects,
    ///    and continues in the state that they lead to.
    /// 3. If they fail there, or the recording is not whole, or there is none: [`Settings::upgrade`](crate::Settings::upgrade)
    ///    decides.
    ///
    /// A server of native services has no program, and nothing happens.
    ///
    /// # Errors
    /// [`RoomError::Ending`], or [`RoomError::NotKept`].
    #[cfg(feature = "wasm")]
    pub async fn replace_program(
        &self,
        program: stateroom_host_min::Program,
    ) -> Result<Replacement, RoomError> {
        if let Some(deployment) = &self.deployment {
            let replaced = deployment.replace(program);
            replaced.map_err(|error| RoomError::NotKept { reason: error.to_string() })?;
        }
        self.renew_rooms().await
    }

    /// Loads the program again: see [`Server::serve_guests`](crate::Server::serve_guests).
    ///
    /// # Errors
    /// Says why this is not possible. The rooms keep their program.
    #[cfg(feature = "wasm")]
    pub(super) async fn reload(&self) -> Result<Replacement, String> {
        let deployment = self.deployment.as_ref().ok_or("this server has no module")?;
        reload(deployment, &self.workers).await.map(Replacement::from)
    }

    /// Lets all rooms start afresh: each gets `init`, and then `connect` for each of its clients. Without recordings in memory, and
    /// without [`Upgrade::Reset`](crate::Upgrade::Reset), rooms stay as they are.
    ///
    /// # Errors
    /// [`RoomError::Ending`].
    #[cfg(feature = "wasm")]
    pub async fn reset_rooms(&self) -> Result<Replacement, RoomError> {
        self.deployment.iter().for_each(|deployment| deployment.reset());
        self.renew_rooms().await
    }

    /// Changes the engines of all rooms to what their factory builds now, one room after the other, and returns when this is done. The factory decides
    /// how: see [`EngineFactory::renew`](stateroom_core::engine::EngineFactory::renew). Connections and client ids stay.
    ///
    /// # Errors
    /// [`RoomError::Ending`].
    pub async fn renew_rooms(&self) -> Result<Replacement, RoomError> {
        Ok(self.workers.begin_renewal().finish().await?.into())
    }

    /// Returns the counts of the server.
    ///
    /// # Errors
    /// [`RoomError::Ending`].
    pub async fn stats(&self) -> Result<Stats, RoomError> {
        Ok(self.workers.counts().await?.into())
    }

    /// Returns the address that the operator reaches the server at, if [there is one](crate::Settings::admin).
    #[must_use]
    pub fn admin_address(&self) -> Option<&AdminAddress> {
        self.operator.as_ref().map(Operator::address)
    }

    fn end(&self, reason: &CloseReason) {
        self.workers.end(reason);
        self.operator.iter().for_each(Operator::end);
    }

    /// Waits until one of the server's threads has ended by itself, which is a fault. [`shutdown`](Self::shutdown) says which.
    pub async fn failed(&self) {
        _ = self.ended.recv().await;
    }

    /// Tells the server to end, and does not wait for it. [`shutdown`](Self::shutdown) does.
    pub fn begin_shutdown(&self) {
        self.end(&self.goodbye);
    }

    /// Does the same where another server is about to take the place of this one: clients are closed with 1012, and know that they
    /// may connect again at once.
    pub fn begin_restart(&self) {
        self.end(&CloseReason::ServiceRestart);
    }

    /// Ends the server: clients get a close frame, with 1001, or with 1012 if another process may take over the sockets that this one
    /// listens on ([`Settings::reuse_port`](crate::Settings::reuse_port), [`ListenAddress::Systemd`]). This returns within
    /// [`Settings::drain`](crate::Settings::drain). Where a native service keeps its thread longer, it says so in the log and does not
    /// wait for it.
    ///
    /// # Errors
    /// A thread has [panicked](ServeError::Panicked), or could not begin.
    pub async fn shutdown(mut self) -> Result<(), ServeError> {
        self.end(&self.goodbye);
        let all = async { while self.ended.recv().await.is_ok() {} };
        // Whoever runs this future may have no timers.
        let (ended, begun) = (self.ended.clone(), Instant::now());
        let time = self.patience;
        let patience = unblock(move || {
            while !ended.is_closed() && begun.elapsed() < time {
                thread::sleep(LOOK.min(time));
            }
        });
        or(all, patience).await;
        let mut result = Ok(());
        let journal = self.journal.take();
        for thread in self.threads.drain(..) {
            // A thread that has told of its end may still have to return.
            if !thread.is_finished() && !self.ended.is_closed() {
                let reason = match &journal {
                    Some(journal) if journal.is_stalled() => "rooms wait for space on the disk",
                    _ => "a room keeps its thread busy",
                };
                log::warn!("{reason}, and the server does not wait any longer");
                continue;
            }
            result = result.and(thread.join().unwrap_or(Err(ServeError::Panicked)));
        }
        if let Some(journal) = journal {
            // It waits if the disk is full.
            let patience = unblock(|| thread::sleep(TIMEOUT));
            or(unblock(|| journal.join()), patience).await;
        }
        result
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.end(&self.goodbye);
    }
}

fn room_id(id: &str) -> Result<RoomId, RoomError> {
    RoomId::new(id).map_err(|reason| RoomError::InvalidId { reason })
}

impl From<RoomStatus> for RoomInfo {
    fn from(RoomStatus { id, clients, hibernates }: RoomStatus) -> Self {
        Self { id: id.as_str().to_owned(), clients, hibernates }
    }
}

impl From<Counts> for Stats {
    fn from(counts: Counts) -> Self {
        Self {
            rooms: counts.rooms,
            hibernating_rooms: counts.hibernating_rooms,
            clients: counts.clients,
            awake_memory: counts.awake_memory,
            memory: counts.memory,
            peak_memory: counts.peak_memory,
        }
    }
}

impl From<Renewals> for Replacement {
    fn from(Renewals { loaded, replayed, fresh, kept }: Renewals) -> Self {
        Self { loaded: loaded.into(), replayed: replayed.into(), fresh: fresh.into(), kept: kept.into() }
    }
}

impl From<Rooms> for RenewedRooms {
    fn from(Rooms { count, first }: Rooms) -> Self {
        Self { count, first: first.iter().map(|id| id.as_str().to_owned()).collect() }
    }
}

/// Says what has become of the rooms.
impl fmt::Display for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways = [
            (&self.loaded, "continues with its saved state", "continue with their saved states"),
            (&self.replayed, "has replayed its events", "have replayed their events"),
            (&self.fresh, "has started afresh", "have started afresh"),
            (&self.kept, "keeps its module", "keep their modules"),
        ];
        let mut separator = "";
        for (rooms, one, several) in ways.into_iter().filter(|(rooms, ..)| rooms.count > 0) {
            let does = if rooms.count == 1 { one } else { several };
            write!(f, "{separator}{rooms} {does}")?;
            separator = "; ";
        }
        if separator.is_empty() { f.write_str("no room has changed") } else { Ok(()) }
    }
}

/// Names the rooms.
impl fmt::Display for RenewedRooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.first.join(", ");
        match self.count {
            1 => write!(f, "room {names}"),
            count if count > self.first.len() => write!(f, "{count} rooms ({names}, …)"),
            count => write!(f, "{count} rooms ({names})"),
        }
    }
}

impl From<Ending> for RoomError {
    fn from(_: Ending) -> Self {
        Self::Ending
    }
}
