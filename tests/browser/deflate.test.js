// permessage-deflate with a browser: pages in a room that is flooded with JSON
// receive exactly what was sent, in a context that all members share.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { Random, Talker } from '../clients/node/talk.js';
import { openPage, startBrowser, startServer, within } from './helper.js';

const LINES = 2_000;
const BURST = 50;
const AHEAD = 200;

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** Forwards connections to the server, and counts the bytes to the browser (down) and from it (up). */
async function startTap(t, server) {
  const lines = [];
  const tap = createServer((client) => {
    const line = { path: undefined, down: 0, up: 0 };
    const upstream = connect({ host: '127.0.0.1', port: new URL(server.url).port });
    client.once('data', (head) => { line.path = head.toString('latin1').split(' ')[1]; });
    client.on('data', (data) => { line.up += data.length; });
    upstream.on('data', (data) => { line.down += data.length; });
    client.pipe(upstream).pipe(client);
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      one.on('error', () => {}).on('close', () => other.destroy());
    }
    lines.push(line);
  });
  tap.listen(0, '127.0.0.1');
  await within(once(tap, 'listening'), 'the tap listens');
  t.after(() => tap.close());
  const through = (path) => lines.filter((line) => line.path === path);
  return { url: `http://127.0.0.1:${tap.address().port}/`, through };
}

/** A member without a library. It sends no compressed frames, and inflates nothing. */
async function joinPlainly(t, server, path, offer) {
  const headers = {
    Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', ...(offer && { 'Sec-WebSocket-Extensions': offer }),
  };
  const request = get(new URL(path, server.url), { headers });
  const [response, socket, head] = await within(once(request, 'upgrade'), 'the upgrade');
  t.after(() => socket.destroy());
  const member = { extensions: response.headers['sec-websocket-extensions'], bytes: head.length };
  socket.on('error', () => {}).on('data', (data) => { member.bytes += data.length; });
  member.send = (messages) => socket.write(Buffer.concat(messages.flatMap(frame)));
  return member;
}

/** A frame of a client. Its masking key is 0, so that the payload stays as it is. */
function frame(data) {
  const payload = Buffer.from(data);
  const size = payload.length;
  const header = Buffer.alloc(14);
  header[0] = typeof data === 'string' ? 0x81 : 0x82;
  header[1] = 0x80 | (size < 126 ? size : size < 65_536 ? 126 : 127);
  if (size >= 65_536) header.writeBigUInt64BE(BigInt(size), 2);
  else if (size >= 126) header.writeUInt16BE(size, 2);
  return [header.subarray(0, size < 126 ? 6 : size < 65_536 ? 8 : 14), payload];
}

// Runs in the page: opens a socket as `ws` and collects its messages in
// `received`, bytes as a list of numbers. `until(n)` waits for the n-th message,
// and `last(text)` for this text.
async function open(path) {
  const received = [];
  let wake = () => {};
  const ws = new WebSocket(`ws://${location.host}${path}`);
  ws.binaryType = 'arraybuffer';
  ws.onmessage = ({ data }) => {
    received.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
    wake();
  };
  const ended = new Promise((_, reject) => {
    ws.onclose = ({ code }) => reject(new Error(`closed with ${code} after ${received.length} messages`));
  });
  ended.catch(() => {});
  const when = async (condition) => {
    while (!condition()) await Promise.race([ended, new Promise((resolve) => { wake = resolve; })]);
  };
  Object.assign(window, {
    ws,
    received,
    until: (count) => when(() => received.length >= count),
    last: (text) => when(() => received.at(-1) === text),
  });
  await Promise.race([ended, new Promise((resolve) => { ws.onopen = resolve; })]);
  return ws.extensions;
}

/** Chat, and now and then something else. */
function* messages() {
  const random = new Random(7);
  const talker = new Talker('flood', 7);
  for (let number = 0; number < LINES; number += 1) {
    yield talker.line();
    if (number % 100 === 20) yield* ['', 'ok', [...random.bytes(3_000)], talker.line(20_000), []];
    if (number % 1_000 === 500) yield talker.line(2 ** 18);
  }
}

