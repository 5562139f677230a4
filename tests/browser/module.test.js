// The module /townhall.js by itself: with sockets that the test plays, and a clock that it moves.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

const PATH = fileURLToPath(new URL('../../src/page/townhall.js', import.meta.url));
const SOURCE = readFileSync(PATH, 'utf8');

/** A socket whose server is the test. */
class Peer extends EventTarget {
  static all = [];
  static refuses = false; // the browser does not even try

  constructor(url, protocols) {
    super();
    if (Peer.refuses) throw new Error('refused');
    Object.assign(this, { url: url.href, protocols, readyState: 0, bufferedAmount: 0, protocol: '', extensions: '' });
    Object.assign(this, { sent: [], binaryType: 'blob' });
    Peer.all.push(this);
  }

  static get last() { return Peer.all.at(-1); }

  send(data) { this.sent.push(data); }

  close(code, reason = '') {
    if (code === 1001) throw new DOMException('1001', 'InvalidAccessError');
    if (this.readyState < 2) this.closed = [code, reason];
    this.readyState = Math.max(this.readyState, 2);
  }

  // What the server does:

  open() {
    this.readyState = 1;
    this.protocol = 'townhall.v1';
    this.onopen?.(new Event('open'));
  }

  say(data) { this.onmessage?.(new MessageEvent('message', { data, origin: 'ws://host' })); }

  word(word) { this.say('\0' + JSON.stringify(word)); }

  greet(position, word = {}) {
    this.open();
    this.word({ position, replay: 0, ...word });
  }

  end(code = 1006, reason = '', wasClean = false) {
    this.readyState = 3;
    this.onclose?.(new CloseEvent('close', { code, reason, wasClean }));
  }
}

class FakeCloseEvent extends Event {
  constructor(name, { code = 0, reason = '', wasClean = false } = {}) {
    super(name);
    Object.assign(this, { code, reason, wasClean });
  }
}

const EVENTS = ['open', 'message', 'error', 'close', 'reconnecting', 'reconnected', 'recovered', 'lost', 'queued',
  'resent', 'published'];
let random; // what Math.random returns
let page; // the window
let Townhall;

beforeEach(async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1e12 });
  mock.method(Math, 'random', () => random);
  random = 0.5;
  page = new EventTarget();
  Peer.all = [];
  Peer.refuses = false;
  Object.assign(globalThis, {
    WebSocket: Peer,
    CloseEvent: FakeCloseEvent,
    location: new URL('https://host/page'),
    addEventListener: page.addEventListener.bind(page),
  });
  ({ Townhall } = await import(`data:text/javascript,${encodeURIComponent(SOURCE)}`));
});
afterEach(() => mock.reset());
afterEach(() => mock.timers.reset());

/** Lets everything happen that waits for nothing but promises. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Moves the clock, in milliseconds. */
async function pass(time) {
  mock.timers.tick(time);
  await settle();
}

/** A client whose events are noted, once it has made its first socket. */
async function start(options, url = '/lobby') {
  const client = new Townhall(url, options);
  const seen = [];
  for (const name of EVENTS) {
    client.addEventListener(name, (event) => {
      const { data, detail, code } = event;
      seen.push([name, data ?? detail ?? code].filter((part) => part !== undefined && part !== null));
    });
  }
  await settle();
  return { client, seen, take: () => seen.splice(0) };
}

/** Waits for one more socket, for up to a minute. */
async function another() {
  const { length } = Peer.all;
  for (let i = 0; i < 240 && Peer.all.length === length; i++) await pass(250);
  assert.equal(Peer.all.length, length + 1);
}

/** Ends the connection, and waits for the next. */
function reconnect(...end) {
  Peer.last.end(...end);
  return another();
}

const lines = (...texts) => texts.map((text) => ['message', text]);

// --- as a WebSocket

