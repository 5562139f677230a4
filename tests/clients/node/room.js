// A room of members, each of which must receive exactly what the others receive
// from the moment it joined, and a record of how that came over the wire.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { WebSocket } from 'ws';
import { within } from './deadline.js';
import { Tap } from './tap.js';

const DEADLINE = 20_000;

// What members offer. They compress everything that they send, however short.
export const SHARED = { threshold: 0 };
export const ALONE = { threshold: 0, serverNoContextTakeover: true };
export const window = (bits) => ({ threshold: 0, serverMaxWindowBits: bits });
export const PLAIN = false;

/** A hash to compare messages by: all messages together take some hundred MiB. */
function fingerprint(data, binary) {
  return (binary ? 'binary ' : 'text ') + createHash('sha1').update(data).digest('base64');
}

/** A member of a room, from its handshake to its end. */
export class Member extends EventEmitter {
  /** Fingerprints of what it received and sent. */
  received = [];
  sent = [];
  /** Its direct messages: the text, and how many messages it had received before. */
  whispers = [];
  /** Payloads. */
  pings = [];
  pongs = [];
  /** How it left: 'closed', 'vanished', or not. */
  left = null;
  #isWhisper;

  /** Begin to connect, for the length of test `t`; most tests want `Room.join` instead. */
  constructor(t, room, offer, { name, isWhisper } = {}) {
    super();
    this.room = room;
    this.name = name;
    this.offer = offer;
    this.#isWhisper = isWhisper;
    this.receivedBefore = room.reference?.received.length ?? 0;
    this.socket = new WebSocket(room.url, { perMessageDeflate: offer });
    this.socket.on('open', () => { this.tap = new Tap(this.socket._socket); });
    this.socket.on('error', (error) => { this.error = error; });
    this.socket.on('message', (data, binary) => this.#receive(data, binary));
    this.socket.on('pong', (data) => { this.pongs.push(data.toString()); this.emit('change'); });
    this.closed = new Promise((done) => { this.socket.once('close', done); });
    this.closed.then((code) => {
      this.code = code;
      this.emit('change');
      if (!this.left) room.lose(this);
    });
    t.after(() => this.socket.terminate());
  }

  #receive(data, binary) {
    if (!binary && this.#isWhisper?.(data.toString('utf8', 0, 30))) {
      this.whispers.push({ text: data.toString(), position: this.received.length });
    } else {
      this.received.push(fingerprint(data, binary));
    }
    this.emit('change');
  }

  /** Wait until `condition` holds, which a message, a pong or the end may bring about. */
  async until(condition, what) {
    while (!condition()) {
      if (this.code !== undefined) {
        const { name, code, error: cause } = this;
        throw new Error(`${name} was closed with ${code} before its ${what}`, { cause });
      }
      await within(once(this, 'change'), `${what} for ${this.name}`, DEADLINE);
    }
  }

  /** Send a message to the room. Chat is `line`, and is expected to compress. */
  send(message, { line = false } = {}) {
    const print = fingerprint(message, typeof message !== 'string');
    this.room.note(print, { member: this, line, bytes: Buffer.byteLength(message) });
    this.sent.push(print);
    this.socket.send(message);
    return print;
  }

  ping() {
    this.pings.push(`ping ${this.pings.length}`);
    this.socket.ping(this.pings.at(-1));
  }

  /** Wait until all has arrived that the server sent before it reads a ping sent now. */
  async catchUp() {
    this.ping();
    await this.until(() => this.pongs.at(-1) === this.pings.at(-1), 'pong');
  }

  /** Leave after a last message. */
  close(words) {
    this.send(words);
    this.left = 'closed';
    this.socket.close(1000);
  }

  vanish() {
    this.left = 'vanished';
    this.socket.terminate();
  }

  get isPlain() {
    return this.offer === PLAIN;
  }

