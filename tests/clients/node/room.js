// A room full of members, each of which has to hear exactly what the others
// hear from the moment it joined, and a proof of how that came over the wire.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { WebSocket } from 'ws';
import { within } from './deadline.js';
import { Tap } from './tap.js';

const DEADLINE = 20_000;

// What members offer. They compress whatever they say, however short.
export const SHARED = { threshold: 0 };
export const ALONE = { threshold: 0, serverNoContextTakeover: true };
export const window = (bits) => ({ threshold: 0, serverMaxWindowBits: bits });
export const PLAIN = false;

/** What a message is compared by: all that is heard takes some hundred MiB. */
function fingerprint(data, binary) {
  return (binary ? 'binary ' : 'text ') + createHash('sha1').update(data).digest('base64');
}

/** A member of a room, from its handshake to its end. */
export class Member extends EventEmitter {
  /** Fingerprints of what it heard and said. */
  heard = [];
  said = [];
  /** What it alone was told: the text, and how much it had heard before. */
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
    this.heardBefore = room.reference?.heard.length ?? 0;
    this.socket = new WebSocket(room.url, { perMessageDeflate: offer });
    this.socket.on('open', () => { this.tap = new Tap(this.socket._socket); });
    this.socket.on('error', (error) => { this.error = error; });
    this.socket.on('message', (data, binary) => this.#hear(data, binary));
    this.socket.on('pong', (data) => { this.pongs.push(data.toString()); this.emit('change'); });
    this.closed = new Promise((done) => { this.socket.once('close', done); });
    this.closed.then((code) => {
      this.code = code;
      this.emit('change');
      if (!this.left) room.lose(this);
    });
    t.after(() => this.socket.terminate());
  }