test('it is used as a WebSocket', async () => {
  const client = new Townhall('/lobby?a=b');
  const seen = [];
  client.onopen = () => seen.push(['open', client.readyState]);
  client.onmessage = (event) => seen.push(['message', event.data, event.origin]);
  client.onerror = () => seen.push(['error']);
  client.onclose = ({ code, reason, wasClean }) => seen.push(['close', code, reason, wasClean]);
  assert.equal(client.url, 'wss://host/lobby?a=b');
  assert.deepEqual([client.readyState, client.bufferedAmount], [Townhall.CONNECTING, 0]);
  assert.deepEqual([client.protocol, client.extensions, client.binaryType], ['', '', 'blob']);
  for (const { CONNECTING, OPEN, CLOSING, CLOSED } of [client, Townhall]) {
    assert.deepEqual([CONNECTING, OPEN, CLOSING, CLOSED], [0, 1, 2, 3]);
  }
  await settle();
  assert.equal(Peer.last.url, 'wss://host/lobby?a=b');
  assert.deepEqual(Peer.last.protocols, ['townhall.v1']);
  Peer.last.open();
  assert.equal(client.protocol, 'townhall.v1');
  client.send('hello');
  assert.deepEqual(Peer.last.sent, ['hello']);
  Peer.last.bufferedAmount = 7;
  assert.equal(client.bufferedAmount, 7);
  Peer.last.say('hello');
  Peer.last.onerror(new Event('error'));
  client.onmessage = null;
  Peer.last.say('nobody listens');
  client.close(4001, 'bye');
  assert.deepEqual(Peer.last.closed, [4001, 'bye']);
  assert.equal(client.readyState, Townhall.CLOSING);
  Peer.last.end(4001, 'bye', true);
  assert.equal(client.readyState, Townhall.CLOSED);
  const messages = [['open', 1], ['message', 'hello', 'ws://host'], ['error'], ['close', 4001, 'bye', true]];
  assert.deepEqual(seen, messages);
  client.send('is discarded');
  assert.deepEqual(Peer.last.sent, ['hello']);
  client.close();
  await pass(100_000);
  assert.deepEqual(getEventListeners(page, 'online'), []);
  assert.equal(Peer.all.length, 1);
});

test('subprotocols are offered beside its own and the token', async () => {
  await start(['chat.v2', 'chat.v1']);
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'chat.v2', 'chat.v1']);
  await start('chat');
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'chat']);
  await start({ protocols: 'chat', token: 'a.b.c' }, 'http://other:80/x');
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'chat', 'bearer.a.b.c']);
  assert.equal(Peer.last.url, 'ws://other/x');
});

test('a URL that is none throws at once', () => {
  assert.throws(() => new Townhall('wss://['), TypeError);
});

test('what close() throws leaves everything as it was', async () => {
  const { client } = await start();
  Peer.last.open();
  assert.throws(() => client.close(1001), { name: 'InvalidAccessError' });
  assert.equal(client.readyState, 1);
  client.send('still here');
  assert.deepEqual(Peer.last.sent, ['still here']);
});

test('binaryType is kept', async () => {
  const { client } = await start();
  client.binaryType = 'arraybuffer';
  Peer.last.greet('e.0');
  assert.equal(Peer.last.binaryType, 'arraybuffer');
  await reconnect();
  Peer.last.greet('e.0', { recovered: true });
  assert.equal(Peer.last.binaryType, 'arraybuffer');
  client.binaryType = 'blob';
  assert.deepEqual([client.binaryType, Peer.last.binaryType], ['blob', 'blob']);
});

// --- counting and resuming

test('it counts what it receives, and delivers none of the words', async () => {
  const { client, take } = await start({ last: 2 });
  assert.equal(Peer.last.url, 'wss://host/lobby?last=2');
  const positions = [];
  client.onmessage = (event) => positions.push(event.lastEventId);
  assert.equal(client.position, '');
  Peer.last.greet('k3v9q2.1042', { replay: 2 });
  assert.equal(client.position, 'k3v9q2.1042');
  Peer.last.say('one');
  Peer.last.say(new ArrayBuffer(3));
  Peer.last.word({ position: 'k3v9q2.1044' });
  Peer.last.word({ something: 'new' });
  for (const text of ['', '12', 'x{"published":"k3v9q2.9"}']) Peer.last.say(text);
  assert.deepEqual(positions, ['43', '44', '45', '46', '47'].map((end) => `k3v9q2.10${end}`));
  const texts = lines('one', new ArrayBuffer(3), '', '12', 'x{"published":"k3v9q2.9"}');
  assert.deepEqual(take(), [['open'], ...texts]);
});

