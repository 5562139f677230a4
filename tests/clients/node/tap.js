// What really came over the wire: reads the server's frames off a socket
// beside the client that it belongs to.

const RSV1 = 0x40;
const CONTROL = 0x08;

export class Tap {
  /** For each message, whether it was compressed, and its bytes on the wire. */
  messages = [];
  #header = [];
  #left = 0;

  /** Begin at the first byte after the handshake. */
  constructor(socket) {
    socket.on('data', (chunk) => this.#read(chunk));
  }

  /** The index of the first compressed message, -1 if there is none. */
  get firstCompressed() {
    return this.messages.findIndex(({ compressed }) => compressed);
  }

  #read(chunk) {
    for (let at = 0; at < chunk.length;) {
      if (this.#left > 0) {
        const size = Math.min(this.#left, chunk.length - at);
        this.#left -= size;
        at += size;
      } else {
        this.#header.push(chunk[at]);
        at += 1;
        this.#endHeader();
      }
    }
  }

  /** Begin the payload, if the header is complete. */
  #endHeader() {
    const header = Buffer.from(this.#header);
    const short = header[1] & 0x7f;
    const size = 2 + ({ 126: 2, 127: 8 }[short] ?? 0);
    if (header.length < size) return;
    this.#header = [];
    this.#left = short;
    if (short === 126) this.#left = header.readUInt16BE(2);
    if (short === 127) this.#left = Number(header.readBigUInt64BE(2));
    this.#count(header[0], size + this.#left);
  }

  #count(first, bytes) {
    const opcode = first & 0x0f;
    if (opcode & CONTROL) return;
    if (opcode === 0) this.messages.at(-1).bytes += bytes;
    else this.messages.push({ compressed: (first & RSV1) !== 0, bytes });
  }
}
