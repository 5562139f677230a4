// Makes the seed corpus: records what real clients send, and adds what no well-behaved one does.
// See ../README.md.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { deflateRawSync } from 'node:zlib';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const { WebSocket, WebSocketServer } = createRequire(path('../../tests/clients/node/'))('ws');
const { chromium } = createRequire(path('../../tests/browser/'))('playwright-core');
const run = promisify(execFile);
const python = process.env.PYTHON || path('../../target/clients/venv/bin/python');
const END_OF_HEAD = '\r\n\r\n';

// --- An echo server, behind a relay that records what each client sends. ---

function echo(http) {
  const server = new WebSocketServer({ server: http, perMessageDeflate: { threshold: 0 } });
  server.on('connection', (socket) => {
    socket.on('message', (data, binary) => socket.send(data, { binary }));
    socket.on('error', () => socket.terminate());
  });
}

async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

/** Runs a client, and returns what it sent on each of its connections. */
async function record(client) {
  const http = createHttpServer((request, response) => response.end('<!doctype html>'));
  echo(http);
  const inner = await listen(http);
  const sent = [];
  const relay = createServer((socket) => {
    const chunks = [];
    sent.push(chunks);
    const server = connect(inner, '127.0.0.1');
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.pipe(server).pipe(socket);
    socket.on('error', () => server.destroy());
    server.on('error', () => socket.destroy());
  });
  await client(`127.0.0.1:${await listen(relay)}`);
  relay.close();
  http.closeAllConnections();
  http.close();
  return sent.map((chunks) => Buffer.concat(chunks));
}

// --- The clients. ---

/** A `ws` client that does `talk` and closes; `received` waits for an echo. */
function node(talk, { protocols = [], ...options } = {}) {
  return async (address) => {
    const socket = new WebSocket(`ws://${address}/room?name=node`, protocols, options);
    await once(socket, 'open');
    const received = once.bind(null, socket, 'message');
    await talk(socket, received);
    if (socket.readyState !== WebSocket.CLOSED) await once(socket, 'close');
  };
}

const nodeClients = {
  'node-text': node(async (socket, received) => {
    for (const text of ['Hello', 'Grüße, 世界 😀', 'x'.repeat(126)]) {
      socket.send(text);
      await received();
    }
    socket.close(1000, 'Bye');
  }, { perMessageDeflate: false }),
  'node-fragments': node(async (socket, received) => {
    socket.send('€uro '.repeat(8), { fin: false });
    socket.ping('between');
    socket.send('', { fin: false });
    socket.send('the end 😀', { fin: true });
    await received();
    socket.send(Buffer.from([0, 1, 2, 253, 254, 255]), { fin: false });
    socket.pong('unasked');
    socket.send(Buffer.alloc(200, 7), { fin: true });
    await received();
    socket.close();
  }, { perMessageDeflate: false }),
  'node-burst': node(async (socket) => {
    for (let i = 0; i < 30; i += 1) socket.send(`message ${i}`);
    socket.ping();
    socket.send(Buffer.alloc(0));
    socket.send('after the empty one');
    socket.close(4000, 'done');
  }, { protocols: ['v2.chat', 'chat'], perMessageDeflate: false }),
  'node-deflate': node(async (socket, received) => {
    for (const text of ['Hello', 'Hello again, hello, hello', 'x'.repeat(126)]) {
      socket.send(text);
      await received();
    }
    socket.close(1000, 'Bye');
  }, { perMessageDeflate: { threshold: 0 } }),
  'node-gone': node(async (socket, received) => {
    socket.send('and then its network fails');
    await received();
    socket.terminate();
  }, { perMessageDeflate: false }),
};

async function browser(address) {
  const program = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu'],
  });
  const page = await program.newPage();
  await page.goto(`http://${address}/`);
  await page.evaluate(talkInBrowser, `ws://${address}/room`);
  await program.close();
}

/** Runs in the page. */
async function talkInBrowser(url) {
  const socket = new WebSocket(url, ['chat']);
  const next = (name) => new Promise((done) => socket.addEventListener(name, done, { once: true }));
  await next('open');
  for (const data of ['Hello from Chromium', 'äöü €', new Uint8Array([1, 2, 3]), new Blob(['b'])]) {
    socket.send(data);
    await next('message');
  }
  socket.close(3001, 'tab closed');
  await next('close');
}

const UPGRADE = [
  'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
].flatMap((field) => ['-H', field]);

/** curl sends its request and no frame; it gives up after a second. */
const curl = (...options) => async (address) => {
  const time = ['--silent', '--http1.1', '--max-time', '1'];
  await run('curl', [...time, ...options, `http://${address}/room`]).catch(() => {});
};

const clients = {
  ...nodeClients,
  'python': (address) => run(python, [path('client.py'), `ws://${address}/room`]),
  'chromium': browser,
  'curl-upgrade': curl(...UPGRADE),
  'curl-page': curl(),
  'curl-head': curl('--head'),
  'curl-post': curl('--data', 'hello'),
};

