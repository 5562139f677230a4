// nginx with less configuration than the snippet of docs/deployment.md has.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client } from '../node/client.js';
import { Townhall } from '../node/townhall.js';
import { Proxy } from './proxy.js';
import { get } from './web.js';

const UPGRADE = `
  proxy_http_version 1.1;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection "upgrade";`;

/** Start nginx before a server, with these lines beside `proxy_pass`. */
function before(t, server, lines) {
  const { host } = new URL(server.url);
  return Proxy.start(t, 'nginx', `location / { proxy_pass http://${host}; ${lines} }`);
}

/** Let the server's own page send a message through nginx. */
async function talk(t, proxy) {
  const client = await Client.join(t, `${proxy.url}/room`, { origin: proxy.origin });
  client.send('hello');
  assert.equal(await client.receive(), 'hello');
}

test('nginx as it comes asks with HTTP/1.0, and is served', async (t) => {
  const proxy = await before(t, await Townhall.start(t), '');
  assert.match((await get(proxy, '/')).body, /<title>townhall<\/title>/);
  assert.deepEqual((await get(proxy, '/health')).status, 200);
});

test('nginx with $host, which leaves out the port of the page\'s origin', async (t) => {
  const lines = `${UPGRADE}
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`;
  const proxy = await before(t, await Townhall.start(t), lines);
  await talk(t, proxy);
  const stranger = { origin: 'http://other.example.com' };
  const refused = Client.join(t, `${proxy.url}/room`, stranger);
  await assert.rejects(refused, { message: 'Unexpected server response: 403' });
});

test('nginx before a Unix socket: a limit is that of its own client\'s address', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'townhall-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const socket = join(directory, 'socket');
  // Otherwise, nginx and its client would both be trusted proxies.
  const limits = ['--trusted-proxy', '192.0.2.1', '--max-connections-per-address', '1'];
  await Townhall.start(t, '--listen', `unix:${socket}`, ...limits);
  const lines = `${UPGRADE}
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`;
  const proxy =
    await Proxy.start(t, 'nginx', `location / { proxy_pass http://unix:${socket}; ${lines} }`);
  assert.deepEqual((await get(proxy, '/health')).status, 200);
  await talk(t, proxy);
  await assert.rejects(talk(t, proxy), { message: 'Unexpected server response: 429' });
});

test('nginx without Host, but with X-Forwarded-Host', async (t) => {
  const lines = `${UPGRADE} proxy_set_header X-Forwarded-Host $http_host;`;
  await talk(t, await before(t, await Townhall.start(t), lines));
});

test('nginx without any of these: programs get through, and the log has the flag for pages',
  async (t) => {
    const server = await Townhall.start(t);
    const proxy = await before(t, server, UPGRADE);
    const program = await Client.join(t, `${proxy.url}/room`);
    program.send('hello');
    assert.equal(await program.receive(), 'hello');
    await assert.rejects(talk(t, proxy), { message: 'Unexpected server response: 403' });
    const [, origin] = await server.logged(/--origin '(.*?)'/);
    assert.equal(origin, proxy.origin);
    const open = await Townhall.start(t, '--origin', origin);
    const other = await before(t, open, UPGRADE);
    const page = await Client.join(t, `${other.url}/room`, { origin });
    page.send('hello');
    assert.equal(await page.receive(), 'hello');
  });
