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
    history: { type: "string", default: "0" },
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
}

// The newest messages in the room of each path, and the number of the last one.
const pasts = new Map();
const kept = Number(flags.history);

function pastOf(path) {
  const past = pasts.get(path) ?? { messages: [], last: 0 };
  pasts.set(path, past);
  return past;
}

function keep(path, message, binary) {
  const past = pastOf(path);
  past.messages.push({ message, binary });
  past.last += 1;
  if (past.messages.length > kept) past.messages.shift();
  return past.last;
}

// Sends what a client has missed since the message with this number, if all of it is kept.
function replay(client, path, after) {
  const past = pastOf(path);
  const missed = past.last - after;
  if (!(missed > 0 && missed <= past.messages.length)) return;
  for (const { message, binary } of past.messages.slice(-missed)) client.send(message, { binary });
}

function broadcast(path, message, binary) {
  const position = kept > 0 ? keep(path, message, binary) : undefined;
  const room = rooms.get(path) ?? new Set();
  for (const client of room) {
    if (client.readyState === WebSocket.OPEN) client.send(message, { binary });
  }
  return { members: room.size, position };
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
    const published = broadcast(request.url, Buffer.concat(pieces), false);
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(published));
  });
}

server.on("connection", (client, request) => {
  const [path, query] = request.url.split("?");
  enter(client, path);
  const after = new URLSearchParams(query).get("after");
  if (after !== null) replay(client, path, Number(after));
  client.on("error", () => client.terminate());
  client.on("message", (message, binary) => {
    if (flags.mode === "echo") client.send(message, { binary });
    else broadcast(path, message, binary);
  });
});

// The other servers let as many wait to be accepted.
http.listen(Number(flags.port), "127.0.0.1", 4096, () => {
  console.log(`listening on ${http.address().port}`);
});
