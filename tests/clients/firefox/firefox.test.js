// What Firefox reports of a connection.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Townhall } from '../node/townhall.js';
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
});
