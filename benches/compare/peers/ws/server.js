// A chat on Node's `ws`, as its documentation writes one.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { parseArgs } from "node:util";
import { WebSocket, WebSocketServer } from "ws";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    mode: { type: "string", default: "broadcast" },
    deflate: { type: "string", default: "off" },
    cert: { type: "string" },
    key: { type: "string" },
  },
});

// By default, `ws` does not compress messages under 1,024 bytes.
const deflate = {
  off: false,
  takeover: { threshold: 0 },
  none: { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
}[flags.deflate];

const http = flags.cert
  ? createTlsServer({ cert: readFileSync(flags.cert), key: readFileSync(flags.key) }, answer)
  : createServer(answer);

const server = new WebSocketServer({
  server: http,
  perMessageDeflate: deflate,
  // The rooms below hold the clients.
  clientTracking: false,
});

// The clients in the room of each path.
const rooms = new Map();

function enter(client, path) {
  const room = rooms.get(path) ?? new Set();
  rooms.set(path, room.add(client));
  client.on("close", () => {
    room.delete(client);
    if (room.size === 0) rooms.delete(path);
  });
  return room;
}

function broadcast(room, message, binary) {
  for (const client of room) {
    if (client.readyState === WebSocket.OPEN) client.send(message, { binary });
  }
}

// Publishes the body of a request.
function answer(request, response) {
  if (request.method !== "POST") {
    response.writeHead(426).end();
    return;
  }
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const room = rooms.get(request.url) ?? new Set();
    broadcast(room, Buffer.concat(pieces), false);
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ members: room.size }));
  });
}

server.on("connection", (client, request) => {
  const room = enter(client, request.url);
  client.on("error", () => client.terminate());
  client.on("message", (message, binary) => {
    if (flags.mode === "echo") client.send(message, { binary });
    else broadcast(room, message, binary);
  });
});

http.listen(Number(flags.port), "127.0.0.1", () => {
  console.log(`listening on ${http.address().port}`);
});
