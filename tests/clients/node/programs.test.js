// Clients in other languages, each written as its library's documentation has it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { within } from './deadline.js';
import { Program } from './program.js';
import { relay, standsAlone, TEXT } from './relay.js';
import { Talker } from './talk.js';
import { Townhall } from './townhall.js';

/** Chat with a repetition at `AGAIN`, and what is short, long, or not ASCII. */
function conversation(name) {
  const talker = new Talker(name, 1);
  const chat = Array.from({ length: 6 }, () => talker.line());
  return [...chat, chat[0], 'ok', 'grüß dich, 世界 😀', talker.line(20_000), chat[1]];
}
const AGAIN = 6;

/** Start a server, with a relay before it. */
async function start(t, ...options) {
  const server = await Townhall.start(t, ...options);
  const { url, passages } = await relay(t, server.url);
  return { server, url: `${url}/room`, passages };
}

/** Send all messages, the first ones one by one, and check that the listeners receive them. */
async function converse(sender, messages, ...listeners) {
  for (const message of messages.slice(0, AGAIN)) {
    sender.send(message);
    for (const listener of listeners) await listener.receives(message);
  }
  for (const message of messages.slice(AGAIN)) sender.send(message);
  for (const listener of listeners) await listener.receives(...messages.slice(AGAIN));
}

/** Let the program close, and check what both sides sent for that. */
async function close(program, passage) {
  program.close();
  assert.match(await program.next(), /^closed/);
  await within(passage.closed, 'end of the connection');
  assert.equal(passage.client.closeCode, 1000);
  assert.equal(passage.server.closeCode, 1000);
  assert.equal(await within(program.ended, 'end of the program'), 0);
}

for (const name of ['Jetty', 'Mojolicious', 'Netty', 'Tornado']) {
  for (const mode of ['echo', 'broadcast']) {
    test(`${name}, ${mode}: compressed messages that refer to earlier ones`, async (t) => {
      const { url, passages } = await start(t, '--mode', mode);
      const program = await Program.join(t, name, url);
      await converse(program, conversation(name), program);
      // Mojolicious compresses an empty message to nothing.
      await converse(program, ['', 'and on'], program);
      await close(program, passages[0]);
      const { compressed, payload } = passages[0].client.frames(TEXT)[AGAIN];
      assert.ok(compressed, 'it compresses');
      assert.ok(!standsAlone(payload), 'it keeps its context');
    });
  }

  test(`${name}: receives what others send compressed, and is closed with 1001`, async (t) => {
    const { server, url, passages } = await start(t);
    const program = await Program.join(t, name, url);
    const other = await Program.join(t, name, url);
    await converse(program, conversation('first'), program, other);
    await converse(other, conversation('second'), program, other);
    const received = passages[0].server.frames(TEXT);
    assert.ok(received.some(({ compressed }) => compressed), 'the server compresses');
    await server.stop();
    for (const closed of [program, other]) await closed.expect('closed 1001');
  });
}

for (const name of ['libwebsockets', 'soketto']) {
  test(`${name}, without compression: echo, room and close`, async (t) => {
    const { url, passages } = await start(t);
    const program = await Program.join(t, name, url);
    const other = await Program.join(t, name, url);
    assert.equal(passages[0].server.field('sec-websocket-extensions'), undefined);
    await converse(program, conversation(name), program, other);
    await close(program, passages[0]);
  });

  test(`${name}, with compression: others understand it`, async (t) => {
    const { url, passages } = await start(t, '--no-reflect');
    const program = await Program.join(t, name, url, 'deflate');
    const listener = await Program.join(t, 'Tornado', url);
    await converse(program, conversation(name), listener);
    await close(program, passages[0]);
    assert.ok(passages[0].client.frames(TEXT)[AGAIN].compressed, 'it compresses');
  });
}

/** Origins that no page has, for the server's own host; the first is that of the documentation. */
for (const origin of ['http://127.0.0.1/', 'http://HOST/', 'ws://HOST', 'http://HOST']) {
  test(`Go's x/net with ${origin} as its origin`, async (t) => {
    const { url, passages } = await start(t);
    const own = origin.replace('HOST', new URL(url).host);
    const program = await Program.join(t, 'x/net', url, own);
    assert.equal(passages[0].client.field('origin'), own);
    await converse(program, conversation('Go'), program);
    await close(program, passages[0]);
  });
}

test('ws4py, whose origin is a ws URL', async (t) => {
  const { url, passages } = await start(t);
  const program = await Program.join(t, 'ws4py', url);
  assert.equal(passages[0].client.field('origin'), `ws://${new URL(url).host}`);
  await converse(program, conversation('ws4py'), program);
  await close(program, passages[0]);
});
