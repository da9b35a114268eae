use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
};

use super::transport::Transport;

/// A transport for tests that behaves like TLS. Bytes are sent in records. A record is delivered when all of
/// it has arrived. It is written by a flush or by the next write.
///
/// Both ends use it. With a socket that blocks, it is the end of a client.
#[derive(Debug)]
pub(crate) struct Records {
    socket: UnixStream,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes of an incomplete record.
    sealed: Vec<u8>,
    /// The bytes that have arrived and are not delivered yet.
    open: VecDeque<u8>,
    /// The buffered bytes.
    held: VecDeque<u8>,
    /// The generator for the size of the next piece.
    sizes: usize,
}

/// The size of a record before its content, in bytes.
const HEAD: usize = 2;

/// The key that makes the bytes of a record different from its content.
const KEY: u8 = 0xa5;

impl Records {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, state: RefCell::default() }
    }

    /// Returns the number of buffered bytes.
    fn held(&self) -> usize {
        self.state.borrow().held.len()
    }
}

impl State {
    /// Returns the size of the next piece, in bytes: a few, or many.
    fn size(&mut self) -> usize {
        const SIZES: [usize; 7] = [1, 2_000, 7, 130, 16_000, 3, 4_097];
        self.sizes += 1;
        SIZES[self.sizes % SIZES.len()]
    }

    /// Decodes the complete records.
    fn open(&mut self) {
        while let Some((head, content)) = self.sealed.split_first_chunk::<HEAD>() {
            let size = usize::from(u16::from_be_bytes(*head));
            let Some(content) = content.get(..size) else { return };
            self.open.extend(content.iter().map(|byte| byte ^ KEY));
            self.sealed.drain(..HEAD + size);
        }
    }
}

impl Transport for Records {
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        while state.open.is_empty() {
            let mut read = vec![0; state.size()];
            match self.socket.read(&mut read)? {
                0 if state.sealed.is_empty() => return Ok(0),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                size => state.sealed.extend(&read[..size]),
            }
            state.open();
        }
        let size = state.size().min(bytes.len());
        state.open.read(&mut bytes[..size])
    }

    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush()?;
        let mut state = self.state.borrow_mut();
        let most = state.size();
        let content: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).take(most).collect();
        let head = u16::try_from(content.len()).expect("a record is small").to_be_bytes();
        state.held.extend(head);
        state.held.extend(content.iter().map(|byte| byte ^ KEY));
        Ok(content.len())
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        while !state.held.is_empty() {
            let written = Write::write(&mut &self.socket, state.held.as_slices().0)?;
            state.held.drain(..written);
        }
        Ok(())
    }

    fn end_writing(&self) -> io::Result<()> {
        assert_eq!(self.held(), 0, "it is lost");
        self.socket.end_writing()
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The end of a client, whose socket blocks.
impl Read for Records {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Transport::read(self, bytes)
    }
}

impl Write for Records {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Transport::write(self, &[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Transport::flush(self)
    }
}
