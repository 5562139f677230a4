// HAProxy's health checks.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../node/client.js';
import { Townhall } from '../node/townhall.js';
import { checked } from './checks.js';
import { Proxy } from './proxy.js';
import { get } from './web.js';

/** Start HAProxy before a server, which it checks in this way. */
function before(t, server, check) {
  const { host } = new URL(server.url);
  return Proxy.start(t, 'haproxy', `
backend townhall
  ${check}
  server one ${host} check inter 100ms fall 1
`);
}

for (const [check, code] of [['option httpchk', '204'], ['option httpchk GET /health', '200'],
  ['option httpchk GET /health HTTP/1.1\\r\\nHost:\\ townhall', '200']]) {
  test(`HAProxy with '${check}' finds the server up, and serves it`, async (t) => {
    const proxy = await before(t, await Townhall.start(t), check);
    assert.deepEqual(await checked(proxy), ['UP', code]);
    assert.equal((await get(proxy, '/health')).status, 200);
    const client = await Client.join(t, `${proxy.url}/room`, { origin: proxy.origin });
    client.send('hello');
    assert.equal(await client.receive(), 'hello');
  });

  test(`HAProxy with '${check}' takes a server that stops out of service`, async (t) => {
    const server = await Townhall.start(t, '--shutdown-delay', '2s');
    const proxy = await before(t, server, check);
    await checked(proxy);
    const last = await Client.join(t, `${proxy.url}/room`, { origin: proxy.origin });
    const stopped = server.stop();
    assert.deepEqual(await checked(proxy, (status) => status === 'DOWN'), ['DOWN', '503']);
    assert.equal((await last.closing())[0], 1001);
    await stopped;
  });
}
