// Rooms on the package `ws`: `node server.mjs PORT echo|broadcast`.
import { WebSocketServer } from 'ws';

const [port, mode] = process.argv.slice(2);
const rooms = new Map();

function join(name, socket) {
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room);
  room.add(socket);
  socket.on('close', () => {
    room.delete(socket);
    if (room.size === 0) rooms.delete(name);
  });
  return room;
}

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(port), perMessageDeflate: false, backlog: 4096 });
server.on('connection', (socket, request) => {
  const room = join(request.url, socket);
  socket.on('error', () => {});
  socket.on('message', (data, binary) => {
    if (mode === 'echo') return socket.send(data, { binary });
    for (const client of room) client.send(data, { binary });
  });
});
