use std::{
    io::{self, IoSlice},
    mem,
    rc::Rc,
};

use crate::{
    memory::{Buffer, OutOfMemory},
    reactor::Stream,
    websocket::Head,
};

use super::{
    Buffers, Frame, SharedFrame,
    chunks::{Chunk, Chunks, Discarded, PLACE},
    frame::SHARED,
};

/// The approximate size of a chunk. A chunk is freed only when it is fully written, so chunks are small: otherwise a
/// client that is always slightly behind pins memory.
pub(super) const CHUNK: usize = 64 << 10;
/// The approximate size of a chunk while the socket takes nothing. These grow little: otherwise all clients of a room that do
/// not read would have their chunks copied to twice the size with the same message.
const BLOCKED_CHUNK: usize = 4 << 10;
/// The number of chunks that one system call writes.
const CHUNKS: usize = 64;
/// The number of bytes that are written in one step: some 0.1 ms.
pub(super) const STEP: usize = 256 << 10;

/// Bytes that wait to be written, as they go over the network.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The chunks before `last`; none if the client keeps up.
    first: Chunks,
    last: Option<Buffer>,
    /// The number of bytes of the very first chunk that have been written.
    written: usize,
    /// The number of bytes that wait.
    pub(super) size: usize,
    /// The number of bytes of chunks that other outboxes have as well.
    shared: usize,
}

/// The result of a step of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// There is more, and the socket may take it.
    Some,
}

impl Queue {
    /// Adds a frame.
    ///
    /// # Errors
    /// There is no memory for it. Nothing is added.
    // It is called for each message to each client, from one place.
    #[inline(always)]
    pub(super) fn push(&mut self, frame: &Frame<'_>, buffers: &Buffers) -> Result<(), OutOfMemory> {
        let size = frame.size();
        match frame {
            Frame::Parts(head, payload) => {
                let end = self.end(size, buffers)?;
                end.reserve(size)?;
                // There is space for both.
                end.extend(head.as_ref())?;
                end.extend(payload)?;
            }
            Frame::Encoded(bytes) => self.end(size, buffers)?.extend(bytes)?,
            Frame::Shared(frame) => self.push_shared(frame, buffers)?,
        }
        self.size += size;
        Ok(())
    }

    #[inline(never)]
    fn push_shared(&mut self, frame: &Rc<SharedFrame>, buffers: &Buffers) -> Result<(), OutOfMemory> {
        let bytes = (**frame).as_ref();
        if bytes.len() < SHARED {
            // It takes less to copy it than to refer to it.
            return self.end(bytes.len(), buffers)?.extend(bytes);
        }
        self.end_last(buffers)?;
        self.first.reserve(buffers.ledger())?;
        self.first.push_back(Chunk::Shared(Rc::clone(frame)));
        self.shared += bytes.len();
        Ok(())
    }

    /// Returns the buffer for a frame of `size` bytes.
    #[inline]
    fn end(&mut self, size: usize, buffers: &Buffers) -> Result<&mut Buffer, OutOfMemory> {
        self.end_chunk(size, CHUNK, buffers)?;
        Ok(self.last.get_or_insert_with(|| buffers.take()))
    }

    /// Prepares for a frame of `size` bytes while the socket takes nothing. What waits for those who do not read leaves space for
    /// the answers to others.
    ///
    /// # Errors
    /// There is no memory for it.
    #[cold]
    pub(super) fn prepare_blocked(
        &mut self,
        frame: &Frame<'_>,
        buffers: &Buffers,
    ) -> Result<(), OutOfMemory> {
        let size = frame.size();
        self.end_chunk(size, BLOCKED_CHUNK, buffers)?;
        match frame {
            Frame::Shared(_) if size >= SHARED => Ok(()),
            _ => self.last.get_or_insert_with(|| buffers.take()).reserve_refusable(size),
        }
    }

    /// Ends the last chunk if it would have more than `most` bytes with a frame of `size` bytes.
    #[inline]
    fn end_chunk(&mut self, size: usize, most: usize, buffers: &Buffers) -> Result<(), OutOfMemory> {
        if self.last.as_ref().is_some_and(|last| last.len() + size > most && !last.is_empty()) {
            self.end_last(buffers)?;
        }
        Ok(())
    }

    /// Ends the last chunk.
    fn end_last(&mut self, buffers: &Buffers) -> Result<(), OutOfMemory> {
        if self.last.is_some() {
            self.first.reserve(buffers.ledger())?;
            self.last.take().into_iter().for_each(|last| self.first.push_back(Chunk::Own(last)));
        }
        Ok(())
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self, discarded: &mut Discarded) {
        discarded.add(mem::take(self).first);
    }

