// HAProxy's health checks, and their state in its stats socket.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client } from '../node/client.js';
import { Townhall } from '../node/townhall.js';
import { eventually, Proxy } from './proxy.js';
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

/** What HAProxy knows of the server: its `status`, and the `check_code` that it got last. */
async function state(proxy) {
  const socket = connect(join(proxy.directory, 'stats'));
  await once(socket, 'connect');
  socket.end('show stat\n');
  let table = '';
  for await (const chunk of socket.setEncoding('utf8')) table += chunk;
  const [names, ...rows] = table.split('\n').map((line) => line.replace(/^# /, '').split(','));
  const one = rows.find((row) => row[0] === 'townhall' && row[1] === 'one');
  return Object.fromEntries(names.map((name, column) => [name, one[column]]));
}

/** Wait until a check was answered, and return its status and what HAProxy makes of it. */
async function checked(proxy, isDone = () => true) {
  return eventually(async () => {
    // Its port is there a moment before its socket.
    const { status, check_code: code } = await state(proxy).catch(() => ({}));
    return code && isDone(status) ? [status, code] : undefined;
  }, 'answer to a check');
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
