// How connections end: by the client, by the server, and by a fault.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Client } from './client.js';
import { Townhall } from './townhall.js';

const PLAIN = { perMessageDeflate: false };

test('the server answers a close with the same code and reason', async (t) => {
  const { url } = await Townhall.start(t);
  const closes = [[1000, ''], [1000, 'done'], [1001, 'leaving'], [3000, 'bis später'],
    [4999, 'x'.repeat(123)]];
  for (const [code, reason] of closes) {
    const client = await Client.join(t, url);
    client.socket.close(code, reason);
    assert.deepEqual(await client.closing(), [code, reason]);
    assert.equal(client.error, undefined);
  }
});

test('the server answers a close without a code', async (t) => {
  const client = await Client.join(t, (await Townhall.start(t)).url);
  client.socket.close();
  assert.deepEqual(await client.closing(), [1005, '']);
});

test('the others still receive what was sent before the close', async (t) => {
  const { url } = await Townhall.start(t);
  const listener = await Client.join(t, url);
  const sender = await Client.join(t, url);
  for (let number = 0; number < 100; number += 1) sender.send(`${number}`);
  sender.socket.close(1000);
  await sender.closing();
  const received = await listener.receiveMany(100);
  assert.deepEqual(received, received.map((_, number) => `${number}`));
});

test('a client that vanishes does not disturb the others', async (t) => {
  const { url } = await Townhall.start(t);
  const listener = await Client.join(t, url);
  const lost = await Client.join(t, url);
  lost.send('half a mess', { fin: false });
  assert.equal(await lost.ping('arrived'), 'arrived');
  lost.socket.terminate();
  listener.send('still here');
  assert.equal(await listener.receive(), 'still here');
});

test('SIGTERM closes every connection with 1001', async (t) => {
  const server = await Townhall.start(t);
  const clients = [];
  for (const path of ['/', '/', '/elsewhere']) {
    clients.push(await Client.join(t, server.url + path));
  }
  clients[1].send('unfinished', { fin: false });
  assert.equal(await clients[1].ping('arrived'), 'arrived');
  await server.stop();
  for (const client of clients) assert.equal((await client.closing())[0], 1001);
});

test('a message of the largest size passes, a larger one is refused with 1009', async (t) => {
  const { url } = await Townhall.start(t, '--max-message-size', '1024');
  const client = await Client.join(t, url, PLAIN);
  client.send('x'.repeat(1024));
  assert.equal(await client.receive(), 'x'.repeat(1024));
  client.send('x'.repeat(1025));
  assert.equal((await client.closing())[0], 1009);
});

test('fragments that together are too large are refused with 1009', async (t) => {
  const { url } = await Townhall.start(t, '--max-message-size', '1024');
  const client = await Client.join(t, url, PLAIN);
  client.send(randomBytes(1024), { fin: false });
  client.send(randomBytes(1), { fin: false });
  assert.equal((await client.closing())[0], 1009);
});

test('a message still on its way when it is refused does not hide the 1009', async (t) => {
  const { url } = await Townhall.start(t, '--max-message-size', '1024');
  const client = await Client.join(t, url, PLAIN);
  client.send(randomBytes(8 * 1024 * 1024));
  assert.equal((await client.closing())[0], 1009);
});

test('a compressed message is refused by its size when decompressed', async (t) => {
  const { url } = await Townhall.start(t, '--max-message-size', '4096');
  const client = await Client.join(t, url, { perMessageDeflate: true });
  client.send('x'.repeat(4097));
  assert.equal((await client.closing())[0], 1009);
});

test('text that is not UTF-8 is refused with 1007, and nobody receives it', async (t) => {
  const { url } = await Townhall.start(t);
  const listener = await Client.join(t, url);
  const client = await Client.join(t, url, PLAIN);
  client.send(Buffer.from([0xc3, 0x28]), { binary: false });
  assert.equal((await client.closing())[0], 1007);
  listener.send('marker');
  assert.equal(await listener.receive(), 'marker');
});

test('a frame without a mask is refused with 1002', async (t) => {
  const client = await Client.join(t, (await Townhall.start(t)).url, PLAIN);
  client.send('unmasked', { mask: false });
  assert.equal((await client.closing())[0], 1002);
});
