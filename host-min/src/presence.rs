use alloc::vec::Vec;

use stateroom_core::ClientId;

use crate::reader::{Reader, Short};

/// The data that a host needs to continue with a room, and that the guest cannot see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presence {
    /// The connected clients, in order of their ids.
    clients: Vec<ClientId>,
    /// The lowest id that no client of the room has ever had.
    next_client: ClientId,
    /// The time at which the timer is due, in milliseconds since the Unix epoch.
    timer_due: Option<u64>,
    /// The time of the last event, in milliseconds since the Unix epoch.
    now_ms: u64,
}

impl Default for Presence {
    fn default() -> Self {
        Self { clients: Vec::new(), next_client: ClientId(1), timer_due: None, now_ms: 0 }
    }
}

impl Presence {
    pub(crate) fn clients(&self) -> &[ClientId] {
        &self.clients
    }

    pub(crate) fn next_client(&self) -> ClientId {
        self.next_client
    }

    pub(crate) fn timer_due(&self) -> Option<u64> {
        self.timer_due
    }

    /// Returns the time of an event that begins now. For the guest, the time never goes back.
    pub(crate) fn time(&self, now_ms: u64) -> u64 {
        now_ms.max(self.now_ms)
    }

    /// Notes the time of an event.
    pub(crate) fn set_time(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Notes that the timer has fired.
    pub(crate) fn take_timer(&mut self) {
        self.timer_due = None;
    }

    pub(crate) fn connect(&mut self, client: ClientId) {
        self.next_client = self.next_client.max(ClientId(client.0.saturating_add(1)));
        if let Err(index) = self.clients.binary_search(&client) {
            self.clients.insert(index, client);
        }
    }

    #[cold]
    pub(crate) fn disconnect(&mut self, client: ClientId) {
        if let Ok(index) = self.clients.binary_search(&client) {
            self.clients.remove(index);
        }
    }

    /// Notes that an event at `now_ms` has set the timer to this delay in milliseconds, or has cancelled it with 0.
    pub(crate) fn set_timer(&mut self, now_ms: u64, ms: u32) {
        self.timer_due = (ms > 0).then(|| now_ms.saturating_add(ms.into()));
    }

    /// Returns its size in bytes, in addition to the structure itself.
    pub(crate) fn held(&self) -> usize {
        self.clients.capacity() * size_of::<ClientId>()
    }

    /// Frees the memory that is not used.
    pub(crate) fn shrink(&mut self) {
        self.clients.shrink_to_fit();
    }

    /// Writes it as a part of a snapshot.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.next_client.0.to_le_bytes());
        // Each has an id of 32 bits.
        out.extend((self.clients.len() as u32).to_le_bytes());
        out.extend(self.clients.iter().flat_map(|client| client.0.to_le_bytes()));
        out.push(self.timer_due.is_some().into());
        out.extend(self.timer_due.iter().flat_map(|due| due.to_le_bytes()));
        out.extend(self.now_ms.to_le_bytes());
    }

    /// Reads what [`put`](Self::put) has written. Returns `None` if it cannot be right.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Short> {
        let next_client = ClientId(reader.u32()?);
        let count = reader.u32()? as usize;
        let (ids, []) = reader.bytes(count.saturating_mul(size_of::<u32>()))?.as_chunks() else {
            return Ok(None);
        };
        let clients: Vec<_> = ids.iter().map(|id| ClientId(u32::from_le_bytes(*id))).collect();
        let timer_due = match reader.byte()? {
            0 => None,
            1 => Some(reader.u64()?),
            _ => return Ok(None),
        };
        let now_ms = reader.u64()?;
        let is_right = clients.is_sorted_by(|one, next| one < next)
            && clients.last().is_none_or(|last| *last < next_client || *last == ClientId(u32::MAX))
            && next_client >= ClientId(1);
        Ok(is_right.then_some(Self { clients, next_client, timer_due, now_ms }))
    }
}