// --- By hand: what breaks the rules. ---

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const masked = (payload, mask = MASK) => payload.map((byte, i) => byte ^ mask[i % 4]);
const bytes = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));

/** A frame of which the first byte and the length's bytes are given as they are. */
const frame = (first, length, payload = '') =>
  bytes([first], length, MASK, masked(Buffer.from(payload)));
const short = (first, payload) => frame(first, [0x80 | Buffer.from(payload).length], payload);

const headers = {
  'reserved-bit': short(0xa1, 'hi'),
  'reserved-opcode': short(0x83, 'hi'),
  'unmasked': bytes([0x81, 2], 'hi'),
  'fragmented-ping': short(0x09, 'hi'),
  'long-ping': frame(0x89, [0xfe, 0, 126], 'x'.repeat(126)),
  'length-not-minimal': frame(0x81, [0xfe, 0, 2], 'hi'),
  'length-64-bit': frame(0x82, [0xff, 0, 0, 0, 0, 0, 1, 0, 0], 'the first bytes'),
  'length-top-bit': frame(0x82, [0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
  'compressed-ping': short(0xc9, 'hi'),
};

const frames = {
  'unmasked': headers.unmasked,
  'too-big': frame(0x82, [0xfe, 2, 89], 'the first bytes'),
  'continues-nothing': short(0x80, 'hi'),
  'interrupted': bytes(short(0x01, 'hi'), short(0x81, 'hi')),
  'not-utf8': short(0x01, [0x68, 0xed, 0xa0, 0x80]),
  'empty-fragments': bytes(short(0x02, ''), ...Array(5).fill(short(0x00, ''))),
  'close-1005': short(0x88, [0x03, 0xed]),
  'close-cut-short': short(0x88, [0x03]),
  'failed-then-closed': bytes(headers['reserved-opcode'], short(0x88, [0x03, 0xe8])),
};

/** "Hello", as RFC 7692, section 7.2.3, compresses it. */
const HELLO = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const inContext = {
  'deflate-context': bytes(short(0xc1, HELLO), short(0xc1, [0xf2, 0x00, 0x11, 0x00, 0x00])),
  'deflate-bomb': short(0xc2, deflateRawSync(Buffer.alloc(10_000))),
};
const eachAlone = {
  'deflate-fragments': bytes(short(0x41, HELLO.slice(0, 3)), short(0x89, 'hi'),
    short(0x80, HELLO.slice(3))),
  'deflate-last-block': short(0xc1, [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
  'deflate-broken': bytes(short(0xc1, HELLO), short(0xc2, [0xff, 0xff, 0xff])),
};

const request = (...fields) => bytes(`GET /chat HTTP/1.1\r\n${fields.join('\r\n')}${END_OF_HEAD}`);
const FIELDS = [
  'Host: server.example.com', 'Upgrade: websocket', 'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Protocol: chat, superchat',
  'Sec-WebSocket-Version: 13',
];
const UPGRADING = request(...FIELDS);
const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate';
const IN_CONTEXT = request(...FIELDS, DEFLATE);
const EACH_ALONE = request(...FIELDS, `${DEFLATE}; client_no_context_takeover`);

/** What cannot begin a request, but for its last part. */
const notHttp = {
  'tls-hello': bytes([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
  'http-2': bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  'proxy-protocol': bytes('\r\n\r\n', [0], '\r\nQUIT\n'),
  'space-in-target': bytes('GET /a b HTTP/1.1', END_OF_HEAD),
  'frame-in-head': bytes('GET / HTTP/1.1\r\nHost: a\r\n', short(0x81, 'hi')),
  'empty-lines': bytes('\r\n\n\r\n', UPGRADING),
  'too-many-empty-lines': bytes('\r\n'.repeat(9), UPGRADING),
};

const heads = {
  'rfc-example': UPGRADING,
  'proxy': bytes(UPGRADING.toString().replace('/chat', 'http://server.example.com/chat?a=b')),
  'absolute': bytes(UPGRADING.toString().replace('/chat', 'WSS://[::1]:8443?a=b')),
  'absolute-broken': bytes(UPGRADING.toString().replace('/chat', 'ws://user@a:b:c/chat')),
  'asterisk': bytes('OPTIONS * HTTP/1.0', END_OF_HEAD),
  'connect': bytes('CONNECT a:443 HTTP/1.1\r\nHost: a:443', END_OF_HEAD),
  'spellings': bytes(UPGRADING.toString().replace('/chat', '/%63af%c3%a9/.//../%2E%2e/%2F%%34/é|')),
  'key-with-spare-bits': bytes(UPGRADING.toString().replace('Q==', 'Z==')),
  'http-1.0': bytes(UPGRADING.toString().replace('HTTP/1.1', 'HTTP/1.0')),
  'http-1.7': bytes(UPGRADING.toString().replace('HTTP/1.1', 'HTTP/1.7')),
  ...notHttp,
  'bare-line-feeds': bytes(UPGRADING.toString().replaceAll('\r\n', '\n')),
  'two-hosts': request('Host: a', ...FIELDS),
  'version-8': request(...FIELDS.slice(0, -1), 'Sec-WebSocket-Version: 8'),
  'short-key': bytes(UPGRADING.toString().replace('2U=', '')),
  'many-fields': request(...FIELDS, ...Array(20).fill('A: b')),
  'no-ascii': request(...FIELDS, 'X: gr\u00fc\u00df'),
  'other-case': bytes(UPGRADING.toString().replace('chat, superchat', 'Chat, SUPERCHAT')),
};

const texts = {
  'edges': bytes('aé€😀\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}z'),
  'overlong': bytes('ab', [0xc0, 0xaf]),
  'surrogate': bytes('ab', [0xed, 0xa0, 0x80]),
  'too-high': bytes([0xf4, 0x90, 0x80, 0x80]),
  'cut-short': bytes('a', [0xf0, 0x9f, 0x98]),
  'lone-continuation': bytes('ab', [0x80], 'c'),
  'continuation-missing': bytes([0xe2, 0x82], 'a'),
  'long-ascii': bytes('The quick brown fox jumps over the lazy dog. '.repeat(12)),
};

// --- From recordings to the inputs of the targets. ---

const cut = (conversation) => {
  const end = conversation.indexOf(END_OF_HEAD) + END_OF_HEAD.length;
  return [conversation.subarray(0, end), conversation.subarray(end)];
};

/** Reads a recorded frame: real clients send short ones only, of less than 64 KiB. */
function readFrame(data) {
  const long = (data[1] & 0x7f) === 126;
  const header = long ? 8 : 6;
  const length = long ? data.readUInt16BE(2) : data[1] & 0x7f;
  const mask = data.subarray(header - 4, header);
  const payload = masked(data.subarray(header, header + length), mask);
  return { first: data[0], mask, payload, whole: data.subarray(0, header + length) };
}

function readFrames(data) {
  const found = [];
  for (let left = data; left.length > 0; left = left.subarray(found.at(-1).whole.length)) {
    found.push(readFrame(left));
  }
  return found;
}

const CORPUS = path('../corpus/');

function write(target, name, ...parts) {
  writeFileSync(`${CORPUS}${target}/${name}.bin`, bytes(...parts));
}

/** Four sizes of pieces that differ from seed to seed, but not from one recording to the next. */
const sizes = (name) => createHash('sha256').update(name).digest().map((byte) => byte >> (byte % 8))
  .subarray(0, 4);

/** Of a client's frames its longest, and its longest text if that is not compressed. */
function writeRecorded(name, conversation) {
  const [head, rest] = cut(conversation);
  write('handshake', name, head);
  if (name.startsWith('curl')) return;
  write('connection', name, sizes(name), conversation);
  const frames = readFrames(rest).sort((a, b) => b.payload.length - a.payload.length);
  const [{ mask, payload, whole }] = frames;
  write('frame', name, whole);
  write('mask', name, mask, [payload.length >> 1], masked(payload, mask));
  const text = frames.find(({ first }) => first === 0x81);
  if (text) write('utf8', name, sizes(name), text.payload);
}

for (const target of ['connection', 'frame', 'handshake', 'mask', 'utf8']) {
  rmSync(CORPUS + target, { recursive: true, force: true });
  mkdirSync(CORPUS + target, { recursive: true });
}
for (const [name, client] of Object.entries(clients)) {
  const sent = await record(client);
  const upgrade = sent.find((conversation) => /upgrade: websocket/i.test(conversation));
  writeRecorded(name, upgrade ?? sent[0]);
}
for (const [name, data] of Object.entries(headers)) write('frame', name, data);
for (const [name, data] of Object.entries(frames)) {
  write('connection', name, sizes(name), UPGRADING, short(0x81, 'ok'), data);
}
for (const [name, data] of Object.entries(inContext)) {
  write('connection', name, sizes(name), IN_CONTEXT, data);
}
for (const [name, data] of Object.entries(eachAlone)) {
  write('connection', name, sizes(name), EACH_ALONE, data);
}
for (const [name, data] of Object.entries(notHttp)) write('connection', name, sizes(name), data);
for (const name of ['absolute', 'spellings']) {
  write('connection', name, sizes(name), heads[name], short(0x81, 'ok'));
}
const tooLong = request(...FIELDS, `Cookie: ${'x'.repeat(1000)}`);
write('connection', 'head-too-long', sizes('head-too-long'), tooLong);
for (const [name, head] of Object.entries(heads)) write('handshake', name, head);
for (const [name, text] of Object.entries(texts)) write('utf8', name, sizes(name), text);
write('mask', 'zero', [0, 0, 0, 0], [3], 'the payload as it is');
write('mask', 'vectors', MASK, [33], Buffer.alloc(100, 0xa5));
