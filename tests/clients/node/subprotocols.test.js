// The server takes the first subprotocol in the client's list that it knows.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'undici';
import { Client } from './client.js';
import { within } from './deadline.js';
import { Townhall } from './townhall.js';

/** The log line for a subprotocol that was refused. */
const TRACE = /unknown.*--subprotocol/;
const KNOWN = ['--subprotocol', 'chat', '--subprotocol', 'superchat'];

test('the client\'s order decides', async (t) => {
  const { url } = await Townhall.start(t, ...KNOWN);
  const offers = [
    [['chat'], 'chat'],
    [['superchat'], 'superchat'],
    [['chat', 'superchat'], 'chat'],
    [['superchat', 'chat'], 'superchat'],
    [['unknown', 'superchat', 'chat'], 'superchat'],
    [['Chat', 'chat'], 'chat'],
  ];
  for (const [protocols, expected] of offers) {
    const client = await Client.join(t, url, { protocols });
    assert.equal(client.socket.protocol, expected);
  }
});

test('a client that asks for none gets none', async (t) => {
  const client = await Client.join(t, (await Townhall.start(t, ...KNOWN)).url);
  assert.equal(client.socket.protocol, '');
  client.send('works');
  assert.equal(await client.receive(), 'works');
});

for (const [name, options] of [['none that fits', KNOWN], ['none at all', []]]) {
  test(`the server accepts without a subprotocol when it knows ${name}`, async (t) => {
    const server = await Townhall.start(t, ...options);
    const client = new Client(t, server.url, { protocols: ['unknown'] });
    const [response] = await within(once(client.socket, 'upgrade'), 'answer with status 101');
    assert.equal(response.headers['sec-websocket-protocol'], undefined);
    // `ws` insists on getting a subprotocol, so that it is the client that gives up.
    await client.closing();
    assert.equal(client.error.message, 'Server sent no subprotocol');
    await server.logged(TRACE);
  });
}

test('undici fails without a subprotocol too, and the log shows what was missing', async (t) => {
  const server = await Townhall.start(t);
  const socket = new WebSocket(server.url, ['unknown']);
  const { code } = await within(new Promise((done) => { socket.onclose = done; }), 'end');
  assert.equal(code, 1006);
  await server.logged(TRACE);
});
