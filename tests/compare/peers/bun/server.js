// Rooms on Bun's own WebSockets and topics: `bun server.js PORT echo|broadcast`.
const [port, mode] = process.argv.slice(2);
const isEcho = mode === 'echo';

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: Number(port),
  fetch(request, server) {
    const room = new URL(request.url).pathname;
    return server.upgrade(request, { data: { room } }) ? undefined : new Response('no', { status: 404 });
  },
  websocket: {
    open(socket) {
      if (!isEcho) socket.subscribe(socket.data.room);
    },
    message(socket, message) {
      if (isEcho) socket.send(message);
      else server.publish(socket.data.room, message);
    },
  },
});
