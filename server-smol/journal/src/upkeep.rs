use crate::{
    BaseKind, Disk, Entries, Journal, JournalError, RoomNumber,
    journal::{SPARES, Writer},
    layout::BATCH,
    record::{HEAD, Kind, MAX_BODY, Record},
    segment::{damaged_name, segment_name, spare_name},
    stats::DamagedRoom,
};

/// The bytes of histories that one step moves, but at least one history, and at most a quarter of a segment.
const STEP: u64 = 256 << 10;
/// The most files with damaged bytes that are kept: these or an eighth of all.
const MOST_DAMAGED: u64 = 4;
/// Segments are not emptied if there are fewer than this.
const FEW_SEGMENTS: u64 = 16;

impl<D: Disk> Journal<D> {
    /// Does one bounded step of upkeep, if any is due: it makes a segment free, creates or removes a spare, moves some
    /// histories out of the oldest segment, or writes a checkpoint. Returns whether something was done, so that there
    /// may be more. What was acknowledged never depends on it; [`write`](Self::write) does what cannot wait.
    ///
    /// # Errors
    ///
    /// [`Full`](JournalError::Full): there is no space for a spare. [`Read`](JournalError::Read): a history cannot be
    /// moved. The journal can be used further after these, but not after [`Broken`](JournalError::Broken).
    pub fn maintain(&mut self) -> Result<bool, JournalError> {
        self.check_broken()?;
        if self.retire_empty()? {
            return Ok(true);
        }
        let spares = self.spares.len() as u64;
        let files = self.used() + spares;
        let target = self.target();
        if spares < SPARES && files < self.most_segments() {
            match self.make_spare() {
                Ok(()) => return Ok(true),
                // Emptying a segment makes one too.
                Err(JournalError::Full(_)) if self.used() > target => {}
                Err(error) => return Err(error),
            }
        }
        let mut moved = Ok(false);
        if self.used() > target {
            moved = match self.move_some() {
                Ok(()) => return Ok(true),
                // What cannot be read stays where it is. All else goes on.
                Err(error @ JournalError::Read(_)) => Err(error),
                Err(error) => return Err(error),
            };
        }
        if self.checkpoint_is_due() && self.write_checkpoint()? {
            return Ok(true);
        }
        if spares > SPARES && files > target + SPARES {
            self.remove_spare()?;
            return Ok(true);
        }
        moved
    }