test('it resumes after the last message, and says how many it has missed', async () => {
  const { client, take } = await start({ last: 20 }, '/lobby?last=3');
  Peer.last.greet('e.10', { replay: 0 });
  Peer.last.say('one');
  await reconnect();
  const url = new URL(Peer.last.url);
  assert.deepEqual([url.searchParams.get('after'), url.searchParams.get('last')], ['e.11', null]);
  take();
  Peer.last.greet('e.11', { recovered: true, replay: 2 });
  for (const text of ['two', 'three', 'live']) Peer.last.say(text);
  const back = [['reconnected'], ['recovered', { replayed: 2 }]];
  assert.deepEqual(take(), [...back, ...lines('two', 'three', 'live')]);
  assert.equal(client.position, 'e.14');
});

test('it resumes from a position of the page\'s own', async () => {
  for (const [recovered, told] of [
    [true, ['recovered', { replayed: 0 }]],
    [false, ['lost', { after: 'e.7', position: 'f.3' }]],
  ]) {
    const { client, take } = await start({ after: 'e.7' });
    assert.equal(Peer.last.url, 'wss://host/lobby?after=e.7');
    Peer.last.greet(recovered ? 'e.7' : 'f.3', { recovered });
    Peer.last.say('one');
    assert.deepEqual(take(), [['open'], told, ['message', 'one']]);
    assert.equal(client.position, recovered ? 'e.8' : 'f.4');
  }
});

test('a page without a stored position begins now', async () => {
  for (const after of [null, undefined, '']) {
    const { take } = await start({ after });
    assert.equal(Peer.last.url, 'wss://host/lobby');
    Peer.last.greet('e.7');
    Peer.last.say('one');
    assert.deepEqual(take(), [['open'], ['message', 'one']]);
  }
});

test('it says what is lost, before what follows', async () => {
  const { client, take } = await start();
  Peer.last.greet('e.10');
  await reconnect();
  take();
  Peer.last.greet('f.0', { recovered: false });
  Peer.last.say('one');
  Peer.last.word({ skipped: 12, position: 'f.13' });
  Peer.last.say('two');
  assert.deepEqual(take(), [
    ['reconnected'], ['lost', { after: 'e.10', position: 'f.0' }], ['message', 'one'],
    ['lost', { after: 'f.1', position: 'f.13', skipped: 12 }], ['message', 'two'],
  ]);
  assert.equal(client.position, 'f.14');
});

test('a greeting in the middle of a connection begins a new sequence', async () => {
  const { client, take } = await start();
  const positions = [];
  client.onmessage = (event) => positions.push(event.lastEventId);
  Peer.last.greet('e.10');
  Peer.last.say('one');
  Peer.last.word({ position: 'f.4', recovered: false, replay: 0, beat: 25 });
  Peer.last.say('two');
  Peer.last.word({ published: 'f.6' });
  Peer.last.say('three');
  assert.deepEqual(take(), [
    ['open'], ['message', 'one'], ['lost', { after: 'e.11', position: 'f.4' }], ['message', 'two'],
    ['published', { position: 'f.6' }], ['message', 'three'],
  ]);
  assert.deepEqual(positions, ['e.11', 'f.5', 'f.7']);
  await pass(50_001);
  assert.equal(take()[0][0], 'reconnecting', 'the new beat counts');
  await another();
  assert.equal(Peer.last.url, 'wss://host/lobby?after=f.7');
});

test('a greeting in the middle of a connection may begin before messages that were received', async () => {
  const { client, take } = await start();
  Peer.last.greet('e.10');
  Peer.last.say('seen');
  take();
  Peer.last.word({ position: 'e.10', recovered: true, replay: 2 });
  for (const text of ['seen', 'missed', 'live']) Peer.last.say(text);
  assert.deepEqual(take(), [['recovered', { replayed: 2 }], ...lines('missed', 'live')]);
  assert.equal(client.position, 'e.13');
});

