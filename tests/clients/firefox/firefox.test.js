// What Firefox reports of a connection.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client } from '../node/client.js';
import { BINARY, Townhall } from '../node/townhall.js';
import { watching } from '../node/watching.js';
import { Firefox } from './firefox.js';

/** In the page: send these messages one after the other, and return what was received and the end. */
const converse = (messages) => new Promise((done) => {
  const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/room`);
  const received = [];
  const sendNext = () => {
    if (received.length < messages.length) socket.send(messages[received.length]);
    else socket.close(4001, 'off to lunch');
  };
  socket.onopen = sendNext;
  socket.onmessage = ({ data }) => {
    received.push(data);
    sendNext();
  };
  socket.onclose = ({ code, reason, wasClean }) => {
    done({ received, code, reason, wasClean, extensions: socket.extensions });
  };
});

/** In the page: send one message of this many characters, and return the end. */
const sayTooMuch = (size) => new Promise((done) => {
  const socket = new WebSocket(`ws://${location.host}/room`);
  socket.onopen = () => socket.send('x'.repeat(size));
  socket.onclose = ({ code, wasClean }) => done({ code, wasClean });
});

/** In the page: join a room with a token, and return once it is open. */
const enter = (token) => new Promise((done, fail) => {
  const socket = new WebSocket(`ws://${location.host}/lobby`, ['townhall.v1', `bearer.${token}`]);
  socket.onopen = () => done(true);
  socket.onclose = ({ code, reason }) => fail(new Error(`closed with ${code} ${reason}`));
});

/** In the page: join the lobby with the server's own client, and note what happens. */
const follow = async () => {
  const { Townhall } = await import('/townhall.js');
  globalThis.seen = [];
  globalThis.wake = () => {};
  const client = new Townhall('/lobby', { last: 100 });
  for (const name of ['message', 'recovered', 'lost']) {
    client.addEventListener(name, ({ data, detail }) => {
      seen.push([name, data ?? detail]);
      wake();
    });
  }
  return true;
};

/** In the page: wait until so many of these have happened, and return all of them. */
const happened = async (name, count) => {
  const all = () => seen.filter(([happened]) => happened === name).map(([, what]) => what);
  while (all().length < count) await new Promise((done) => { wake = done; });
  return all();
};

/** A file with a secret, and a function that makes tokens of it for users of the room /lobby. */
function makeKey(t) {
  const folder = mkdtempSync(join(tmpdir(), 'townhall-firefox-key-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const key = join(folder, 'secret');
  writeFileSync(key, 'a secret of this test, which is long enough\n');
  const flags = ['token', '--key-file', key, '--join', '/lobby', '--sub'];
  return { key, tokenOf: (user) => execFileSync(BINARY, [...flags, user], { encoding: 'utf8' }).trim() };
}

test('Firefox', async (t) => {
  const firefox = await Firefox.start(t);
  const open = ({ url }) => firefox.open(url.replace('ws', 'http'));
  const visit = async (test, ...options) => open(await Townhall.start(test, ...options));
  const converseNow = async () => {
    const messages = ['hello '.repeat(500), 'hello '.repeat(500), 'grüß dich, 世界 😀', '', 'hello'];
    const { received, extensions, ...closed } = await firefox.run(converse, messages);
    assert.deepEqual(received, messages);
    assert.match(extensions, /permessage-deflate/);
    assert.deepEqual(closed, { code: 4001, reason: 'off to lunch', wasClean: true });
  };

  for (const mode of ['echo', 'broadcast']) {
    await t.test(`${mode}: compressed messages, and a clean close`, async (test) => {
      await visit(test, '--mode', mode);
      await converseNow();
    });
  }

  await t.test('wss: compressed messages, and a clean close', async (test) => {
    await open(await Townhall.startTls(test));
    await converseNow();
  });

  for (const size of [1025, 5_000_000]) {
    await t.test(`a message of ${size} bytes that is too long ends in a clean close`, async (test) => {
      await visit(test, '--max-message-size', '1024', '--deflate', 'off');
      const closed = await firefox.run(sayTooMuch, size);
      assert.deepEqual(closed, { code: 1009, wasClean: true });
    });
  }

  await t.test('townhall.js comes back again and again, and misses nothing', async (test) => {
    const server = await Townhall.start(test, '--history-messages', '100000', '--max-connection-age', '1s');
    const url = server.url.replace('ws', 'http');
    await firefox.open(`${url}/health`);
    await firefox.run(follow);
    const said = [];
    while ((await firefox.run(happened, 'recovered', 0)).length < 2) {
      said.push(String(said.length));
      await fetch(`${url}/lobby`, { method: 'POST', body: said.at(-1) });
    }
    assert.deepEqual(await firefox.run(happened, 'message', said.length), said);
    assert.deepEqual(await firefox.run(happened, 'lost', 0), []);
  });

  await t.test('a page watches who comes and goes, with the code of the documentation', async (test) => {
    const { key, tokenOf } = makeKey(test);
    const server = await Townhall.start(test, '--auth-key-file', key, '--presence', '/lobby');
    await open(server);
    const example = watching(server.url);
    const watch = `async (token) => {
      globalThis.lines = [];
      globalThis.wake = () => {};
      const console = { log: (...line) => { lines.push(line); wake(); } };
      ${example}
      return true;
    }`;
    await firefox.run(watch, tokenOf('ann'));
    const next = () => firefox.run(async () => {
      if (lines.length === 0) await new Promise((done) => { wake = done; });
      return lines.shift();
    });
    assert.deepEqual(await next(), [0, []]);
    const headers = { authorization: `Bearer ${tokenOf('bob')}` };
    const bob = () => Client.join(test, `${server.url}/lobby`, { headers });
    const tabs = [await bob(), await bob()];
    assert.deepEqual(await next(), [1, ['bob']]);
    tabs.forEach(({ socket }) => socket.terminate());
    assert.deepEqual(await next(), [0, []]);
  });

  await t.test('a page that is loaded again has not left', async (test) => {
    const { key, tokenOf } = makeKey(test);
    const server = await Townhall.start(test, '--auth-key-file', key, '--presence', '/lobby');
    const token = tokenOf('ann');
    const headers = { authorization: `Bearer ${token}` };
    const watcher = await Client.join(test, `${server.url}/lobby/@members`, { headers });
    assert.equal(await watcher.receive(), '{"members":[],"count":0}');
    for (let times = 0; times < 3; times += 1) {
      await open(server);
      await firefox.run(enter, token);
    }
    assert.equal(await watcher.receive(), '{"joined":["ann"],"left":[],"count":1}');
    await firefox.open('about:blank');
    assert.equal(await watcher.receive(), '{"joined":[],"left":["ann"],"count":0}');
  });
});