    /// Writes a checkpoint and makes all durable. The next start is faster than without it, but is otherwise the same.
    ///
    /// # Errors
    ///
    /// [`Broken`](JournalError::Broken): what was written since the last [`sync`](Self::sync) may be lost.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.check_broken()?;
        if self.since_checkpoint > 0 {
            self.write_checkpoint()?;
        }
        self.sync()?;
        self.mark_durable()
    }

    /// Writes an empty commit, which says that those before it are durable, so that recovery need not write them again.
    pub(crate) fn mark_durable(&mut self) -> Result<(), JournalError> {
        if self.layout.size - self.head.offset > BATCH {
            self.begin_commit();
            self.append()?;
        }
        self.sync()
    }

    /// Returns how many segments there may be before the oldest is emptied.
    fn target(&self) -> u64 {
        let live = self.index.live.div_ceil(self.layout.usable());
        let times = u64::from(self.options.times_live.max(2));
        (times * live).max(FEW_SEGMENTS).min(self.most_segments() * 3 / 4)
    }

    /// Makes the oldest segment a spare, if no room needs it. One with damaged bytes is kept under another name.
    fn retire_empty(&mut self) -> Result<bool, JournalError> {
        let empty = self.index.based.front().is_none_or(|based| based.rooms == 0);
        if !empty || self.index.oldest >= self.head.segment {
            return Ok(false);
        }
        // What took the place of its records has to be durable first.
        self.sync()?;
        let oldest = self.index.oldest;
        let is_kept = self.index.damaged.contains(&oldest) && self.damaged_files < self.most_damaged_files();
        let name = if is_kept {
            damaged_name(oldest)
        } else {
            self.next_spare += 1;
            spare_name(self.next_spare)
        };
        let result = self.disk.rename(&segment_name(oldest), &name);
        self.or_break(result)?;
        let result = self.disk.sync_directory();
        self.or_break(result)?;
        if is_kept {
            self.damaged_files += 1;
        } else {
            self.spares.push(name);
        }
        self.index.retire_oldest();
        self.moving.clear();
        Ok(true)
    }

    /// Returns how many files with damaged bytes are kept.
    fn most_damaged_files(&self) -> u64 {
        (self.most_segments() / 8).min(MOST_DAMAGED)
    }

    /// Returns the rooms that were found to be damaged since the last call, and given up. They have their ids until they end, and
    /// [`history`](Self::history) names the place of the damage.
    pub fn take_damaged(&mut self) -> Vec<DamagedRoom> {
        std::mem::take(&mut self.damaged)
    }

    /// Moves some histories out of the oldest segment to the head. One that is damaged is given up, so that it does not hold the segment.
    /// If the disk can read none of those that are left, returns the error.
    fn move_some(&mut self) -> Result<(), JournalError> {
        let oldest = self.index.oldest;
        if oldest >= self.head.segment {
            return Ok(());
        }
        let layout = self.layout;
        let is_old = |base: u64| layout.segment(base) == oldest;
        if self.moving.is_empty() {
            self.moving =
                self.index.iter().filter(|room| is_old(room.base)).map(|room| room.number).collect();
        }
        let most = STEP.min(self.layout.size / 4) as usize;
        let mut entries = Entries::default();
        let mut left = self.moving.len();
        let mut unreadable = None;
        let mut damaged = Vec::new();
        while left > 0 && entries.len() < most {
            left -= 1;
            let number = self.moving[left];
            let Some(room) = self.index.get(number) else { continue };
            if self.layout.segment(room.base) != oldest {
                continue;
            }
            if !entries.is_empty() && entries.len() as u64 + room.bytes() > most as u64 {
                left += 1;
                break;
            }
            let id = room.id.clone();
            let number = RoomNumber(number);
            let history = match self.history(number) {
                Ok(history) => history,
                Err(JournalError::Damaged { segment, offset }) => {
                    let (is_new, mark) = self.mark(number, layout.position(segment, offset))?;
                    entries.damaged(number, &id, &mark);
                    if is_new {
                        damaged.push(DamagedRoom { id, segment, offset });
                    }
                    continue;
                }
                Err(error) => {
                    unreadable = Some(error);
                    continue;
                }
            };
            match history.kind {
                BaseKind::Created => entries.create(number, &id, history.base()),
                BaseKind::Snapshot => entries.snapshot(number, history.due, history.base()),
            }
            for event in history.events() {
                entries.event(number, event.timer, event.event);
            }
        }
        if entries.is_empty()
            && let Some(error) = unreadable
        {
            return Err(error);
        }
        if !entries.is_empty() {
            let before = self.stats.bytes_written;
            self.commit(&[&entries], Writer::Upkeep)?;
            self.stats.bytes_moved += self.stats.bytes_written - before;
            self.damaged.append(&mut damaged);
        }
        self.moving.truncate(left);
        Ok(())
    }

    /// Makes the oldest segment free for a commit that begins this many segments, if that is worth it.
    pub(crate) fn reclaim(&mut self, needed: u64) -> Result<bool, JournalError> {
        let oldest = self.index.oldest;
        if oldest >= self.head.segment {
            return Ok(false);
        }
        // At most seven eighths live when all is moved. Otherwise most of what is moved would be moved in vain.
        let live = self.index.live.div_ceil(self.layout.usable());
        let empty = self.index.based.front().is_none_or(|based| based.rooms == 0);
        if !empty && (live + needed + 2 > self.most_segments() * 7 / 8 || live + 1 >= self.used()) {
            return Ok(false);
        }
        while !self.retire_empty()? {
            match self.move_some() {
                Ok(()) => {}
                Err(JournalError::Full(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn checkpoint_is_due(&self) -> bool {
        self.since_checkpoint >= self.options.checkpoint_every.max(8 * self.checkpoint_bytes)
    }

    /// Writes a checkpoint. Returns whether there was space for it.
    pub(crate) fn write_checkpoint(&mut self) -> Result<bool, JournalError> {
        let body = self.index.encode();
        let bytes = body.len() as u64 + HEAD;
        let space = self.segments_for(bytes);
        if body.len() as u64 > MAX_BODY || self.reserve(space, Writer::Caller, false).is_err() {
            self.check_broken()?;
            // Without one, recovery takes longer. The next attempt is after as many bytes again.
            self.since_checkpoint = 0;
            return Ok(false);
        }
        self.begin_commit();
        let begins = self.layout.segment(self.layout.start(self.head.segment, self.data_offset()));
        self.put(&Record { kind: Kind::Checkpoint, room: 0, back: 0, timer: None, id: "", body: &body });
        let before = self.stats.bytes_written;
        self.append()?;
        self.stats.bytes_checkpoints += self.stats.bytes_written - before;
        self.checkpoint = begins;
        self.checkpoint_bytes = bytes;
        self.since_checkpoint = 0;
        Ok(true)
    }

    fn remove_spare(&mut self) -> Result<(), JournalError> {
        if let Some(spare) = self.spares.pop() {
            let result = self.disk.remove(&spare);
            self.or_break(result)?;
            let result = self.disk.sync_directory();
            self.or_break(result)?;
        }
        Ok(())
    }
}
