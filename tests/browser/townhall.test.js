// The module /townhall.js in Chromium, while everything that breaks connections happens to it: whatever the
// server keeps arrives in order, exactly once, and what it does not keep is told.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DEADLINE, makeKey, openPage, openPlainPage, startBrowser, startServer, within } from './helper.js';

const HISTORY = ['--history-messages', '100000'];

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** A page with a client in the lobby. */
async function enter(t, url, options) {
  return begin(await openPage(t, browser, `${url}health`), options);
}

/** Starts a client in a page, and waits until it is greeted or open. `token` is a function of the test. */
async function begin(page, { from = '/', path = '/lobby', token, greeted = path.endsWith('/lobby'), ...options } = {}) {
  if (token) await page.exposeFunction('fetchToken', token);
  await page.evaluate(async ([from, path, options]) => {
    const { Townhall } = await import(`${from}townhall.js`);
    window.seen = [];
    window.client = new Townhall(path, { ...options, token: window.fetchToken });
    const names = ['open', 'message', 'error', 'close', 'reconnecting', 'reconnected', 'recovered', 'lost', 'queued',
      'resent', 'published'];
    for (const name of names) {
      client.addEventListener(name, ({ data, detail, code }) => seen.push([name, data ?? detail ?? code]));
    }
  }, [from, path, options]);
  const visitor = new Visitor(page);
  await visitor.until((greeted) => client.readyState && (client.position || !greeted), greeted);
  return visitor;
}

/** What happens in such a page. */
class Visitor {
  constructor(page) { this.page = page; }

  /** Waits for a condition in the page. */
  async until(condition, argument) {
    const options = { timeout: 2 * DEADLINE, polling: 20 };
    await this.page.waitForFunction(condition, argument, options).catch(async (error) => {
      const last = await this.page.evaluate(() => JSON.stringify(seen.slice(-9)));
      throw new Error(`${error.message}: ${condition}, ${JSON.stringify(argument)}, at last ${last}`);
    });
  }

  /** Waits until the client has fired so many of these events, and returns their contents. */
  async fired(name, count = 1) {
    await this.until(([name, count]) => seen.filter(([fired]) => fired === name).length >= count, [name, count]);
    const all = await this.page.evaluate(() => seen);
    return all.filter(([fired]) => fired === name).map(([, content]) => content);
  }

  /** The names of the events but message, in order. */
  async names() {
    const names = await this.page.evaluate(() => seen.map(([name]) => name));
    return names.filter((name) => name !== 'message');
  }

  send(text) { return this.page.evaluate((text) => client.send(text), text); }

  position() { return this.page.evaluate(() => client.position); }
}

/** Publishes in the lobby. */
async function publish(server, text) {
  const response = await fetch(`${server.url}lobby`, { method: 'POST', body: text });
  assert.equal(response.status, 200);
  await response.arrayBuffer();
}

/** Publishes numbers one after the other until it is stopped, slowly enough for a page to keep up. */
function talk(server) {
  const said = [];
  const progress = new EventEmitter();
  let stopped = false;
  const talking = (async () => {
    for (; !stopped; progress.emit('said')) {
      const text = String(said.length);
      said.push(text);
      await Promise.all([publish(server, text), delay(3)]);
    }
  })();
  talking.catch(() => {});
  return {
    /** Waits until so many more are published. */
    async more(count) {
      const enough = said.length + count;
      while (said.length < enough) await within(Promise.race([once(progress, 'said'), talking]), 'more messages');
    },
    /** Returns all that have been published. */
    async stop() {
      stopped = true;
      await within(talking, 'the last message is published');
      return said;
    },
  };
}

const portOf = (server) => Number(new URL(server.url).port);

