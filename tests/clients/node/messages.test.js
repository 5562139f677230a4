// What one client sends comes back unchanged.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Client } from './client.js';
import { Townhall } from './townhall.js';

const MEBIBYTE = 1024 * 1024;

for (const mode of ['echo', 'broadcast']) {
  const start = (t) => Townhall.start(t, '--mode', mode);

  test(`${mode}: text, binary and empty messages`, async (t) => {
    const client = await Client.join(t, (await start(t)).url);
    const binary = Buffer.from([0, 255, 128]);
    const messages = ['hello', 'grüß dich, 世界 😀', binary, '', Buffer.alloc(0)];
    for (const message of messages) {
      client.send(message);
      assert.deepEqual(await client.receive(), message);
    }
  });

  test(`${mode}: messages of 1 MiB`, async (t) => {
    const client = await Client.join(t, (await start(t)).url);
    for (const message of [randomBytes(MEBIBYTE), randomBytes(MEBIBYTE / 2).toString('hex')]) {
      client.send(message);
      const received = await client.receive();
      assert.equal(typeof received, typeof message);
      assert.ok(typeof received === 'string' ? received === message : received.equals(message));
    }
  });

  test(`${mode}: many messages without waiting for any`, async (t) => {
    const client = await Client.join(t, (await start(t)).url);
    const messages = Array.from({ length: 1000 }, (_, number) => `message ${number}`);
    for (const message of messages) client.send(message);
    assert.deepEqual(await client.receiveMany(messages.length), messages);
  });

  test(`${mode}: fragments become one message`, async (t) => {
    const client = await Client.join(t, (await start(t)).url);
    for (const part of ['one ', '', 'two ']) client.send(part, { fin: false });
    client.send('three');
    assert.equal(await client.receive(), 'one two three');
    client.send(Buffer.from([1]), { fin: false });
    client.send(Buffer.from([2]));
    assert.deepEqual(await client.receive(), Buffer.from([1, 2]));
  });

  test(`${mode}: a character split between fragments`, async (t) => {
    const client = await Client.join(t, (await start(t)).url);
    const bytes = Buffer.from('a😀z');
    for (const byte of bytes.subarray(0, -1)) {
      client.send(Buffer.from([byte]), { binary: false, fin: false });
    }
    client.send(bytes.subarray(-1), { binary: false });
    assert.equal(await client.receive(), 'a😀z');
  });

  test(`${mode}: pings are answered in the middle of a message`, async (t) => {
    const client = await Client.join(t, (await start(t)).url);
    client.send('begun, ', { fin: false });
    assert.equal(await client.ping('first'), 'first');
    client.send('continued, ', { fin: false });
    assert.equal(await client.ping(''), '');
    const longest = 'x'.repeat(125);
    assert.equal(await client.ping(longest), longest);
    client.send('ended');
    assert.equal(await client.receive(), 'begun, continued, ended');
  });

  test(`${mode}: an unasked pong is ignored`, async (t) => {
    const client = await Client.join(t, (await start(t)).url);
    client.socket.pong('nobody asked');
    client.send('still here');
    assert.equal(await client.receive(), 'still here');
  });
}

/** Send what compresses well and what does not, whole and in fragments, and expect it back. */
async function exchange(sender, listener) {
  for (const message of ['abc'.repeat(5000), randomBytes(5000), 'short', '', 'abc'.repeat(5000)]) {
    sender.send(message);
    assert.deepEqual(await listener.receive(), message);
  }
  sender.send('first '.repeat(1000), { fin: false });
  sender.send('second '.repeat(1000));
  assert.equal(await listener.receive(), 'first '.repeat(1000) + 'second '.repeat(1000));
}

test('compression: an offer of permessage-deflate does no harm', async (t) => {
  const { url } = await Townhall.start(t);
  const offers = [true, { serverNoContextTakeover: true, clientNoContextTakeover: true },
    { clientMaxWindowBits: 9 }, { serverMaxWindowBits: 15 }];
  for (const [number, perMessageDeflate] of offers.entries()) {
    const client = await Client.join(t, `${url}/offer-${number}`, { perMessageDeflate });
    assert.match(client.socket.extensions, /^(permessage-deflate.*)?$/);
    await exchange(client, client);
  }
});

test('compression: is not used by a client that did not offer it', async (t) => {
  const { url } = await Townhall.start(t);
  const client = await Client.join(t, url, { perMessageDeflate: false });
  assert.equal(client.socket.extensions, '');
  await exchange(client, client);
});

test('compression: clients with and without it understand each other', async (t) => {
  const { url } = await Townhall.start(t, '--no-reflect');
  const plain = await Client.join(t, url, { perMessageDeflate: false });
  const offering = await Client.join(t, url, { perMessageDeflate: true });
  await exchange(plain, offering);
  await exchange(offering, plain);
});
