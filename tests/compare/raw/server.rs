use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    fd::OwnedFd,
    net::listen,
};

/// The answer to the one key that it knows.
const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const LISTENER: u64 = u64::MAX;
const READ: usize = 64 << 10;

struct Client {
    socket: TcpStream,
    /// The bytes that the socket did not take.
    out: Vec<u8>,
    /// The beginning of a frame, or of a request.
    rest: Vec<u8>,
    room: Option<usize>,
    /// True if the socket takes no more at present.
    is_full: bool,
    /// True if it is in the list of connections with bytes to write.
    is_due: bool,
}

struct Server {
    epoll: OwnedFd,
    is_echo: bool,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    rooms: Vec<Vec<usize>>,
    names: HashMap<Vec<u8>, usize>,
    /// The connections that have bytes to write after everything has been read.
    due: Vec<usize>,
}

pub(crate) fn run(port: u16, is_echo: bool) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let (clients, free, rooms, names, due) = Default::default();
    let mut server = Server { epoll, is_echo, clients, free, rooms, names, due };
    let (mut events, mut buffer) = (Vec::with_capacity(1024), vec![0; READ]);
    loop {
        events.clear();
        epoll::wait(&server.epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            match { event.data }.u64() {
                LISTENER => server.accept(&listener)?,
                token => server.read(token as usize, &mut buffer),
            }
        }
        while let Some(token) = server.due.pop() {
            server.flush(token);
        }
    }
}

impl Client {
    /// Puts something at the end of what is to be written.
    fn put(&mut self, parts: &[&[u8]], token: usize, due: &mut Vec<usize>) {
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
        if !self.is_due {
            self.is_due = true;
            due.push(token);
        }
    }
}

impl Server {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        while let Ok((socket, _)) = listener.accept() {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let token = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            epoll::add(&self.epoll, &socket, EventData::new_u64(token as u64), EventFlags::IN)?;
            self.clients[token] = Some(Client {
                socket,
                out: Vec::new(),
                rest: Vec::new(),
                room: None,
                is_full: false,
                is_due: false,
            });
        }
        Ok(())
    }

    fn read(&mut self, token: usize, buffer: &mut Vec<u8>) {
        let Some(client) = &mut self.clients[token] else { return };
        let kept = client.rest.len();
        if buffer.len() < kept + READ {
            buffer.resize(kept + READ, 0);
        }
        let count = match client.socket.read(&mut buffer[kept..]) {
            Ok(count @ 1..) => count,
            // It is writable again, and nothing more.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.flush(token),
            _ => return self.remove(token),
        };
        buffer[..kept].copy_from_slice(&client.rest);
        client.rest.clear();
        let mut bytes = &mut buffer[..kept + count];
        if client.room.is_none() {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                return client.rest.extend_from_slice(bytes);
            };
            client.put(&[UPGRADE], token, &mut self.due);
            // `GET /ws/7 HTTP/1.1`
            let name = bytes.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
            let room = match self.names.get(name) {
                Some(&room) => room,
                None => {
                    self.names.insert(name.to_owned(), self.rooms.len());
                    self.rooms.push(Vec::new());
                    self.rooms.len() - 1
                }
            };
            self.rooms[room].push(token);
            client.room = Some(room);
            bytes = &mut bytes[end + 4..];
        }
        let rest = self.turn_round(token, bytes);
        let at = bytes.len() - rest;
        if let Some(client) = &mut self.clients[token] {
            client.rest.extend_from_slice(&bytes[at..]);
        }
    }

    /// Sends on the frames in `bytes`; returns how many bytes of another one are left.
    fn turn_round(&mut self, token: usize, mut bytes: &mut [u8]) -> usize {
        loop {
            let (head, size) = match *bytes {
                [_, second, ..] if second & 0x7f < 126 => (2, usize::from(second & 0x7f)),
                [_, second, a, b, ..] if second & 0x7f == 126 => (4, usize::from(u16::from_be_bytes([a, b]))),
                [_, 0xff, a, b, c, d, e, f, g, h, ..] => {
                    (10, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize)
                }
                _ => return bytes.len(),
            };
            if bytes.len() < head + 4 + size {
                return bytes.len();
            }
            let (frame, rest) = bytes.split_at_mut(head + 4 + size);
            bytes = rest;
            let (head, payload) = frame.split_at_mut(head + 4);
            let (head, key) = head.split_at_mut(head.len() - 4);
            let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
            let (chunks, end) = payload.as_chunks_mut::<8>();
            for chunk in chunks {
                *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
            }
            end.iter_mut().zip(&*key).for_each(|(byte, key)| *byte ^= key);
            head[1] &= 0x7f;
            // A farewell goes back, too, and then the client ends the connection.
            let is_message = head[0] & 0x08 == 0;
            match self.clients[token].as_mut().and_then(|client| client.room) {
                Some(room) if is_message && !self.is_echo => {
                    for &member in &self.rooms[room] {
                        if let Some(client) = &mut self.clients[member] {
                            client.put(&[head, payload], member, &mut self.due);
                        }
                    }
                }
                _ => {
                    if let Some(client) = &mut self.clients[token] {
                        client.put(&[head, payload], token, &mut self.due);
                        if head[0] == 0x88 {
                            let _ = client.socket.write(&client.out);
                            self.remove(token);
                            return 0;
                        }
                    }
                }
            }
        }
    }

    fn flush(&mut self, token: usize) {
        let Some(client) = &mut self.clients[token] else { return };
        client.is_due = false;
        while !client.out.is_empty() {
            match client.socket.write(&client.out) {
                Ok(count) => drop(client.out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return self.remove(token),
            }
        }
        if client.is_full == client.out.is_empty() {
            client.is_full = !client.is_full;
            let flags = if client.is_full { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let _ = epoll::modify(&self.epoll, &client.socket, EventData::new_u64(token as u64), flags);
        }
    }

    fn remove(&mut self, token: usize) {
        let Some(client) = self.clients[token].take() else { return };
        self.free.push(token);
        if let Some(room) = client.room {
            self.rooms[room].retain(|&member| member != token);
        }
    }
}