test('a connection that breaks before its greeting does not count', async () => {
  const { take } = await start({ last: 3 });
  Peer.last.open();
  await reconnect();
  assert.equal(Peer.last.url, 'wss://host/lobby?last=3');
  take();
  Peer.last.greet('e.10', { replay: 1 });
  Peer.last.say('one');
  // What was said between the two connections may be missing.
  assert.deepEqual(take(), [['reconnected'], ['lost', { after: '', position: 'e.10' }], ['message', 'one']]);
});

test('a receipt counts as the message that does not come back', async () => {
  const { client, take } = await start();
  Peer.last.greet('e.10');
  Peer.last.word({ published: 'e.11' });
  Peer.last.say('of another');
  assert.equal(client.position, 'e.12');
  assert.deepEqual(take(), [['open'], ['published', { position: 'e.11' }], ['message', 'of another']]);
});

// --- without history

test('without a greeting, every message is a message', async () => {
  const { client, take } = await start();
  Peer.last.open();
  const texts = ['one', '\0{"position":"e.1","replay":0}', '\0', '\0{"published":"e.3"}'];
  for (const text of texts) Peer.last.say(text);
  assert.deepEqual(take(), [['open'], ...lines(...texts)]);
  assert.equal(client.position, '');
  await reconnect();
  assert.equal(Peer.last.url, 'wss://host/lobby');
  take();
  Peer.last.open();
  assert.deepEqual(take(), [['reconnected']]);
  Peer.last.say('more');
  assert.deepEqual(take(), [['lost', { after: '', position: undefined }], ['message', 'more']]);
});

test('a first text that only resembles a greeting is a message', async () => {
  for (const text of ['\0', '\0{"position":"e.1"}', '\0{"position":"e 1","replay":1}', '\0{"replay":1}', '\0null', '\0no JSON']) {
    const { take } = await start();
    Peer.last.open();
    Peer.last.say(text);
    assert.deepEqual(take(), [['open'], ['message', text]]);
  }
});

test('a server that has lost its history counts anew when it has one again', async () => {
  const { client, take } = await start();
  Peer.last.greet('e.10');
  await reconnect();
  Peer.last.open();
  Peer.last.say('one');
  assert.equal(client.position, '');
  await reconnect();
  assert.equal(Peer.last.url, 'wss://host/lobby');
  take();
  Peer.last.greet('f.5');
  assert.deepEqual(take(), [['reconnected'], ['lost', { after: '', position: 'f.5' }]]);
});

// --- reconnecting

test('the pauses are random, up to 0.5 s at first and 30 s at last', async () => {
  for (const luck of [0, 0.999]) {
    random = luck;
    const { client, seen } = await start();
    for (let i = 0; i < 9; i++) await reconnect();
    const delays = seen.filter(([name]) => name === 'reconnecting').map(([, { delay }]) => delay / random);
    const most = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
    assert.deepEqual(delays, luck ? most : most.map(() => NaN));
    client.close();
  }
});

test('only a connection that has proven itself makes the next pause short', async () => {
  const { take } = await start();
  const delay = async () => {
    Peer.last.end(1013, 'full', true);
    const [[, detail]] = take().filter(([name]) => name === 'reconnecting');
    assert.deepEqual([detail.code, detail.reason], [1013, 'full']);
    await another();
    return detail.delay;
  };
  assert.deepEqual([await delay(), await delay()], [250, 500]);
  Peer.last.open();
  assert.equal(await delay(), 1000);
  Peer.last.open();
  Peer.last.say('a message');
  assert.equal(await delay(), 250);
  Peer.last.open();
  await pass(2000);
  assert.equal(await delay(), 250);
  Peer.last.greet('e.0');
  assert.equal(await delay(), 250);
  assert.equal(await delay(), 500);
});

