// A page that sends its token as a subprotocol, since it cannot set header fields, and learns from the
// close frame why it may not join, since it cannot see an HTTP status.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeKey, openPage, startBrowser, startServer, within } from './helper.js';

let browser;
let key;
before(async () => {
  browser = await startBrowser();
  key = makeKey();
});
after(async () => {
  key.remove();
  await browser?.close();
});

const makeToken = (...flags) => key.token('--join', '/game/*', ...flags);

/** Opens a socket in a page, sends a text, and returns the subprotocol, what came back, and the close. */
async function talk(page, path, protocols) {
  const talked = page.evaluate(([path, protocols]) => new Promise((resolve) => {
    const ws = new WebSocket(`ws://${location.host}${path}`, protocols);
    const seen = { protocol: null, texts: [] };
    ws.onopen = () => { seen.protocol = ws.protocol; ws.send('hello'); };
    ws.onmessage = ({ data }) => { seen.texts.push(data); ws.close(1000); };
    ws.onclose = ({ code, reason }) => resolve({ ...seen, code, reason });
  }), [path, protocols]);
  return within(talked, 'the end of the socket');
}

test('a token that a page sends as a subprotocol opens its rooms', async (t) => {
  const server = await startServer(t, '--auth-key-file', key.file);
  const page = await openPage(t, browser, server.url);
  const token = makeToken('--publish', '/game/7');
  const seen = await talk(page, '/game/7', ['townhall.v1', `bearer.${token}`]);
  assert.deepEqual(seen, { protocol: 'townhall.v1', texts: ['hello'], code: 1000, reason: '' });
});

test('a page learns why it may not join or publish', async (t) => {
  const server = await startServer(t, '--auth-key-file', key.file);
  const page = await openPage(t, browser, server.url);
  const protocols = ['townhall.v1', `bearer.${makeToken()}`];
  for (const [path, offered, code, reason] of [
    ['/game/7', ['townhall.v1'], 4401, 'a token is needed'],
    ['/game/7', ['townhall.v1', 'bearer.a.b.c'], 4401, /^the token is not a JSON Web Token/],
    ['/hall', protocols, 4403, 'the token does not allow joining this room'],
    ['/game/7', protocols, 1008, 'you may not publish in this room'],
  ]) {
    const seen = await talk(page, path, offered);
    assert.equal(seen.code, code);
    assert.match(seen.reason, new RegExp(reason));
    assert.deepEqual([seen.protocol, seen.texts], ['townhall.v1', []]);
  }
});

test('a page learns that its token has ended', async (t) => {
  const server = await startServer(t, '--auth-key-file', key.file, '--public-publish', '/*');
  const page = await openPage(t, browser, server.url);
  const token = makeToken('--ttl', '1s');
  const end = page.evaluate((token) => new Promise((resolve) => {
    const ws = new WebSocket(`ws://${location.host}/game/7`, ['townhall.v1', `bearer.${token}`]);
    ws.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
  }), token);
  const expected = { code: 4401, reason: 'the token has ended', wasClean: true };
  assert.deepEqual(await within(end, 'the end of the token'), expected);
});

test('a cookie opens rooms for pages of the same host', async (t) => {
  const server = await startServer(t, '--auth-key-file', key.file, '--auth-cookie', 'session');
  const page = await openPage(t, browser, server.url);
  const token = makeToken('--publish', '/game/7');
  await page.evaluate((token) => { document.cookie = `session=${token}`; }, token);
  const seen = await talk(page, '/game/7', []);
  assert.deepEqual(seen, { protocol: '', texts: ['hello'], code: 1000, reason: '' });
});
