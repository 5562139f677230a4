// A hostile page whose owner has made its name resolve to 127.0.0.1 once it has loaded (DNS rebinding).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startBrowser, startServer, within } from './helper.js';

let browser;
before(async () => { browser = await startBrowser('--host-resolver-rules=MAP *.example 127.0.0.1'); });
after(() => browser?.close());

/** In the page: what it gets of the rooms of its own host, with the fields of a proxy and without. */
async function attack() {
  const status = async (options) => (await fetch('/lobby', options)).status;
  const statuses = [];
  for (const forwarded of [{}, { 'X-Forwarded-For': '192.0.2.1' }, { 'X-Forwarded-Host': 'localhost' }]) {
    statuses.push(await status({ headers: { Accept: 'application/json', ...forwarded } }));
    statuses.push(await status({ method: 'POST', body: 'hello', headers: forwarded }));
  }
  const socket = new WebSocket(`ws://${location.host}/lobby`);
  const opened = await new Promise((resolve) => {
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  });
  return { statuses, opened };
}

for (const [host, flags, status] of [
  ['evil.example', [], 403],
  ['chat.example', ['--host', 'chat.example'], 200],
]) {
  test(`a page of ${host} ${status === 200 ? 'may' : 'may not'} use a server on a loopback address`, async (t) => {
    const server = await startServer(t, ...flags);
    const page = await openPage(t, browser, server.url.replace('127.0.0.1', host));
    const { statuses, opened } = await within(page.evaluate(attack), 'the answers');
    // A host that is forwarded replaces the own one, and differs from that of the page.
    const expected = status === 200 ? [200, 200, 200, 200, 421, 421] : Array(6).fill(403);
    assert.deepEqual(statuses, expected);
    assert.equal(opened, status === 200);
  });
}
