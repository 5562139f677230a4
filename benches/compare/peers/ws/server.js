// A chat on Node's `ws`, as its documentation writes one.

import { parseArgs } from "node:util";
import { WebSocket, WebSocketServer } from "ws";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    mode: { type: "string", default: "broadcast" },
    deflate: { type: "string", default: "off" },
  },
});

// `ws` leaves messages under 1,024 bytes uncompressed unless it is told otherwise.
const deflate = {
  off: false,
  takeover: { threshold: 0 },
  none: { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
}[flags.deflate];

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(flags.port),
  perMessageDeflate: deflate,
});

function say(message, binary) {
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(message, { binary });
  }
}

server.on("connection", (client) => {
  client.on("error", () => client.terminate());
  client.on("message", (message, binary) => {
    if (flags.mode === "echo") client.send(message, { binary });
    else say(message, binary);
  });
});

server.on("listening", () => console.log(`listening on ${server.address().port}`));