const asSent = (message) => (Array.isArray(message) ? Buffer.from(message) : message);

test('two pages in a flood of JSON receive exactly what was sent', async (t) => {
  const server = await startServer(t);
  const [near, far] = [await startTap(t, server), await startTap(t, server)];
  const ann = await openPage(t, browser, near.url);
  const bob = await openPage(t, browser, far.url);
  const sender = await joinPlainly(t, server, '/flood');
  const alone = await joinPlainly(t, server, '/flood', 'permessage-deflate; server_no_context_takeover');
  assert.match(alone.extensions, /server_no_context_takeover/);
  const join = async (page) => {
    assert.match(await within(page.evaluate(open, '/flood'), 'the socket opens'), /^permessage-deflate/);
  };
  await join(ann);

  const sent = [];
  const source = messages();
  const flood = async (count) => {
    for (const end = sent.length + count; sent.length < end;) {
      const batch = [...take(source, BURST)];
      if (batch.length === 0) return;
      sent.push(...batch);
      sender.send(batch.map(asSent));
      // The pages must keep up: this tests the server, not the browser.
      await within(ann.evaluate((count) => until(count), sent.length - AHEAD), 'the flood');
    }
  };
  await flood(600);
  await Promise.all([join(bob), flood(500)]);
  // The pages send too, and their browser compresses that.
  const own = (name) => Array.from({ length: 50 }, (_, number) => `${name} says ${name.repeat(40)} ${number}`);
  const sendOwn = (page, name) => page.evaluate((lines) => lines.forEach((line) => ws.send(line)), own(name));
  await Promise.all([flood(300), sendOwn(ann, 'ann'), sendOwn(bob, 'bob')]);
  const first = await bob.evaluate(() => { ws.onclose = null; ws.close(); return received; });
  await Promise.all([join(bob), flood(Infinity)]);
  sender.send(['the end']);
  await Promise.all([ann, bob].map((page) => within(page.evaluate(() => last('the end')), 'the end')));
  const all = await ann.evaluate(() => received);
  const second = await bob.evaluate(() => received);

  const pages = new Set([...own('ann'), ...own('bob')]);
  same(all.filter((message) => !pages.has(message)), [...sent, 'the end'], 'the flood');
  for (const name of ['ann', 'bob']) {
    same(all.filter((message) => own(name).includes(message)), own(name), name);
  }
  const anchor = first.findIndex((message) => message.length > 100);
  const start = all.indexOf(first[anchor]) - anchor;
  assert.ok(start > 0 && first.length > 300, `bob came after ${start} messages, and received ${first.length}`);
  same(first, all.slice(start, start + first.length), 'before it left, bob');
  assert.ok(second.length < all.length - start - first.length);
  same(second, all.slice(-second.length), 'after it came back, bob');

  const size = (messages) => messages.reduce((sum, message) => sum + Buffer.byteLength(asSent(message)), 0);
  const payload = size(all);
  const [{ down, up }] = near.through('/flood');
  t.diagnostic(`${all.length} messages; of ${payload} bytes, there were on the wire: ` +
    `to the page ${(down / payload).toFixed(3)}, without context ${(alone.bytes / payload).toFixed(3)}`);
  assert.ok(down < 0.85 * alone.bytes && alone.bytes < 0.9 * payload);
  assert.ok(up < 0.8 * size(own('ann')), 'the page compresses what it sends');
  assert.equal(far.through('/flood').length, 2);
});

function* take(iterator, count) {
  for (; count > 0; count -= 1) {
    const { value, done } = iterator.next();
    if (done) return;
    yield value;
  }
}

/** Compares two lists, but shows only the first difference. */
function same(actual, expected, what) {
  const differs = (message, index) => JSON.stringify(message) !== JSON.stringify(expected[index]);
  assert.equal(actual.findIndex(differs), -1, `${what}: the index of the first difference`);
  assert.equal(actual.length, expected.length, what);
}
