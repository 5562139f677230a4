// A headless Firefox, driven over WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), which it
// speaks itself.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from '../node/client.js';
import { within } from '../node/deadline.js';

const DEBIAN = fileURLToPath(new URL('../../../target/clients/debian/', import.meta.url));
/** A browser takes its time, in milliseconds. */
const DEADLINE = 60_000;

export class Firefox {
  #commands = 0;
  #connection;
  #context;

  /** Start it for the length of test `t`, with a profile of its own. */
  static async start(t) {
    const home = mkdtempSync(join(tmpdir(), 'townhall-firefox-'));
    const child = spawn(`${DEBIAN}usr/lib/firefox-esr/firefox-esr`,
      ['--headless', '--no-remote', '--profile', home, '--remote-debugging-port', '0'], {
        env: { ...process.env, HOME: home, LD_LIBRARY_PATH: `${DEBIAN}usr/lib/x86_64-linux-gnu` },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    const ended = once(child, 'exit');
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    t.after(async () => {
      child.kill('SIGTERM');
      await within(ended, 'end of Firefox', DEADLINE);
      process.off('exit', kill);
      rmSync(home, { recursive: true, maxRetries: 10 });
    });
    const firefox = new Firefox();
    const address = await within(Firefox.#address(child), 'Firefox', DEADLINE);
    firefox.#connection = await Client.join(t, `${address}/session`);
    // Firefox does not know the authority of the tests.
    const capabilities = { alwaysMatch: { acceptInsecureCerts: true } };
    await firefox.#command('session.new', { capabilities });
    const { contexts } = await firefox.#command('browsingContext.getTree', {});
    firefox.#context = contexts[0].context;
    return firefox;
  }

  static async #address({ stderr }) {
    for await (const line of createInterface({ input: stderr })) {
      const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line);
      if (found) {
        stderr.resume();
        return found[1];
      }
    }
    throw new Error('Firefox ended');
  }

  /** Open a page. */
  async open(url) {
    const where = { context: this.#context, url, wait: 'complete' };
    await this.#command('browsingContext.navigate', where);
  }

  /** Run the function in the page, and return what its promise gives. */
  async run(script, ...values) {
    const words = values.map((value) => JSON.stringify(value));
    const expression = `(${script})(${words}).then((result) => JSON.stringify(result))`;
    const { type, result, exceptionDetails } = await this.#command('script.evaluate',
      { expression, target: { context: this.#context }, awaitPromise: true });
    if (type !== 'success') throw new Error(exceptionDetails.text);
    return JSON.parse(result.value);
  }

  async #command(method, params) {
    this.#commands += 1;
    this.#connection.send(JSON.stringify({ id: this.#commands, method, params }));
    for (;;) {
      const answer = JSON.parse(await this.#connection.receive());
      if (answer.id === this.#commands) {
        if (answer.type === 'error') throw new Error(`${method}: ${answer.message}`);
        return answer.result;
      }
    }
  }
}
