// A hundred members that join, leave, return and ping, while a few send all the
// time.

import { ALONE, PLAIN, Room, SHARED, window } from './room.js';
import { Random, Talker } from './talk.js';

const SLOTS = 100;
const ROUNDS = 50;
const KIBIBYTE = 1024;

/** What members offer, by the number of their slot. */
function offer(index) {
  const windows = window(9 + Math.floor(index / 10) % 7);
  const offers = [SHARED, SHARED, ALONE, SHARED, PLAIN, SHARED, SHARED, windows, SHARED, SHARED];
  return offers[index % offers.length];
}

export class Crowd {
  #slots = Array.from({ length: SLOTS }, () => ({ member: null, arrival: null, visits: 0 }));
  #random;
  #talker;
  /** The last message of each round. */
  #sent = [];

  constructor(seed) {
    this.#random = new Random(seed);
    this.#talker = new Talker('crowd', seed);
  }

  /** Run a crowd in a room until everybody has joined, for the length of test `t`. */
  static async meet(t, url, seed, { whisper, ...options } = {}) {
    const crowd = new Crowd(seed);
    crowd.room = await Room.open(t, url, options);
    const senders = { Ann: PLAIN, Bob: SHARED, Cleo: ALONE, Dan: window(10) };
    crowd.senders = await Promise.all(
      Object.entries(senders).map(([name, terms]) => crowd.room.join(terms, name)),
    );
    for (let number = 1; number <= ROUNDS; number += 1) await crowd.#round(number, whisper);
    await Promise.all(crowd.#slots.map(({ arrival }) => arrival));
    await crowd.room.settle();
    return crowd;
  }

  async #round(number, whisper) {
    if (number > ROUNDS - 8) this.#everybodyJoins();
    else for (let moves = 3 + this.#random.below(6); moves > 0; moves -= 1) this.#move();
    const [early, late] = [1 + this.#random.below(3), 1 + this.#random.below(4)];
    for (let lines = early; lines > 0; lines -= 1) this.#sendSome();
    if (number % 15 === 10) this.#sendBig(number);
    const present = this.#slots.flatMap(({ member }) => member ?? []);
    if (present.length > 0) {
      this.#random.pick(present).ping();
      whisper?.(this.senders[0], this.#random.pick(present));
    }
    let last;
    for (let lines = late; lines > 0; lines -= 1) last = this.#sendSome();
    // Stay close to the server.
    this.#sent.push(last);
    if (number > 2) await this.room.untilReceived(this.#sent[number - 3]);
  }

  /** A member joins or, less often, leaves. */
  #move() {
    const index = this.#random.below(SLOTS);
    const slot = this.#slots[index];
    if (slot.arrival) return;
    if (!slot.member) this.#join(slot, index);
    else if (this.#random.below(5) < 2) this.#leave(slot);
  }

  #everybodyJoins() {
    for (const [index, slot] of this.#slots.entries()) {
      if (!slot.member && !slot.arrival && this.#random.below(2) === 0) this.#join(slot, index);
    }
  }

  #join(slot, index) {
    slot.visits += 1;
    const arrival = this.room.join(offer(index), `member ${index}, visit ${slot.visits}`);
    slot.arrival = arrival.then((member) => { Object.assign(slot, { member, arrival: null }); });
    slot.arrival.catch(() => {}); // Awaited at the end.
  }

  #leave(slot) {
    if (this.#random.below(2) === 0) slot.member.vanish();
    else slot.member.close(`good-bye from ${slot.member.name}`);
    slot.member = null;
  }

  /** Send something, mostly chat. Bob sends everything that may repeat. */
  #sendSome() {
    const random = this.#random;
    const sender = random.pick(this.senders);
    const kind = random.below(20);
    if (kind > 3) return sender.send(this.#talker.line(), { line: true });
    const long = 4 * KIBIBYTE + random.below(20 * KIBIBYTE);
    if (kind === 3) return sender.send(this.#talker.line(long));
    if (kind === 2) return sender.send(random.bytes(100 + random.below(10 * KIBIBYTE)));
    const odd = ['', 'ok', 'x'.repeat(random.below(130)), Buffer.alloc(0), random.bytes(5)];
    return this.senders[1].send(random.pick(odd));
  }

  #sendBig(number) {
    const sender = this.#random.pick(this.senders);
    if (number % 2 === 0) sender.send(this.#random.bytes(KIBIBYTE ** 2));
    else sender.send(this.#talker.line(KIBIBYTE ** 2));
  }
}