/** Forwards connections to a server, and breaks them as it is told. */
async function startRelay(t, server) {
  const lines = new Set();
  const relay = createServer((client) => {
    const upstream = connect({ host: '127.0.0.1', port: portOf(server) });
    const line = { client, upstream };
    lines.add(line);
    client.pipe(upstream);
    upstream.pipe(client);
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      one.on('error', () => {}).on('close', () => { other.destroy(); lines.delete(line); });
    }
  });
  relay.listen(0, '127.0.0.1');
  await within(once(relay, 'listening'), 'the relay listens');
  const cut = () => { for (const { client } of lines) client.destroy(); };
  t.after(() => { cut(); relay.close(); });
  return {
    url: `http://127.0.0.1:${relay.address().port}/`,
    cut,
    /** Sends who comes from now on to another server. */
    to(other) { server = other; },
    /** Keeps what comes from the server. */
    hold() { for (const { client, upstream } of lines) { upstream.unpipe(client); upstream.pause(); } },
    release() { for (const { client, upstream } of lines) upstream.pipe(client); },
    /** Cuts each connection after so many more bytes from the server. */
    cutAfter(bytes) {
      for (const { client, upstream } of lines) {
        let left = bytes;
        upstream.on('data', (data) => { if ((left -= data.length) < 0) client.destroy(); });
      }
    },
  };
}

test('offline and online in the middle of traffic', async (t) => {
  const server = await startServer(t, ...HISTORY, '--ping-interval', '1s');
  const visitor = await enter(t, server.url);
  const talking = talk(server);
  for (let round = 1; round <= 3; round++) {
    await talking.more(50);
    await visitor.page.context().setOffline(true);
    await visitor.until(() => client.readyState === 0);
    await talking.more(50);
    await visitor.page.context().setOffline(false);
    await visitor.fired('recovered', round);
  }
  const said = await talking.stop();
  assert.deepEqual(await visitor.fired('message', said.length), said);
  assert.ok(!(await visitor.names()).includes('lost'));
});

test('a page that is frozen and woken', async (t) => {
  const server = await startServer(t, ...HISTORY, '--ping-interval', '1s');
  const page = await openPlainPage(t);
  await page.goto(`${server.url}health`);
  const visitor = await begin(page);
  const session = await visitor.page.context().newCDPSession(visitor.page);
  await visitor.page.evaluate(() => {
    window.woken = 0;
    document.addEventListener('resume', () => { woken++; });
  });
  const talking = talk(server);
  for (let round = 1; round <= 3; round++) {
    await talking.more(50);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    await talking.more(500);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await visitor.fired('message', 550 * round);
  }
  assert.equal(await visitor.page.evaluate(() => woken), 3);
  const said = await talking.stop();
  assert.deepEqual(await visitor.fired('message', said.length), said);
  assert.ok(!(await visitor.names()).includes('lost'));
});

test('a connection that is cut again and again, anywhere', async (t) => {
  const server = await startServer(t, ...HISTORY);
  const relay = await startRelay(t, server);
  const visitor = await enter(t, relay.url);
  const talking = talk(server);
  for (let round = 1; round <= 10; round++) {
    relay.cutAfter(Math.floor(Math.random() * 2000));
    await visitor.fired('recovered', round);
  }
  const said = await talking.stop();
  assert.deepEqual(await visitor.fired('message', said.length), said);
  assert.ok(!(await visitor.names()).includes('lost'));
});

test('a server that is killed and started again has lost its history, and the client is told', async (t) => {
  const first = await startServer(t, ...HISTORY);
  const relay = await startRelay(t, first);
  const visitor = await enter(t, relay.url);
  await publish(first, 'one');
  await visitor.fired('message');
  const before = await visitor.position();
  first.kill('SIGKILL');
  await visitor.fired('reconnecting');
  const second = await startServer(t, ...HISTORY);
  await publish(second, 'unseen');
  relay.to(second);
  const [{ after, position, skipped }] = await visitor.fired('lost');
  assert.deepEqual([after, skipped], [before, undefined]);
  assert.match(position, /^[a-z0-9]+\.1$/);
  assert.notEqual(position.split('.')[0], before.split('.')[0]);
  await publish(second, 'two');
  assert.deepEqual(await visitor.fired('message', 2), ['one', 'two']);
  assert.ok(!(await visitor.names()).includes('recovered'));
});

test('moving between servers with histories of their own is told, and coming back is too', async (t) => {
  const servers = [await startServer(t, ...HISTORY), await startServer(t, ...HISTORY)];
  const relay = await startRelay(t, servers[0]);
  const visitor = await enter(t, relay.url);
  const expected = [];
  for (let round = 1; round <= 4; round++) {
    const server = servers[(round - 1) % 2];
    await publish(server, `round ${round}`);
    expected.push(`round ${round}`);
    await visitor.fired('message', round);
    relay.to(servers[round % 2]);
    relay.cut();
    await visitor.fired('lost', round);
  }
  assert.deepEqual(await visitor.fired('message', 4), expected);
  assert.ok(!(await visitor.names()).includes('recovered'));
});

