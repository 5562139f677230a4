// A `ws` client whose messages can be awaited one after the other.

import { once } from 'node:events';
import { WebSocket } from 'ws';
import { within } from './deadline.js';

/** A connection that keeps what it receives until a test asks for it. */
export class Client {
  #messages = [];
  #wake = () => {};

  /** Start to connect, for the length of test `t`; most tests want `join` instead. */
  constructor(t, url, { protocols = [], ...options } = {}) {
    this.socket = new WebSocket(url, protocols, options);
    this.socket.on('error', (error) => { this.error = error; });
    this.socket.on('message', (data, binary) => {
      this.#messages.push(binary ? data : data.toString());
      this.#wake();
    });
    this.closed = new Promise((done) => {
      this.socket.once('close', (code, reason) => done([code, reason.toString()]));
    });
    t.after(() => this.socket.terminate());
  }

  /** Connect, and return once the server has accepted. */
  static async join(t, url, options) {
    const client = new Client(t, url, options);
    await within(once(client.socket, 'open'), 'open connection');
    return client;
  }

  /** Send one message, or with `{ fin: false }` the beginning of one. */
  send(data, options) {
    this.socket.send(data, options);
  }

  /** Return the next message: a string if it is text, a Buffer if it is binary. */
  async receive() {
    if (this.#messages.length === 0) {
      const { promise, resolve } = withResolvers();
      this.#wake = resolve;
      await within(Promise.race([promise, this.closed]), 'message');
      if (this.#messages.length === 0) {
        const closing = await this.closed;
        throw new Error(`closed with ${closing} instead of a message`, { cause: this.error });
      }
    }
    return this.#messages.shift();
  }

  /** Return the next `count` messages. */
  async receiveMany(count) {
    const messages = [];
    while (messages.length < count) messages.push(await this.receive());
    return messages;
  }

  /** Ping with `payload`, and return the payload of the next pong. */
  async ping(payload) {
    const pong = once(this.socket, 'pong');
    this.socket.ping(payload);
    const [data] = await within(pong, 'pong');
    return data.toString();
  }

  /** Return the code and the reason with which the server closed, 1006 if it just vanished. */
  async closing() {
    return within(this.closed, 'end of the connection');
  }
}

/** What `Promise.withResolvers` is in Node 22. */
function withResolvers() {
  let resolve;
  const promise = new Promise((done) => { resolve = done; });
  return { promise, resolve };
}
