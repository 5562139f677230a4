// A hundred members who come, go, come back and ping, while a few talk all the
// time.

import { ALONE, PLAIN, Room, SHARED, window } from './room.js';
import { Random, Talker } from './talk.js';

const PLACES = 100;
const ROUNDS = 50;
const KIBIBYTE = 1024;

/** What members offer, by the number of their place. */
function offer(index) {
  const windows = window(9 + Math.floor(index / 10) % 7);
  const offers = [SHARED, SHARED, ALONE, SHARED, PLAIN, SHARED, SHARED, windows, SHARED, SHARED];
  return offers[index % offers.length];
}

export class Crowd {
  #places = Array.from({ length: PLACES }, () => ({ member: null, arrival: null, visits: 0 }));
  #random;
  #talker;
  /** The last words of each round. */
  #said = [];

  constructor(seed) {
    this.#random = new Random(seed);
    this.#talker = new Talker('crowd', seed);
  }

  /** Let it be busy in a room until everybody has come, for the length of test `t`. */
  static async meet(t, url, seed, { whisper, ...options } = {}) {
    const crowd = new Crowd(seed);
    crowd.room = await Room.open(t, url, options);
    const speakers = { Ann: PLAIN, Bob: SHARED, Cleo: ALONE, Dan: window(10) };
    crowd.speakers = await Promise.all(
      Object.entries(speakers).map(([name, terms]) => crowd.room.join(terms, name)),
    );
    for (let number = 1; number <= ROUNDS; number += 1) await crowd.#round(number, whisper);
    await Promise.all(crowd.#places.map(({ arrival }) => arrival));
    await crowd.room.settle();
    return crowd;
  }

  async #round(number, whisper) {
    if (number > ROUNDS - 8) this.#everybodyComes();
    else for (let moves = 3 + this.#random.below(6); moves > 0; moves -= 1) this.#move();
    const [early, late] = [1 + this.#random.below(3), 1 + this.#random.below(4)];
    for (let lines = early; lines > 0; lines -= 1) this.#talk();
    if (number % 15 === 10) this.#talkBig(number);
    const present = this.#places.flatMap(({ member }) => member ?? []);
    if (present.length > 0) {
      this.#random.pick(present).ping();
      whisper?.(this.speakers[0], this.#random.pick(present));
    }
    let last;
    for (let lines = late; lines > 0; lines -= 1) last = this.#talk();
    // Not to be too far ahead of the server.
    this.#said.push(last);
    if (number > 2) await this.room.hears(this.#said[number - 3]);
  }

  /** Somebody comes or, not so often, goes. */
  #move() {
    const index = this.#random.below(PLACES);
    const place = this.#places[index];
    if (place.arrival) return;
    if (!place.member) this.#come(place, index);
    else if (this.#random.below(5) < 2) this.#go(place);
  }

  #everybodyComes() {
    for (const [index, place] of this.#places.entries()) {
      if (!place.member && !place.arrival && this.#random.below(2) === 0) this.#come(place, index);
    }
  }

  #come(place, index) {
    place.visits += 1;
    const arrival = this.room.join(offer(index), `member ${index}, visit ${place.visits}`);
    place.arrival = arrival.then((member) => { Object.assign(place, { member, arrival: null }); });
    place.arrival.catch(() => {}); // It is awaited in the end.
  }

  #go(place) {
    if (this.#random.below(2) === 0) place.member.vanish();
    else place.member.close(`good-bye says ${place.member.name}`);
    place.member = null;
  }

  /** Something is said, mostly chat; all that may repeat is said by Bob. */
  #talk() {
    const random = this.#random;
    const speaker = random.pick(this.speakers);
    const kind = random.below(20);
    if (kind > 3) return speaker.say(this.#talker.line(), { line: true });
    const long = 4 * KIBIBYTE + random.below(20 * KIBIBYTE);
    if (kind === 3) return speaker.say(this.#talker.line(long));
    if (kind === 2) return speaker.say(random.bytes(100 + random.below(10 * KIBIBYTE)));
    const odd = ['', 'ok', 'x'.repeat(random.below(130)), Buffer.alloc(0), random.bytes(5)];
    return this.speakers[1].say(random.pick(odd));
  }

  #talkBig(number) {
    const speaker = this.#random.pick(this.speakers);
    if (number % 2 === 0) speaker.say(this.#random.bytes(KIBIBYTE ** 2));
    else speaker.say(this.#talker.line(KIBIBYTE ** 2));
  }
}