test('a server that says nothing any more is left, and found again', async (t) => {
  const server = await startServer(t, ...HISTORY, '--ping-interval', '1s');
  const visitor = await enter(t, server.url);
  await publish(server, 'one');
  await visitor.fired('message');
  server.kill('SIGSTOP');
  const [{ code, reason }] = await visitor.fired('reconnecting');
  assert.deepEqual([code, reason], [1006, 'silence']);
  server.kill('SIGCONT');
  await visitor.fired('recovered');
  await publish(server, 'two');
  assert.deepEqual(await visitor.fired('message', 2), ['one', 'two']);
});

test('beats keep an idle connection', async (t) => {
  const server = await startServer(t, ...HISTORY, '--ping-interval', '500ms');
  const visitor = await enter(t, server.url);
  await visitor.page.evaluate(() => { window.since = performance.now(); });
  await visitor.until(() => performance.now() - since > 5000); // five times the silence that is too long
  await publish(server, 'one');
  await visitor.fired('message');
  assert.deepEqual(await visitor.names(), ['open']);
});

test('with --no-reflect, receipts count as messages', async (t) => {
  const server = await startServer(t, ...HISTORY, '--no-reflect');
  const relay = await startRelay(t, server);
  const ann = await enter(t, relay.url);
  const bob = await enter(t, server.url);
  for (const [speaker, text] of [[ann, 'a1'], [ann, 'a2'], [bob, 'b1'], [ann, 'a3']]) {
    await speaker.send(text);
    await (speaker === ann ? bob : ann).until((text) => seen.some(([, data]) => data === text), text);
  }
  const receipts = await ann.fired('published', 3);
  const numbers = receipts.map(({ position }) => Number(position.split('.')[1]));
  assert.deepEqual(numbers, [1, 2, 4]);
  relay.cut();
  await ann.fired('recovered');
  await bob.send('b2');
  assert.deepEqual(await ann.fired('message', 2), ['b1', 'b2']);
  assert.deepEqual(await bob.fired('message', 3), ['a1', 'a2', 'a3']);
  assert.equal(await ann.position(), await bob.position());
});

test('what a slow client has skipped is told where it is missing', async (t) => {
  const limits = ['--max-message-size', '16KiB', '--max-backlog-size', '64KiB', '--history-bytes', '32KiB'];
  const server = await startServer(t, '--slow', 'drop', '--deflate', 'off', ...limits);
  const relay = await startRelay(t, server);
  const visitor = await enter(t, relay.url);
  relay.hold();
  const rest = 'x'.repeat(10_000);
  const COUNT = 3000; // more than the buffers of all sockets hold
  for (let i = 1; i <= COUNT; i++) await publish(server, `${i} ${rest}`);
  relay.release();
  await publish(server, 'the end');
  await visitor.until(() => seen.some(([, data]) => data === 'the end'));
  const seen = await visitor.page.evaluate(() => seen.slice(1).map(([name, content]) => (
    name === 'lost' ? content : Number.parseInt(content, 10) || content)));
  let next = 1;
  const holes = [];
  for (const what of seen.slice(0, -1)) {
    if (what.skipped) {
      holes.push(what);
      next += what.skipped;
    } else assert.equal(what, next++);
  }
  assert.ok(holes.length > 0 && next === COUNT + 1, `${next}, ${JSON.stringify(holes)}`);
  const [epoch] = holes[0].after.split('.');
  assert.equal(await visitor.position(), `${epoch}.${COUNT + 1}`);
});

/** A key for tokens, and a function that makes one that counts for this long. */
function tokens(t, ttl) {
  const key = makeKey();
  t.after(key.remove);
  const made = [];
  const fetch = () => made[made.push(key.token('--join', '/lobby', '--publish', '/lobby', '--ttl', ttl)) - 1];
  return { fetch, made, flags: ['--auth-key-file', key.file, '--public-publish', '/lobby'] };
}

