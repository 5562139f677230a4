// A chat on Socket.IO, whose processes share rooms through Redis, as the documentation of its adapter for
// Redis streams writes one.

import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const { values: flags } = parseArgs({ options: { redis: { type: "string" } } });

const client = createClient({ url: flags.redis });
await client.connect();

const http = createServer();
const io = new Server(http, {
  adapter: createAdapter(client),
  transports: ["websocket"],
  // Longer than any load lasts: the generator does not answer pings.
  pingInterval: 600_000,
});

io.on("connection", (socket) => {
  const { room } = socket.handshake.query;
  socket.join(room);
  socket.on("m", (message) => io.to(room).emit("m", message));
});

http.listen(0, "127.0.0.1", () => console.log(`listening on ${http.address().port}`));
