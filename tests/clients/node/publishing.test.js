// Publishing with fetch, which keeps its connections and sends streams in chunks.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { Client } from './client.js';
import { Townhall } from './townhall.js';

async function start(t, ...options) {
  const server = await Townhall.start(t, ...options);
  const room = server.url + '/lobby';
  return { member: await Client.join(t, room), url: room.replace('ws:', 'http:') };
}

test('fetch publishes text, JSON, bytes and a stream', async (t) => {
  const { member, url } = await start(t);
  const stream = new Blob(['in ', 'chunks']).stream();
  const headers = { 'content-type': 'application/octet-stream' };
  for (const [options, message] of [
    [{ body: 'grüße' }, 'grüße'],
    [{ body: '{"a": 1}', headers: { 'content-type': 'application/json' } }, '{"a": 1}'],
    [{ body: Buffer.from([0, 255]), headers }, Buffer.from([0, 255])],
    [{ body: stream, duplex: 'half' }, 'in chunks'],
    [{ body: 'x'.repeat(1_000_000) }, 'x'.repeat(1_000_000)],
  ]) {
    const answer = await fetch(url, { method: 'POST', ...options });
    assert.deepEqual(await answer.json(), { members: 1 });
    assert.deepEqual(await member.receive(), message);
  }
});

test('fetch publishes one message after another in order, over connections that it keeps', async (t) => {
  const { member, url } = await start(t);
  let connections = 0;
  const count = () => { connections += 1; };
  subscribe('undici:client:connected', count);
  t.after(() => unsubscribe('undici:client:connected', count));
  for (let number = 0; number < 500; number += 1) {
    const answer = await fetch(url, { method: 'POST', body: `${number}` });
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
    assert.equal(await member.receive(), `${number}`);
  }
  // fetch opens another one if it has not noticed yet that the first is free.
  assert.ok(connections < 10, `${connections} connections`);
});

test('fetch learns why a message is refused', async (t) => {
  const { url } = await start(t, '--room', '/lobby');
  const body = Buffer.from([255]);
  const refused = await fetch(url, { method: 'POST', body });
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /UTF-8/);
  assert.equal((await fetch(url.replace('lobby', 'hall'), { method: 'POST', body })).status, 404);
});