test('it never gives up, but on 4403 and 1008', async () => {
  for (const code of [1000, 1001, 1006, 1011, 1012, 4400, 4401, 4999]) {
    const { client } = await start();
    await reconnect(code);
    assert.equal(Peer.all.length, 2, `${code}`);
    assert.equal(client.readyState, 0);
    client.close();
    Peer.all = [];
  }
  for (const code of [4403, 1008]) {
    const { client, take } = await start();
    Peer.last.open();
    Peer.last.end(code, 'no', true);
    await pass(100_000);
    assert.equal(Peer.all.length, 1);
    assert.equal(client.readyState, 3);
    assert.deepEqual(take(), [['open'], ['close', code]]);
    Peer.all = [];
  }
});

test('an attempt that hangs ends after 20 seconds', async () => {
  const { take } = await start();
  await pass(19_999);
  assert.equal(Peer.all.length, 1);
  await pass(1);
  assert.equal(take()[0][0], 'reconnecting');
  assert.ok(Peer.last.closed);
  await pass(500);
  assert.equal(Peer.all.length, 2);
});

test('a browser that refuses to connect is asked again', async () => {
  Peer.refuses = true;
  const { take } = await start();
  assert.deepEqual(take().map(([name, { reason }]) => [name, reason]), [['reconnecting', 'Error: refused']]);
  Peer.refuses = false;
  await pass(500);
  assert.equal(Peer.all.length, 1);
});

test('close() while there is no connection', async () => {
  for (const [prepare, sockets] of [
    [() => {}, 1],
    [() => Peer.last.end(), 1],
    [() => { Peer.last.greet('e.0'); Peer.last.end(); }, 1],
  ]) {
    const { client, take } = await start();
    prepare();
    take();
    client.close(4000, 'bye');
    client.close();
    assert.equal(client.readyState, 2);
    assert.deepEqual(take(), []); // as with a WebSocket, not within close()
    page.dispatchEvent(new Event('online'));
    await pass(100_000);
    assert.deepEqual(take(), [['close', 1006]]);
    assert.equal(client.readyState, 3);
    page.dispatchEvent(new Event('online'));
    await pass(100_000);
    assert.equal(Peer.all.length, sockets);
    Peer.all = [];
  }
});

test('close() while a token is fetched, and before anything', async () => {
  let give;
  const { client, take } = await start({ token: () => new Promise((resolve) => { give = resolve; }) });
  client.close();
  give('late');
  await pass(100_000);
  assert.deepEqual(take(), [['close', 1006]]);
  const other = new Townhall('/lobby');
  other.close();
  let closed = false;
  other.onclose = () => { closed = true; };
  await pass(0);
  assert.ok(closed);
  assert.equal(Peer.all.length, 0);
});

test('messages arrive until the close is complete', async () => {
  const { client, take } = await start();
  Peer.last.greet('e.0');
  client.close();
  Peer.last.say('one');
  Peer.last.end(1005, '', true);
  assert.deepEqual(take(), [['open'], ['message', 'one'], ['close', 1005]]);
});

test('a close that nobody answers ends with the silence', async () => {
  const { client, take } = await start();
  Peer.last.greet('e.0', { beat: 5 });
  client.close();
  await pass(10_000);
  assert.deepEqual(take(), [['open'], ['close', 1006]]);
});

// --- signs of life

test('silence beyond two beats is a lost connection', async () => {
  const { take } = await start();
  Peer.last.greet('e.0', { beat: 25 });
  await pass(49_999);
  Peer.last.word({ position: 'e.0' });
  await pass(49_999);
  Peer.last.say('one');
  await pass(49_999);
  assert.deepEqual(take(), [['open'], ['message', 'one']]);
  const silent = Peer.last;
  await pass(1);
  const [[name, { code, reason }]] = take();
  assert.deepEqual([name, code, reason], ['reconnecting', 1006, 'silence']);
  assert.ok(silent.closed);
  silent.say('too late');
  silent.end();
  await pass(250);
  assert.equal(Peer.all.length, 2);
  assert.match(Peer.last.url, /after=e\.1$/);
  assert.deepEqual(take(), []);
});

test('a server without beats may be silent', async () => {
  await start();
  Peer.last.greet('e.0');
  await pass(10_000_000);
  assert.equal(Peer.all.length, 1);
});