test('before each token ends, another connection takes over, and nothing shows', async (t) => {
  const { fetch, made, flags } = tokens(t, '1s');
  const server = await startServer(t, ...HISTORY, ...flags);
  const visitor = await enter(t, server.url, { token: fetch });
  const talking = talk(server);
  while (made.length < 4) await talking.more(1);
  await talking.more(500);
  const said = await talking.stop();
  assert.deepEqual(await visitor.fired('message', said.length), said);
  assert.deepEqual(await visitor.names(), ['open']);
});

test('a token that does not count is replaced', async (t) => {
  const { fetch, flags } = tokens(t, '1h');
  const server = await startServer(t, ...HISTORY, ...flags);
  const offered = ['a.b.c', fetch()];
  const visitor = await enter(t, server.url, { token: () => offered.shift() });
  const [{ code, reason }] = await visitor.fired('reconnecting');
  assert.equal(code, 4401);
  assert.match(reason, /^the token is not a JSON Web Token/);
  await publish(server, 'one');
  await visitor.fired('message');
  assert.deepEqual(offered, []);
});

test('a room that a token does not open ends the client for good', async (t) => {
  const { fetch, flags } = tokens(t, '1h');
  const server = await startServer(t, ...HISTORY, ...flags);
  const visitor = await enter(t, server.url, { token: fetch, path: '/hall' });
  assert.deepEqual(await visitor.fired('close'), [4403]);
});

test('without history, the first message after a break says that some may be missing', async (t) => {
  const server = await startServer(t);
  const relay = await startRelay(t, server);
  const visitor = await enter(t, relay.url, { greeted: false });
  const texts = ['one', '\u0000{"position":"e.1","replay":0}', '\u0000'];
  for (const text of texts) await visitor.send(text);
  assert.deepEqual(await visitor.fired('message', 3), texts);
  relay.cut();
  await visitor.fired('reconnected');
  assert.ok(!(await visitor.names()).includes('lost'));
  await visitor.send('two');
  await visitor.fired('message', 4);
  assert.deepEqual((await visitor.names()).slice(-2), ['reconnected', 'lost']);
});

test('what is sent without a connection arrives once there is one', async (t) => {
  const server = await startServer(t, ...HISTORY);
  const relay = await startRelay(t, server);
  const ann = await enter(t, relay.url);
  const bob = await enter(t, server.url);
  await ann.page.context().setOffline(true);
  relay.cut();
  await ann.fired('reconnecting');
  for (const text of ['one', 'two']) await ann.send(text);
  await ann.page.context().setOffline(false);
  assert.deepEqual(await ann.fired('resent', 2), ['one', 'two']);
  assert.deepEqual(await bob.fired('message', 2), ['one', 'two']);
  assert.deepEqual(await ann.fired('message', 2), ['one', 'two']);
});

test('a page of another origin imports the module, and joins if it may', async (t) => {
  const site = createHttpServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<p>A site'));
  site.listen(0, '127.0.0.1');
  await within(once(site, 'listening'), 'the site listens');
  t.after(() => { site.closeAllConnections(); site.close(); });
  const origin = `http://127.0.0.1:${site.address().port}`;
  const server = await startServer(t, ...HISTORY, '--origin', origin);
  const page = await openPage(t, browser, origin);
  const visitor = await begin(page, { from: server.url, path: `${server.url}lobby` });
  await visitor.send('from elsewhere');
  assert.deepEqual(await visitor.fired('message'), ['from elsewhere']);
});

test('a text that could be a word of the server ends the client for good', async (t) => {
  const server = await startServer(t, ...HISTORY);
  const visitor = await enter(t, server.url);
  await visitor.send('\u0000{}');
  assert.deepEqual(await visitor.fired('close'), [1008]);
  assert.deepEqual(await visitor.names(), ['open', 'close']);
});

test('a page begins with the last messages, or after a position that it has stored', async (t) => {
  const server = await startServer(t, ...HISTORY);
  for (const text of ['one', 'two', 'three']) await publish(server, text);
  const first = await enter(t, server.url, { last: 2 });
  assert.deepEqual(await first.fired('message', 2), ['two', 'three']);
  const after = await first.position();
  await publish(server, 'four');
  const second = await enter(t, server.url, { after });
  assert.deepEqual(await second.fired('message', 1), ['four']);
  assert.deepEqual(await second.names(), ['open', 'recovered']);
});
