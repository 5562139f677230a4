// Clients in other languages. Each is a program that sends the lines of its standard input, closes
// with 1000 at the end of that, and writes a line for what happens: `open`, `message TEXT` and
// `closed`, with the code where its library knows it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { START_DEADLINE, within } from './deadline.js';

const CLIENTS = fileURLToPath(new URL('../', import.meta.url));
const BUILT = fileURLToPath(new URL('../../../target/clients/', import.meta.url));
const DEBIAN = `${BUILT}debian/`;

const java = (name) => ['java', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData', '-cp',
  `${BUILT}java:${DEBIAN}usr/share/java/*`, name];

const COMMANDS = {
  Jetty: java('Jetty'),
  Mojolicious: ['perl', `${CLIENTS}perl/mojolicious.pl`],
  Netty: java('Netty'),
  Tornado: [`${BUILT}venv/bin/python`, `${CLIENTS}python/tornado_lines.py`],
  libwebsockets: [`${BUILT}c/libwebsockets_lines`],
  ws4py: [`${BUILT}venv/bin/python`, `${CLIENTS}python/ws4py_lines.py`],
  soketto: [`${BUILT}rust/debug/townhall-line-client`],
  'x/net': [`${BUILT}go/xnet`],
};

const ENVIRONMENT = {
  ...process.env,
  PERL5LIB: `${DEBIAN}usr/share/perl5`,
};

/** One of the programs, as it runs. */
export class Program {
  #child;
  #errors = '';
  #lines;
  #deadline = START_DEADLINE;

  constructor(t, name, ...options) {
    const [command, ...words] = COMMANDS[name];
    this.#child = spawn(command, [...words, ...options], { env: ENVIRONMENT });
    this.ended = once(this.#child, 'exit').then(([code, signal]) => code ?? signal);
    this.ended.catch(() => {});
    this.#child.stderr.setEncoding('utf8').on('data', (text) => { this.#errors += text; });
    this.#child.stdin.on('error', () => {}); // It ended, which `next` reports.
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    t.after(async () => {
      this.#child.kill('SIGKILL');
      await within(this.ended, `end of ${name}`);
    });
  }

  /** Start a program, and return once it has joined. */
  static async join(t, name, url, ...options) {
    const program = new Program(t, name, url, ...options);
    await program.expect('open');
    return program;
  }

  send(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Let it close. */
  close() {
    this.#child.stdin.end();
  }

  /** Return the next line that it writes. */
  async next() {
    const { value, done } = await within(this.#lines.next(), 'line of the program', this.#deadline);
    this.#deadline = undefined; // Only the first line waits for the start.
    if (done) throw new Error(`it ended with ${await this.ended}:\n${this.#errors}`);
    return value;
  }

  /** Fail unless `line` is what it writes next. */
  async expect(line) {
    const written = await this.next();
    if (written !== line) throw new Error(`${written}\ninstead of\n${line}\n${this.#errors}`);
  }

  /** Fail unless these are the next messages that it receives. */
  async receives(...messages) {
    for (const message of messages) await this.expect(`message ${message}`);
  }
}
