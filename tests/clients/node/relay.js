// A relay between a client and the server, which keeps what passes: what came over the wire is
// known without help from the client.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { constants, inflateRawSync } from 'node:zlib';

const END_OF_HEAD = '\r\n\r\n';
const SYNC_FLUSH = Buffer.from([0, 0, 0xff, 0xff]);

export const TEXT = 1;
export const CLOSE = 8;

/** The frames of one direction (RFC 6455, section 5.2), with their payloads unmasked. */
function frames(bytes) {
  const found = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    const [first, second] = bytes.subarray(at, at + 2);
    at += 2;
    let size = second & 0x7f;
    if (size === 126) {
      size = bytes.readUInt16BE(at);
      at += 2;
    } else if (size === 127) {
      size = Number(bytes.readBigUInt64BE(at));
      at += 8;
    }
    const mask = second & 0x80 ? bytes.subarray(at, at + 4) : Buffer.alloc(4);
    at += second & 0x80 ? 4 : 0;
    const payload = bytes.subarray(at, at + size).map((byte, index) => byte ^ mask[index % 4]);
    at += size;
    found.push({ compressed: (first & 0x40) !== 0, opcode: first & 0x0f, payload });
  }
  return found;
}

/** What passed in one direction: the head of the handshake, and the frames behind it. */
class Direction {
  #bytes = Buffer.alloc(0);

  note(chunk) {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
  }

  get #head() {
    return this.#bytes.indexOf(END_OF_HEAD);
  }

  /** The head's field with this name, `undefined` where there is none. */
  field(name) {
    const fields = this.#bytes.toString('latin1', 0, this.#head).split('\r\n').slice(1);
    const field = fields.find((line) => line.toLowerCase().startsWith(`${name}:`));
    return field?.slice(name.length + 1).trim();
  }

  /** The frames with this opcode. */
  frames(opcode) {
    const behind = this.#bytes.subarray(this.#head + END_OF_HEAD.length);
    return frames(behind).filter((frame) => frame.opcode === opcode);
  }

  /** The code of the close frame, `undefined` where there is none. */
  get closeCode() {
    return this.frames(CLOSE).at(0)?.payload.readUInt16BE(0);
  }
}

/** One connection through the relay, and when both its ends are closed. */
class Passage {
  client = new Direction();
  server = new Direction();
  closed;
}

/** Whether a compressed payload inflates without the messages before it. */
export function standsAlone(payload) {
  try {
    const options = { finishFlush: constants.Z_SYNC_FLUSH };
    inflateRawSync(Buffer.concat([payload, SYNC_FLUSH]), options);
    return true;
  } catch {
    return false;
  }
}

/** Relay connections to the server at `url` for the length of test `t`. */
export async function relay(t, url) {
  const { hostname, port } = new URL(url);
  const passages = [];
  const sockets = new Set();
  const forward = (from, to, direction) => {
    sockets.add(from);
    from.on('data', (chunk) => direction.note(chunk));
    from.on('error', () => to.destroy());
    from.pipe(to);
  };
  const listener = createServer({ allowHalfOpen: true }, (client) => {
    const server = connect({ host: hostname, port, allowHalfOpen: true });
    const passage = new Passage();
    passage.closed = Promise.all([once(client, 'close'), once(server, 'close')]);
    passage.closed.catch(() => {}); // For those who do not wait for it.
    passages.push(passage);
    forward(client, server, passage.client);
    forward(server, client, passage.server);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `ws://127.0.0.1:${listener.address().port}`, passages };
}