  /** Whether its terms let it share the room's context. */
  get isShared() {
    const { serverNoContextTakeover = false, serverMaxWindowBits = 15 } = this.offer;
    return !this.isPlain && !serverNoContextTakeover && serverMaxWindowBits === 15;
  }
}

/** A room, with its messages in the order in which a member without compression received them. */
export class Room {
  members = [];
  #notes = new Map();
  #repeated = new Set();
  #lose;
  #lost = new Promise((_resolve, reject) => { this.#lose = reject; });

  /** Open a room with its reference, for the length of test `t`. */
  static async open(t, url, { reflects = true, ...options } = {}) {
    const room = new Room();
    room.#lost.catch(() => {}); // Reported to whoever waits next.
    Object.assign(room, { t, url, reflects, options });
    room.reference = await room.join(PLAIN, 'reference');
    return room;
  }

  /** Add a member, which sends a greeting first unless it is the reference. */
  async join(offer, name) {
    const member = new Member(this.t, this, offer, { ...this.options, name });
    this.members.push(member);
    await within(once(member.socket, 'open'), `handshake of ${name}`, DEADLINE);
    assert.equal(member.socket.extensions !== '', offer !== PLAIN, `${name} has what it offered`);
    if (this.reference) member.send(`hello, I am ${name}`);
    return member;
  }

  /** Report that a member's connection has ended unexpectedly. */
  lose({ name, code, error }) {
    this.#lose(new Error(`${name} was closed with ${code}`, { cause: error }));
  }

  /** Add a member for each of these offers. */
  async joinAll(offers, name) {
    return Promise.all(offers.map((offer, index) => this.join(offer, `${name} ${index}`)));
  }

  note(print, note) {
    const known = this.#notes.get(print);
    if (known) {
      const repeats = `${note.member.name} repeats what ${known.member.name} sent`;
      assert.ok(known.member === note.member, repeats);
      this.#repeated.add(print);
    }
    this.#notes.set(print, note);
  }

