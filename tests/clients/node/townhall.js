// Starts a server on a port of its own choice, and ends it with the test: the
// binary, or the example `whisper`, which sends direct messages.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { certificateFor } from './certificate.js';
import { START_DEADLINE, within } from './deadline.js';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
export const BINARY = resolve(REPOSITORY, process.env.TOWNHALL || 'target/release/townhall');
const WHISPER = resolve(REPOSITORY, process.env.WHISPER || 'target/release/examples/whisper');
const LISTENING = /^townhall is listening on http(s?):(\S+)\/$/;

const running = new Set();

// The test runner may end this process by a signal, without the clean-up of the tests.
for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]]) {
  process.once(signal, () => process.exit(status));
}
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A running server. */
export class Townhall {
  #child;
  #log = '';
  #output = '';
  #stopped = false;
  #expected;

  /** Start the server for the length of test `t`, and check that it stops as it should. */
  static async start(t, ...options) {
    return Townhall.#run(t, 0, BINARY, ['--listen', '127.0.0.1:0', ...options]);
  }

  /** Start the server with TLS. Its `ca` is the certificate that clients must trust, as a file. */
  static async startTls(t, ...options) {
    const { key, certificate } = certificateFor(t);
    const tls = ['--listen', 'https://127.0.0.1:0', '--tls-cert', certificate, '--tls-key', key];
    const server = await Townhall.#run(t, 0, BINARY, [...tls, ...options]);
    server.ca = certificate;
    return server;
  }

  /** Start the example `whisper` likewise. It knows nothing of signals: SIGTERM kills it. */
  static async startWhisper(t) {
    return Townhall.#run(t, 'SIGTERM', WHISPER, ['127.0.0.1:0']);
  }

  static async #run(t, expected, binary, options) {
    const server = new Townhall();
    server.#expected = expected;
    t.after(() => server.stop());
    await server.#spawn(binary, options);
    return server;
  }

  async #spawn(binary, options) {
    this.#child = spawn(binary, options, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.#child);
    this.ended = new Promise((done, fail) => {
      this.#child.once('error', fail);
      this.#child.once('exit', (code, signal) => done(code ?? signal));
    });
    this.ended.then(() => running.delete(this.#child), () => running.delete(this.#child));
    this.#child.stdout.setEncoding('utf8').on('data', (text) => { this.#output += text; });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => { this.#log += text; });
    const line = await within(this.#firstLine(), 'line from the server', START_DEADLINE);
    const listening = LISTENING.exec(line);
    if (!listening) throw new Error(`the server did not print its address:\n${this.#log}`);
    this.url = `ws${listening[1]}:${listening[2]}`;
  }

  /** Return the server's first line of output, or nothing when it ends without one. */
  async #firstLine() {
    const lines = createInterface({ input: this.#child.stdout });
    return Promise.race([
      new Promise((done) => lines.once('line', done)),
      this.ended.then(() => undefined),
    ]);
  }

  /** Wait for a line in the log that matches, and return the match. */
  async logged(expression) {
    const match = this.#match(expression, this.#child.stderr, () => this.#log);
    return within(match, `${expression} in the log`);
  }

  /** Wait for a line of output that matches, and return the match. */
  async printed(expression) {
    const match = this.#match(expression, this.#child.stdout, () => this.#output);
    return within(match, `${expression} in the output`);
  }

  async #match(expression, stream, text) {
    for (;;) {
      const found = expression.exec(text());
      if (found) return found;
      await once(stream, 'data');
    }
  }

  /** End the server as a service manager would, and insist that it obeys. */
  async stop() {
    if (this.#stopped) return;
    this.#stopped = true;
    const alive = running.has(this.#child);
    this.#child.kill('SIGTERM');
    try {
      const status = await within(this.ended, 'end of the server after SIGTERM');
      const how = alive ? 'after SIGTERM' : 'by itself';
      if (status !== this.#expected || !alive) {
        throw new Error(`the server ended ${how}: ${status}\n${this.#log}`);
      }
    } finally {
      this.#child.kill('SIGKILL');
    }
  }
}
