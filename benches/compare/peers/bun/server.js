// A chat on Bun, as its documentation writes one: a topic that everyone in a room subscribes to.

import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    mode: { type: "string", default: "broadcast" },
    deflate: { type: "string", default: "off" },
    cert: { type: "string" },
    key: { type: "string" },
  },
});

const compress = flags.deflate !== "off";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(flags.port),
  tls: flags.cert && { cert: Bun.file(flags.cert), key: Bun.file(flags.key) },
  fetch(request, server) {
    if (server.upgrade(request, { data: { room: request.url } })) return undefined;
    return new Response("This is a chat for WebSocket clients.\n", { status: 426 });
  },
  websocket: {
    perMessageDeflate: compress,
    open(client) {
      if (flags.mode === "broadcast") client.subscribe(client.data.room);
    },
    message(client, message) {
      if (flags.mode === "echo") client.send(message, compress);
      else server.publish(client.data.room, message, compress);
    },
  },
});

console.log(`listening on ${server.port}`);