    /// Forgets everything but the rest of a frame that has been written in part.
    pub(super) fn keep_begun(&mut self, discarded: &mut Discarded) {
        let begun = self.first.pop_front();
        discarded.add(mem::take(&mut self.first));
        self.shared = 0;
        match begun {
            // It is a single frame.
            Some(Chunk::Shared(frame)) => {
                self.last = None;
                if self.written == 0 {
                    self.size = 0;
                    return;
                }
                self.shared = frame.as_ref().as_ref().len();
                self.size = self.shared - self.written;
                self.first.push_back(Chunk::Shared(frame));
                return;
            }
            Some(Chunk::Own(bytes)) => self.last = Some(bytes),
            None => {}
        }
        // Chunks begin and end with frames.
        let mut end = 0;
        if let Some(last) = &mut self.last {
            while end < self.written {
                end += Head::frame_size(&last[end..]);
            }
            last.truncate(end);
        }
        self.size = end - self.written;
        if self.size == 0 {
            *self = Self::default();
        }
    }

    /// Returns about how many bytes of memory [`keep_begun`](Self::keep_begun) would free.
    pub(super) fn reclaimable(&self) -> usize {
        let begun = match self.first.front() {
            _ if self.written == 0 => 0,
            Some(Chunk::Own(bytes)) => bytes.len() - self.written,
            Some(Chunk::Shared(_)) => 0,
            // Its buffer is needed for the rest of the frame.
            None => return 0,
        };
        (self.size - self.shared).saturating_sub(begun) + self.first.len() * PLACE
    }

    /// Writes until everything is written, the stream takes no more, or it is enough for one step.
    // It is called for each message to each client, from one place.
    #[inline(always)]
    pub(super) fn write(&mut self, stream: &Stream, buffers: &Buffers) -> io::Result<Written> {
        // Nearly always it is one chunk, and the socket takes all of it.
        if self.first.is_empty()
            && let Some(last) = &self.last
            && self.size <= STEP
        {
            let written = stream.try_write(&[IoSlice::new(&last[self.written..])])?;
            if written == self.size {
                (self.size, self.written) = (0, 0);
                self.last.take().into_iter().for_each(|last| buffers.give_back(last));
                stream.flush()?;
                return Ok(Written::All);
            }
            self.advance(written);
        }
        self.write_up_to(stream, buffers, 0)
    }

    /// Writes like [`write`](Self::write), but leaves the last `held_back` bytes.
    #[cold]
    #[inline(never)]
    pub(super) fn write_up_to(
        &mut self,
        stream: &Stream,
        buffers: &Buffers,
        held_back: usize,
    ) -> io::Result<Written> {
        let mut step = 0;
        while self.size > held_back {
            let most = self.size - held_back;
            if step >= STEP {
                return Ok(Written::Some);
            }
            let written = if self.first.is_empty() {
                let bytes = &self.last()[self.written..];
                stream.try_write(&[IoSlice::new(&bytes[..bytes.len().min(most)])])
            } else {
                let mut slices = [IoSlice::new(&[]); CHUNKS];
                let chunks = self.first.iter().map(Chunk::as_ref).chain([self.last()]);
                let (mut skipped, mut left) = (self.written, most);
                for (slice, chunk) in slices.iter_mut().zip(chunks) {
                    let bytes = &chunk[mem::take(&mut skipped)..];
                    let bytes = &bytes[..bytes.len().min(left)];
                    left -= bytes.len();
                    *slice = IoSlice::new(bytes);
                }
                stream.try_write(&slices)
            };
            let written = written?;
            step += written;
            self.advance(written);
        }
        if self.size == 0
            && let Some(last) = self.last.take()
        {
            buffers.give_back(last);
        }
        stream.flush()?;
        Ok(Written::All)
    }

    fn last(&self) -> &[u8] {
        self.last.as_deref().unwrap_or_default()
    }

    /// Forgets bytes that have been written.
    fn advance(&mut self, size: usize) {
        self.size -= size;
        self.written += size;
        while let Some(chunk) = self.first.front().map(|chunk| chunk.as_ref().len())
            && self.written >= chunk
        {
            self.written -= chunk;
            if let Some(Chunk::Shared(_)) = self.first.pop_front() {
                self.shared -= chunk;
            }
        }
        if self.first.is_empty() && self.written == self.last().len() {
            self.written = 0;
            self.last.iter_mut().for_each(Buffer::clear);
        }
    }

    /// Returns how much memory the chunks take, beside what clients share.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let first = self.first.iter().map(|chunk| match chunk {
            Chunk::Own(bytes) => bytes.capacity(),
            Chunk::Shared(_) => 0,
        });
        first.sum::<usize>() + self.last.as_ref().map_or(0, Buffer::capacity)
    }
}