test('it connects at once when the network or the page is back', async () => {
  random = 0.999;
  for (const name of ['online', 'pageshow', 'resume', 'visibilitychange']) {
    const { client } = await start();
    Peer.last.end();
    page.dispatchEvent(new Event(name));
    await settle();
    assert.equal(Peer.all.length, 2, name);
    page.dispatchEvent(new Event('pageshow')); // one attempt at a time
    await pass(1000);
    assert.equal(Peer.all.length, 2, name);
    assert.equal(Peer.last.closed, undefined);
    page.dispatchEvent(new Event('online')); // the attempt may be one on the network before
    await settle();
    assert.equal(Peer.all.length, 3, name);
    assert.ok(Peer.all[1].closed);
    client.close();
    Peer.all = [];
  }
});

test('a connection that may be dead is replaced, and delivers until then', async () => {
  const { take } = await start();
  Peer.last.greet('e.0', { beat: 25 });
  const [first] = Peer.all;
  page.dispatchEvent(new Event('visibilitychange')); // it has just been heard
  await settle();
  assert.equal(Peer.all.length, 1);
  await pass(26_000);
  assert.equal(Peer.all.length, 1);
  page.dispatchEvent(new Event('visibilitychange'));
  await settle();
  assert.equal(Peer.all.length, 2);
  first.say('one');
  Peer.last.greet('e.0', { recovered: true, replay: 1, beat: 25 });
  Peer.last.say('one');
  Peer.last.say('two');
  page.dispatchEvent(new Event('online')); // even though it has just been heard
  await settle();
  assert.equal(Peer.all.length, 3);
  assert.match(Peer.last.url, /after=e\.2$/);
  assert.deepEqual(take(), [['open'], ...lines('one', 'two')]);
});

test('without history, an open connection is kept', async () => {
  await start();
  Peer.last.open();
  Peer.last.say('one');
  page.dispatchEvent(new Event('online'));
  await settle();
  assert.equal(Peer.all.length, 1);
});

// --- tokens

test('the token is kept until it does not count any more', async () => {
  let tokens = 0;
  await start({ token: async () => `t${++tokens}` });
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'bearer.t1']);
  Peer.last.greet('e.0');
  Peer.last.word({ position: 'e.0' });
  await reconnect();
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'bearer.t1']);
  Peer.last.open();
  await reconnect(4401, 'the token has ended', true);
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'bearer.t2']);
});

test('a function that throws is called again', async () => {
  let calls = 0;
  const token = () => {
    calls++;
    if (calls === 1) throw new Error('no network');
    return calls === 2 ? Promise.reject(new Error('500')) : 'good';
  };
  const { take } = await start({ token });
  await pass(250);
  await pass(500);
  assert.deepEqual(take().map(([, { reason, delay }]) => [reason, delay]), [['Error: no network', 250], ['Error: 500', 500]]);
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'bearer.good']);
});

test('what becomes of an attempt that has been given up does not count', async () => {
  const fail = [];
  const { take } = await start({ token: () => new Promise((_, reject) => fail.push(reject)) });
  page.dispatchEvent(new Event('online'));
  await settle();
  fail[0](new Error('no network'));
  await pass(1000);
  assert.deepEqual(take(), []);
  assert.equal(fail.length, 2);
});

/** A client whose token is about to end, and the connection that it has opened beside the first. */
async function renew(word) {
  let tokens = 0;
  const started = await start({ token: () => `t${++tokens}` });
  Peer.last.greet('e.10', word);
  Peer.last.word({ expires: 30 });
  await pass(7499);
  assert.equal(Peer.all.length, 1);
  await pass(1);
  assert.equal(Peer.all.length, 2);
  const [old, next] = Peer.all;
  assert.deepEqual(next.protocols, ['townhall.v1', 'bearer.t2']);
  assert.match(next.url, /after=e\.10$/);
  return { ...started, old, next };
}

