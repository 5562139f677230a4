// Messages for a room: chat-like JSON in which nothing repeats, and what a
// seed makes of it.

/** Random numbers that follow from a seed (mulberry32). */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** Return 32 random bits. */
  bits() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let bits = this.#state;
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return (bits ^ (bits >>> 14)) >>> 0;
  }

  /** Return a number from 0 to 1, without 1. */
  fraction() {
    return this.bits() / 2 ** 32;
  }

  /** Return an integer from 0 to `limit`, without it. */
  below(limit) {
    return Math.floor(this.fraction() * limit);
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** Return bytes that do not compress. */
  bytes(size) {
    const words = Uint32Array.from({ length: Math.ceil(size / 4) }, () => this.bits());
    return Buffer.from(words.buffer, 0, size);
  }
}

const SYLLABLES = ['an', 'be', 'cor', 'da', 'el', 'fi', 'gra', 'ho', 'in', 'ju', 'ka', 'lo', 'mer',
  'no', 'or', 'pe', 'qui', 'ra', 'sto', 'tu', 'ul', 've', 'wi', 'zu'];

const WORDS = vocabulary(new Random(1), 4000);

/** Some thousand words. */
function vocabulary(random, size) {
  const words = new Set();
  while (words.size < size) {
    words.add(Array.from({ length: 1 + random.below(4) }, () => random.pick(SYLLABLES)).join(''));
  }
  return [...words];
}

/** A source of messages that never repeats itself. */
export class Talker {
  #random;
  #sent = 0;

  constructor(name, seed) {
    this.name = name;
    this.#random = new Random(seed);
  }

  /** Return a message of about `size` bytes. */
  line(size = 150 + this.#random.below(450)) {
    this.#sent += 1;
    const words = [];
    for (let length = 90; length < size; length += words.at(-1).length + 1) {
      words.push(this.#word());
    }
    return JSON.stringify({
      type: 'message',
      id: `${this.name}-${this.#sent}`,
      from: this.name,
      at: 1_700_000_000_000 + this.#random.below(1e9),
      text: words.join(' '),
    });
  }

  /** The first words are the most frequent, as in any language. */
  #word() {
    return WORDS[Math.floor(this.#random.fraction() ** 2 * WORDS.length)];
  }
}
