// What curl asks for: in older versions of HTTP, as of a proxy, and over TLS.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { Townhall } from './townhall.js';

const DEADLINE = 5;

/** Run curl, and return its exit status and what it got, with the head. */
function curl(...options) {
  const all = ['--silent', '--include', '--noproxy', '', '--max-time', `${DEADLINE}`, ...options];
  return new Promise((done) => {
    execFile('curl', all, (error, output) => done({ status: error?.code ?? 0, output }));
  });
}

async function start(t) {
  const server = await Townhall.start(t);
  const { host } = new URL(server.url);
  return { server, host, url: `http://${host}` };
}

test('curl --http1.0 gets the page and the health', async (t) => {
  const { url } = await start(t);
  for (const path of ['/', '/health']) {
    const { output } = await curl('--http1.0', `${url}${path}`);
    assert.match(output, /^HTTP\/1\.[01] 200 /);
  }
});

test('curl --http1.0 is not upgraded', async (t) => {
  const { url } = await start(t);
  const fields = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=='].flatMap((field) => ['--header', field]);
  const { output } = await curl('--http1.0', ...fields, `${url}/`);
  assert.match(output, /^HTTP\/1\.[01] 200 /);
});

test('curl --request OPTIONS learns what is allowed', async (t) => {
  const { url } = await start(t);
  for (const version of ['--http1.0', '--http1.1']) {
    const { output } = await curl(version, '--request', 'OPTIONS', `${url}/`);
    assert.match(output, /^HTTP\/1\.[01] 204 .*^Allow: .*GET/ims);
  }
});

test('curl --proxy asks in the absolute form', async (t) => {
  const { url } = await start(t);
  const { output } = await curl('--proxy', url, `${url}/health`);
  assert.match(output, /^HTTP\/1\.1 200 /);
});

test('curl with https fails at once, and the log shows what arrived', async (t) => {
  const { server, host } = await start(t);
  const { status } = await curl(`https://${host}/`);
  assert.equal(status, 35, 'an error of TLS, not of time');
  await server.logged(/TLS/);
});