  #hear(data, binary) {
    if (!binary && this.#isWhisper?.(data.toString('utf8', 0, 30))) {
      this.whispers.push({ text: data.toString(), place: this.heard.length });
    } else {
      this.heard.push(fingerprint(data, binary));
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

  /** Say something to the room. Chat is `line`, and is expected to compress. */
  say(message, { line = false } = {}) {
    const print = fingerprint(message, typeof message !== 'string');
    this.room.note(print, { member: this, line, bytes: Buffer.byteLength(message) });
    this.said.push(print);
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

  /** Leave after some last words. */
  close(words) {
    this.say(words);
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

/** A room, and what was said in it, in the order in which a member without compression heard it. */
export class Room {
  members = [];
  #notes = new Map();
  #repeated = new Set();
  #lose;
  #lost = new Promise((_resolve, reject) => { this.#lose = reject; });

  /** Open a room with its reference, for the length of test `t`. */
  static async open(t, url, { reflects = true, ...options } = {}) {
    const room = new Room();
    room.#lost.catch(() => {}); // It is told when somebody waits.
    Object.assign(room, { t, url, reflects, options });
    room.reference = await room.join(PLAIN, 'reference');
    return room;
  }

  /** Let somebody in, who begins with a hello unless it is the reference. */
  async join(offer, name) {
    const member = new Member(this.t, this, offer, { ...this.options, name });
    this.members.push(member);
    await within(once(member.socket, 'open'), `handshake of ${name}`, DEADLINE);
    assert.equal(member.socket.extensions !== '', offer !== PLAIN, `${name} has what it offered`);
    if (this.reference) member.say(`hello, I am ${name}`);
    return member;
  }

  /** A member's connection has ended, and nobody wanted that. */
  lose({ name, code, error }) {
    this.#lose(new Error(`${name} was closed with ${code}`, { cause: error }));
  }

  /** Let one in for each of these offers. */
  async joinAll(offers, name) {
    return Promise.all(offers.map((offer, index) => this.join(offer, `${name} ${index}`)));
  }

  note(print, note) {
    const known = this.#notes.get(print);
    if (known) {
      const repeats = `${note.member.name} repeats what ${known.member.name} said`;
      assert.ok(known.member === note.member, repeats);
      this.#repeated.add(print);
    }
    this.#notes.set(print, note);
  }

  /** Wait until the reference has heard this. */
  async hears(print) {
    const { reference } = this;
    let at = 0;
    const found = reference.until(() => {
      const found = reference.heard.indexOf(print, at) >= 0;
      at = reference.heard.length;
      return found;
    }, 'message');
    await Promise.race([found, this.#lost]);
  }

  /** Wait until everything is said, and heard by those who are still there. */
  async settle() {
    const catchUp = (member) => (member.left
      ? within(member.closed, `end of ${member.name}`, DEADLINE)
      : member.catchUp());
    await Promise.all(this.members.map(catchUp)); // What they said is now with the server.
    await Promise.all(this.members.map(catchUp));
  }

  /** Check everything that each member heard. */
  check() {
    for (const print of this.reference.heard) assert.ok(this.#notes.has(print), 'nobody said this');
    for (const member of this.members) {
      this.#checkWasHeard(member);
      this.#checkHeard(member);
      this.#checkPongs(member);
      this.#checkCompression(member);
      if (member.left === 'closed') assert.equal(member.code, 1000, member.name);
    }
  }

  /** What a member said is heard once, in its order; of who vanished, perhaps not to the end. */
  #checkWasHeard(member) {
    const heard = this.reference.heard.filter((print) => this.#notes.get(print).member === member);
    const said = member.left === 'vanished' ? member.said.slice(0, heard.length) : member.said;
    this.#compare(heard, said, `what ${member.name} said`);
  }

  /** What is for this member, of what the reference heard: all, or all but its own. */
  #meantFor(member, heard) {
    if (this.reflects) return heard;
    return heard.filter((print) => this.#notes.get(print).member !== member);
  }

  #checkHeard(member) {
    const { reference } = this;
    const anchor = member.heard.findIndex((print) => !this.#repeated.has(print));
    if (anchor < 0 && member.left) return;
    const all = this.#meantFor(member, reference.heard);
    const start = all.indexOf(member.heard[anchor]) - anchor;
    member.start = start;
    const end = start + member.heard.length;
    assert.ok(start >= 0, `${member.name} heard something known`);
    this.#compare(member.heard, all.slice(start, end), `what ${member.name} heard`);
    const countBefore = (index) => this.#meantFor(member, reference.heard.slice(0, index)).length;
    assert.ok(start >= countBefore(member.heardBefore), `${member.name} heard what was before it`);
    const hello = reference.heard.indexOf(member.said[0]);
    if (hello >= 0) assert.ok(start <= countBefore(hello), `${member.name} missed the beginning`);
    // A close is answered before what is still queued (RFC 6455, section 5.5.1).
    if (!member.left) assert.ok(end >= all.length, `${member.name} missed the end`);
    if (member.left !== 'vanished') {
      assert.equal(member.tap.messages.length, member.heard.length + member.whispers.length);
    }
  }

  #compare(actual, expected, what) {
    const at = actual.findIndex((print, index) => print !== expected[index]);
    const tell = (print) => JSON.stringify({ print, bytes: this.#notes.get(print)?.bytes });
    assert.equal(at, -1, `${what}: number ${at} is ${tell(actual[at])}, not ${tell(expected[at])}`);
    assert.equal(actual.length, expected.length, `${what}: how many`);
  }

  /** Every ping is answered, except that of some in a row the last may be enough. */
  #checkPongs({ name, left, pings, pongs }) {
    let at = -1;
    for (const pong of pongs) {
      at = pings.indexOf(pong, at + 1);
      assert.ok(at >= 0, `${name}: ${pong}`);
    }
    if (!left) assert.equal(pongs.at(-1), pings.at(-1), `${name}: the last pong`);
  }

  /**
   * The messages that a member heard, each with its note and how it came over the wire. What was
   * read after a socket was torn down went past the tap.
   */
  wire(member) {
    const told = member.whispers.map(({ place }) => place);
    let before = 0;
    const messages = member.heard.map((print, index) => {
      while (told[before] <= index) before += 1;
      return { ...this.#notes.get(print), wire: member.tap.messages[index + before] };
    });
    return messages.filter(({ wire }) => wire);
  }

  /** Whispers are not compressed between the messages of a shared context, others as agreed. */
  #checkCompression(member) {
    const { name } = member;
    const { messages } = member.tap;
    const whispers = new Map(member.whispers.map(({ place, text }, index) => [place + index, text]));
    const first = messages.findIndex(({ compressed }, at) => compressed && !whispers.has(at));
    for (const [at, text] of whispers) {
      const compressed = messages[at]?.compressed ?? false;
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
      // A newcomer waits, and is then compressed for good. Without reflection, who speaks waits
      // anew.
      const hop = compressed.indexOf(true);
      const forGood = hop < 0 || compressed.slice(hop).every(Boolean);
      assert.ok(forGood || !this.reflects, `${name} hops once`);
    } else {
      assert.ok(compressed.every(Boolean), `${name}: every line is compressed`);
      assert.ok(lines.every(({ wire, bytes }) => wire.bytes < bytes), `${name}: and shorter`);
    }
  }
}

/** The bytes on the wire, and those of the payloads, of all these messages. */
export function sizes(messages) {
  return {
    wire: messages.reduce((sum, { wire }) => sum + wire.bytes, 0),
    payload: messages.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