test('before its token ends, it changes connections: nothing is lost, doubled or told', async () => {
  const { client, take, old, next } = await renew();
  old.say('one');
  next.open();
  old.word({ expires: 1 });
  await pass(1000);
  assert.equal(Peer.all.length, 2);
  old.say('two');
  assert.equal(old.closed, undefined);
  client.send('by the old one');
  next.word({ position: 'e.10', recovered: true, replay: 2 });
  assert.ok(old.closed);
  client.send('by the new one');
  old.say('three');
  for (const text of ['one', 'two', 'three']) next.say(text);
  assert.deepEqual([old.sent, next.sent], [['by the old one'], ['by the new one']]);
  assert.deepEqual(take(), [['open'], ...lines('one', 'two', 'three')]);
  assert.equal(client.position, 'e.13');
  assert.equal(client.readyState, 1);
  old.end(1005);
  await pass(100_000);
  assert.equal(Peer.all.length, 2);
});

test('a skipped part that was received before is no loss', async () => {
  const { client, take, old, next } = await renew();
  for (const text of ['one', 'two', 'three']) old.say(text);
  next.greet('e.10', { recovered: true, replay: 3 });
  next.word({ skipped: 2, position: 'e.12' });
  next.say('three');
  next.say('four');
  next.word({ skipped: 2, position: 'e.16' });
  const lost = ['lost', { after: 'e.14', position: 'e.16', skipped: 2 }];
  assert.deepEqual(take(), [['open'], ...lines('one', 'two', 'three', 'four'), lost]);
  assert.equal(client.position, 'e.16');
});

test('the old connection stays while the new one cannot be opened', async () => {
  const { take, old, next } = await renew();
  next.end();
  old.say('one');
  await pass(250);
  assert.equal(Peer.all.length, 3);
  assert.match(Peer.last.url, /after=e\.11$/);
  Peer.last.open();
  await reconnect(4401, 'the clock is wrong', true);
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'bearer.t3']);
  assert.deepEqual(take(), [['open'], ['message', 'one']]);
});

test('the old connection may end before the new one is greeted', async () => {
  for (const early of [true, false]) {
    Peer.all = [];
    const { client, take, old, next } = await renew();
    if (!early) next.open();
    old.end(4401, 'the token has ended', true);
    assert.equal(client.readyState, 0);
    if (early) next.open();
    next.word({ position: 'e.10', recovered: true, replay: 1 });
    next.say('one');
    assert.deepEqual(take().map(([name]) => name), ['open', 'reconnecting', 'reconnected', 'recovered', 'message']);
    await pass(100_000);
    assert.equal(Peer.all.length, 2);
  }
});

test('a new token that is refused for good ends both connections', async () => {
  const { client, take, old, next } = await renew({ beat: 25 });
  next.open();
  next.end(4403, 'revoked', true);
  assert.ok(old.closed);
  assert.equal(client.readyState, 3);
  old.say('too late');
  await pass(100_000);
  assert.deepEqual(take(), [['open'], ['close', 4403]]);
});

test('a token that ends at once is replaced at once', async () => {
  let tokens = 0;
  await start({ token: () => `t${++tokens}` });
  Peer.last.greet('e.10');
  Peer.last.word({ expires: 0 });
  await pass(1);
  assert.deepEqual(Peer.last.protocols, ['townhall.v1', 'bearer.t2']);
});

test('a token that is a string cannot be renewed', async () => {
  await start({ token: 'fixed' });
  Peer.last.greet('e.10');
  Peer.last.word({ expires: 30 });
  await pass(30_000);
  assert.equal(Peer.all.length, 1);
});

test('close() while the connections change ends both', async () => {
  const { client, take, old, next } = await renew();
  client.close(1000, 'bye');
  assert.deepEqual(old.closed, [1000, 'bye']);
  assert.ok(next.closed);
  next.greet('e.10', { recovered: true });
  old.end(1000, 'bye', true);
  await pass(100_000);
  assert.deepEqual(take(), [['open'], ['close', 1000]]);
  assert.equal(Peer.all.length, 2);
});

// --- sending