  /** Wait until the reference has received this. */
  async untilReceived(print) {
    const { reference } = this;
    let at = 0;
    const found = reference.until(() => {
      const found = reference.received.indexOf(print, at) >= 0;
      at = reference.received.length;
      return found;
    }, 'message');
    await Promise.race([found, this.#lost]);
  }

  /** Wait until everything is sent, and received by the members that are still there. */
  async settle() {
    const catchUp = (member) => (member.left
      ? within(member.closed, `end of ${member.name}`, DEADLINE)
      : member.catchUp());
    await Promise.all(this.members.map(catchUp)); // What they sent is now at the server.
    await Promise.all(this.members.map(catchUp));
  }

  /** Check everything that each member received. */
  check() {
    const all = this.reference.received;
    for (const print of all) assert.ok(this.#notes.has(print), 'nobody sent this');
    for (const member of this.members) {
      this.#checkWasReceived(member);
      this.#checkReceived(member);
      this.#checkPongs(member);
      this.#checkCompression(member);
      if (member.left === 'closed') assert.equal(member.code, 1000, member.name);
    }
  }

  /** A member's messages are received once, in order; if it vanished, perhaps not all. */
  #checkWasReceived(member) {
    const all = this.reference.received;
    const received = all.filter((print) => this.#notes.get(print).member === member);
    const sent = member.left === 'vanished' ? member.sent.slice(0, received.length) : member.sent;
    this.#compare(received, sent, `what ${member.name} sent`);
  }

  /** The part of what the reference received that is for this member: all, or all but its own. */
  #meantFor(member, received) {
    if (this.reflects) return received;
    return received.filter((print) => this.#notes.get(print).member !== member);
  }

  #checkReceived(member) {
    const { reference } = this;
    const anchor = member.received.findIndex((print) => !this.#repeated.has(print));
    if (anchor < 0 && member.left) return;
    const all = this.#meantFor(member, reference.received);
    const start = all.indexOf(member.received[anchor]) - anchor;
    member.start = start;
    const end = start + member.received.length;
    assert.ok(start >= 0, `${member.name} received something known`);
    this.#compare(member.received, all.slice(start, end), `what ${member.name} received`);
    const countBefore = (index) => this.#meantFor(member, reference.received.slice(0, index)).length;
    const before = countBefore(member.receivedBefore);
    assert.ok(start >= before, `${member.name} received a message from before it joined`);
    const hello = reference.received.indexOf(member.sent[0]);
    if (hello >= 0) assert.ok(start <= countBefore(hello), `${member.name} missed the beginning`);
    // A close is answered before what is still queued (RFC 6455, section 5.5.1).
    if (!member.left) assert.ok(end >= all.length, `${member.name} missed the end`);
    if (member.left !== 'vanished') {
      assert.equal(member.tap.messages.length, member.received.length + member.whispers.length);
    }
  }

  #compare(actual, expected, what) {
    const at = actual.findIndex((print, index) => print !== expected[index]);
    const describe = (print) => JSON.stringify({ print, bytes: this.#notes.get(print)?.bytes });
    const difference = `${describe(actual[at])}, not ${describe(expected[at])}`;
    assert.equal(at, -1, `${what}: number ${at} is ${difference}`);
    assert.equal(actual.length, expected.length, `${what}: how many`);
  }

  /** Every ping is answered, but of several in a row only the last must be. */
  #checkPongs({ name, left, pings, pongs }) {
    let at = -1;
    for (const pong of pongs) {
      at = pings.indexOf(pong, at + 1);
      assert.ok(at >= 0, `${name}: ${pong}`);
    }
    if (!left) assert.equal(pongs.at(-1), pings.at(-1), `${name}: the last pong`);
  }

  /**
   * The messages that a member received, each with its note and how it came over the wire, but for
   * those that the tap missed: what was read after the socket was torn down.
   */
  wire(member) {
    const positions = member.whispers.map(({ position }) => position);
    let before = 0;
    const messages = member.received.map((print, index) => {
      while (positions[before] <= index) before += 1;
      return { ...this.#notes.get(print), wire: member.tap.messages[index + before] };
    });
    return messages.filter(({ wire }) => wire);
  }

  /** Whispers are not compressed between messages of a shared context; the rest is as negotiated. */
  #checkCompression(member) {
    const { name } = member;
    const { messages } = member.tap;
    const entries = member.whispers.map(({ position, text }, index) => [position + index, text]);
    const whispers = new Map(entries);
    const first = messages.findIndex(({ compressed }, at) => compressed && !whispers.has(at));
    for (const [at, text] of whispers) {
      if (!messages[at]) continue; // The tap misses what was read after the socket was torn down.
      const { compressed } = messages[at];
      if (member.isShared) {
        assert.ok(!compressed || first < 0 || at < first, `${name}: a whisper was compressed`);
      } else if (text.startsWith('psst ')) {
        assert.equal(compressed, !member.isPlain, `${name}: a whisper was compressed or not`);
      }
    }
    const lines = this.wire(member).filter(({ line }) => line);
    const compressed = lines.map(({ wire }) => wire.compressed);
    if (member.isPlain) {
      assert.equal(member.tap.firstCompressed, -1, `${name} has no compression`);
    } else if (member.isShared) {
      // A new member first waits, then everything is compressed. Without reflection, a sender waits
      // again.
      const hop = compressed.indexOf(true);
      const forGood = hop < 0 || compressed.slice(hop).every(Boolean);
      assert.ok(forGood || !this.reflects, `${name} hops once`);
    } else {
      assert.ok(compressed.every(Boolean), `${name}: every line is compressed`);
      assert.ok(lines.every(({ wire, bytes }) => wire.bytes < bytes), `${name}: and shorter`);
    }
  }
}

/** The bytes on the wire and of the payloads, over all these messages. */
export function sizes(messages) {
  return {
    wire: messages.reduce((sum, { wire }) => sum + wire.bytes, 0),
    payload: messages.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
