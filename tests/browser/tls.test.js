// The page over https, which connects with wss, and its compressed messages.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { join, openPage, received, send, startBrowser, startTlsServer, within } from './helper.js';

const UNKNOWN = { ignoreHTTPSErrors: true };

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

test('two people chat over wss', async (t) => {
  const server = await startTlsServer(t);
  const ann = await join(t, browser, server, 'lobby', UNKNOWN);
  const bob = await join(t, browser, server, 'lobby', UNKNOWN);
  await send(ann, 'Hello, Bob!');
  assert.deepEqual(await received(bob, 1), ['Hello, Bob!']);
  await send(bob, 'hello '.repeat(100).trim());
  const both = ['Hello, Bob!', 'hello '.repeat(100).trim()];
  assert.deepEqual(await received(ann, 2), both);
  assert.deepEqual(await received(bob, 2), both);
  await bob.locator('#close-code').fill('4001');
  await bob.locator('#close').click();
  const line = await bob.locator('#events .close span').textContent();
  assert.equal(line, 'code 4001, reason "bye", wasClean true');
});

test('compressed messages both ways, and a clean close', async (t) => {
  const server = await startTlsServer(t);
  const page = await openPage(t, browser, server.url, UNKNOWN);
  const messages = ['hello '.repeat(500), 'hello '.repeat(500), 'grüß dich, 世界 😀', '', 'hello'];
  const converse = (texts) => new Promise((done) => {
    const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/room`);
    const got = [];
    const next = () => (got.length < texts.length ? socket.send(texts[got.length]) : socket.close(4001));
    socket.onopen = next;
    socket.onmessage = ({ data }) => { got.push(data); next(); };
    socket.onclose = ({ code, wasClean }) => done({ got, code, wasClean, extensions: socket.extensions });
  });
  const { got, extensions, ...closed } = await within(page.evaluate(converse, messages), 'the close');
  assert.deepEqual(got, messages);
  assert.match(extensions, /permessage-deflate/);
  assert.deepEqual(closed, { code: 4001, wasClean: true });
});

test('a browser that does not know the certificate shows no page', async (t) => {
  const server = await startTlsServer(t);
  await assert.rejects(openPage(t, browser, server.url), /ERR_CERT_AUTHORITY_INVALID/);
});