test('what could not be sent is sent in order once the server has let it in', async () => {
  const { client, take } = await start();
  const bytes = new Uint8Array([1, 2, 3]);
  client.send('one');
  client.send(bytes);
  bytes[0] = 9; // a WebSocket copies too
  client.send(new Blob(['ä']));
  client.send(5); // becomes a text, as by a WebSocket
  assert.equal(client.bufferedAmount, 9);
  assert.deepEqual(take().map(([name]) => name), ['queued', 'queued', 'queued', 'queued']);
  Peer.last.open();
  client.send('after those');
  assert.deepEqual(Peer.last.sent, []); // it may yet be closed with 4401
  Peer.last.word({ position: 'e.0', replay: 0 });
  const [one, blob, , five, last] = Peer.last.sent;
  assert.deepEqual([one, five, last, Peer.last.sent.length], ['one', '5', 'after those', 5]);
  assert.deepEqual([...new Uint8Array(await blob.arrayBuffer())], [1, 2, 3]);
  client.send('at once');
  assert.equal(Peer.last.sent.length, 6);
  const names = ['open', 'queued', 'resent', 'resent', 'resent', 'resent', 'resent'];
  assert.deepEqual(take().map(([name]) => name), names);
  assert.equal(client.bufferedAmount, 0);
});

test('a server without history gets them after two seconds, or its first message', async () => {
  const { client, take } = await start();
  client.send('one');
  Peer.last.open();
  await pass(1999);
  assert.deepEqual(Peer.last.sent, []);
  await pass(1);
  assert.deepEqual(Peer.last.sent, ['one']);
  Peer.last.end();
  client.send('two');
  await pass(250);
  Peer.last.open();
  Peer.last.say('hello');
  assert.deepEqual(Peer.last.sent, ['two']);
  assert.deepEqual(take().filter(([name]) => name === 'resent'), [['resent', 'one'], ['resent', 'two']]);
});

test('messages wait for the next connection if this one is refused', async () => {
  const { client } = await start();
  client.send('one');
  Peer.last.open();
  await reconnect(4401, 'the token has ended', true);
  assert.deepEqual(Peer.all[0].sent, []);
  Peer.last.greet('e.0');
  assert.deepEqual(Peer.last.sent, ['one']);
});

test('messages wait for the next connection if the server is closing this one', async () => {
  const { client } = await start();
  client.send('one');
  Peer.last.open();
  Peer.last.readyState = 2;
  await pass(2000);
  await reconnect(1001);
  assert.deepEqual(Peer.all[0].sent, []);
  Peer.last.greet('e.0');
  assert.deepEqual(Peer.last.sent, ['one']);
});

test('nothing waits any more once the end has begun', async () => {
  const { client, take } = await start();
  client.send('one');
  client.close();
  client.send('two');
  await pass(0);
  assert.deepEqual(take(), [['queued', 'one'], ['close', 1006]]);
});

test('a hundred messages may wait', async () => {
  const { client } = await start();
  for (let i = 0; i < 100; i++) client.send(`${i}`);
  assert.throws(() => client.send('100'), { name: 'QuotaExceededError' });
  Peer.last.greet('e.0');
  assert.deepEqual(Peer.last.sent, Array.from({ length: 100 }, (_, i) => `${i}`));
  client.send('100');
  assert.equal(Peer.last.sent.length, 101);
});

test('what a listener sends while the queue is sent comes after it', async () => {
  const { client } = await start();
  client.send('one');
  client.send('two');
  client.addEventListener('resent', ({ detail }) => { if (detail === 'one') client.send('three'); });
  Peer.last.greet('e.0');
  assert.deepEqual(Peer.last.sent, ['one', 'two', 'three']);
});

// --- the file

test('it has less than 3 KB compressed', () => {
  const size = gzipSync(SOURCE, { level: 9 }).length;
  assert.ok(size < 3 * 1024, `${size} bytes`);
});

test('its types are correct, and it can take the place of a WebSocket', async () => {
  const compiler = fileURLToPath(new URL('node_modules/typescript/bin/tsc', import.meta.url));
  const options = ['--noEmit', '--allowJs', '--checkJs', '--strict', '--target', 'es2022', '--lib', 'es2022,dom'];
  const use = fileURLToPath(new URL('types.ts', import.meta.url));
  await promisify(execFile)(process.execPath, [compiler, ...options, '--module', 'es2022', PATH, use])
    .catch(({ stdout }) => assert.fail(stdout));
});
