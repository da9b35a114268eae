use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::Duration,
};

use smol::{channel::Receiver, future::or, unblock};
use stateroom_core::ClientId;

use crate::{
    admin_address::AdminAddress,
    close::CloseReason,
    error::{RoomError, ServeError},
    operator::Operator,
    room::{RoomId, RoomStatus},
    worker::{Counts, Ending, Workers},
};

/// The time that the threads have to end. A native service that does not return may keep its thread for longer. The
/// server does not wait for it.
const TIMEOUT: Duration = Duration::from_millis(1_900);

/// A server that runs, on threads of its own. It ends when this is [shut down](Self::shutdown), or dropped.
#[derive(Debug)]
pub struct ServerHandle {
    pub(super) address: SocketAddr,
    pub(super) workers: Workers,
    pub(super) operator: Option<Operator>,
    pub(super) threads: Vec<JoinHandle<Result<(), ServeError>>>,
    /// A channel that closes when all threads have ended.
    pub(super) ended: Receiver<()>,
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
    /// Returns the address that the server listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the host and the port by which programs on this machine reach the server, such as `localhost:8080`.
    #[must_use]
    pub fn local_host(&self) -> String {
        super::local_host(self.address)
    }

    /// Lists up to `most` rooms, and at most 1,000, in the order of their ids: the first rooms, or those after the room `after`.
    ///
    /// # Errors
    /// [`RoomError::InvalidId`], or [`RoomError::Ending`].
    pub async fn rooms(&self, after: Option<&str>, most: usize) -> Result<Vec<RoomInfo>, RoomError> {
        let after = after.map(room_id).transpose()?;
        let rooms = self.workers.list(after.as_ref(), most).await?;
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

    /// Ends a room: its clients are closed with 1001. Answers whether there was one.
    ///
    /// # Errors
    /// [`RoomError::InvalidId`], or [`RoomError::Ending`].
    pub async fn close_room(&self, id: &str) -> Result<bool, RoomError> {
        Ok(self.workers.close(&room_id(id)?).await?)
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
        self.end(&CloseReason::ServerShutdown);
    }

    /// Does the same where another server is about to take the place of this one: clients are closed with 1012, and know that they
    /// may connect again at once.
    pub fn begin_restart(&self) {
        self.end(&CloseReason::ServiceRestart);
    }

    /// Ends the server: clients get a close frame, and this returns within two seconds. Where a native service keeps its thread
    /// longer, it says so in the log and does not wait for it.
    ///
    /// # Errors
    /// A thread has [panicked](ServeError::Panicked), or could not begin.
    pub async fn shutdown(mut self) -> Result<(), ServeError> {
        self.end(&CloseReason::ServerShutdown);
        let all = async { while self.ended.recv().await.is_ok() {} };
        // Whoever runs this future may have no timers.
        let patience = unblock(|| thread::sleep(TIMEOUT));
        or(all, patience).await;
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            // A thread that has told of its end may still have to return.
            if !thread.is_finished() && !self.ended.is_closed() {
                log::warn!("a room keeps its thread busy, and the server does not wait for it any longer");
                continue;
            }
            result = result.and(thread.join().unwrap_or(Err(ServeError::Panicked)));
        }
        result
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.end(&CloseReason::ServerShutdown);
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

impl From<Ending> for RoomError {
    fn from(_: Ending) -> Self {
        Self::Ending
    }
}
