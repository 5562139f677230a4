// Which members receive which messages.
//
// Tests show without waiting that nothing is received: the next thing received
// is a marker that was sent later.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from './client.js';
import { Townhall } from './townhall.js';

/** Connect two clients to one room. */
async function pair(t, ...options) {
  const { url } = await Townhall.start(t, ...options);
  return [await Client.join(t, url), await Client.join(t, url)];
}

test('everybody in a room receives everything in the same order', async (t) => {
  const clients = await pair(t);
  for (let number = 0; number < 200; number += 1) {
    for (const [name, client] of clients.entries()) client.send(`${name} ${number}`);
    if (number % 10 === 0) await new Promise(setImmediate); // Let the sockets work in between.
  }
  const [first, second] = await Promise.all(clients.map((client) => client.receiveMany(400)));
  assert.deepEqual(first, second);
  for (const name of ['0', '1']) {
    const own = first.filter((message) => message.startsWith(`${name} `));
    assert.deepEqual(own, own.map((_, number) => `${name} ${number}`));
    assert.equal(own.length, 200);
  }
});

test('a member receives everything that is sent after it joined', async (t) => {
  const { url } = await Townhall.start(t);
  const sender = await Client.join(t, url);
  for (let number = 0; number < 50; number += 1) {
    const listener = await Client.join(t, url);
    sender.send(`${number}`);
    assert.equal(await listener.receive(), `${number}`);
  }
});

test('fragments of two senders do not mix', async (t) => {
  const [first, second] = await pair(t);
  first.send('one ', { fin: false });
  second.send(Buffer.from([1]), { fin: false });
  assert.equal(await first.ping('sent'), 'sent');
  second.send(Buffer.from([2]));
  for (const client of [first, second]) assert.deepEqual(await client.receive(), Buffer.from([1, 2]));
  first.send('two');
  for (const client of [first, second]) assert.equal(await client.receive(), 'one two');
});

test('rooms are apart', async (t) => {
  const { url } = await Townhall.start(t);
  const paths = ['/', '/one', '/two', '/one/two', '/One'];
  const rooms = [];
  for (const path of paths) rooms.push([path, await Client.join(t, url + path)]);
  for (const [path, client] of rooms) client.send(`to ${path}`);
  for (const [path, client] of rooms) assert.equal(await client.receive(), `to ${path}`);
  for (const [path, client] of rooms) client.send(`again to ${path}`);
  for (const [path, client] of rooms) assert.equal(await client.receive(), `again to ${path}`);
});

test('--no-reflect: the sender does not receive its own messages', async (t) => {
  const [first, second] = await pair(t, '--no-reflect');
  first.send('from first');
  assert.equal(await second.receive(), 'from first');
  second.send('from second');
  assert.equal(await first.receive(), 'from second');
});

test('--mode echo: only the sender receives its messages', async (t) => {
  const [first, second] = await pair(t, '--mode', 'echo');
  first.send('from first');
  assert.equal(await first.receive(), 'from first');
  second.send('from second');
  assert.equal(await second.receive(), 'from second');
});

const CUT = [
  ['a'.repeat(60), 'a'.repeat(50)],
  ['é'.repeat(60), 'é'.repeat(50)],
  ['世'.repeat(60), '世'.repeat(50)],
  ['😀'.repeat(60), '😀'.repeat(50)],
  [`${'a'.repeat(49)}😀b`, `${'a'.repeat(49)}😀`],
  ['é'.repeat(50), 'é'.repeat(50)],
  ['short', 'short'],
  ['', ''],
  [Buffer.alloc(60, 0xff), Buffer.alloc(50, 0xff)],
  [Buffer.from('é'.repeat(60)), Buffer.from('é'.repeat(25))],
  [Buffer.alloc(50, 1), Buffer.alloc(50, 1)],
];

for (const mode of ['echo', 'broadcast']) {
  test(`--truncate 50, ${mode}: 50 characters of a text, 50 bytes of a binary`, async (t) => {
    const [client] = await pair(t, '--mode', mode, '--truncate', '50');
    for (const [sent, expected] of CUT) {
      client.send(sent);
      assert.deepEqual(await client.receive(), expected);
    }
  });
}

test('--truncate 50: the cut is the same for the others, and counts across fragments', async (t) => {
  const [first, second] = await pair(t, '--truncate', '50');
  first.send('é'.repeat(40), { fin: false });
  first.send('世'.repeat(40));
  const expected = 'é'.repeat(40) + '世'.repeat(10);
  for (const client of [first, second]) assert.equal(await client.receive(), expected);
});
