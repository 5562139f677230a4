// The snippets of docs/deployment.md, copied into proxies that end TLS.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Client } from '../node/client.js';
import { Townhall } from '../node/townhall.js';
import { Proxy } from './proxy.js';
import { get } from './web.js';

const PAGE = readFileSync(new URL('../../../docs/deployment.md', import.meta.url), 'utf8');

/** The page's snippet for this proxy, with the address of a server in place of its own. */
function snippet(name, server) {
  const found = new RegExp(`^\`\`\`${name}\n(.*?)^\`\`\`$`, 'ms').exec(PAGE);
  assert.ok(found, `the page has a snippet for ${name}`);
  const parts = found[1].split('127.0.0.1:8080');
  assert.equal(parts.length, 2, found[1]);
  return parts.join(new URL(server.url).host);
}

/** Start a server and, before it, the proxy as the page has it. */
async function start(t, name, ...options) {
  const server = await Townhall.start(t, ...options);
  return { server, proxy: await Proxy.start(t, name, snippet(name, server), { tls: true }) };
}

/** Join a room through the proxy, by default as a browser does for the server's own page. */
function join(t, proxy, options) {
  return Client.join(t, `${proxy.url}/room`, { ca: proxy.ca, origin: proxy.origin, ...options });
}

/** Fail unless the proxy passes on a refusal with this status. */
async function refused(t, proxy, status, options) {
  await assert.rejects(join(t, proxy, options), { message: `Unexpected server response: ${status}` });
}

for (const name of ['nginx', 'apache', 'haproxy', 'caddy']) {
  test(`${name}: the chat page, and the server's health`, async (t) => {
    const { proxy } = await start(t, name);
    const { status, body } = await get(proxy, '/');
    assert.equal(status, 200);
    assert.match(body, /<title>townhall<\/title>/);
    assert.equal((await get(proxy, '/health')).status, 200);
  });

  test(`${name}: the page's own connections, and their messages`, async (t) => {
    const { server, proxy } = await start(t, name);
    const [one, other] = [await join(t, proxy), await join(t, proxy)];
    for (const message of ['hello', Buffer.alloc(1_000_000, 7), 'hello '.repeat(1000), 'hello']) {
      one.send(message);
      for (const client of [one, other]) assert.deepEqual(await client.receive(), message);
    }
    one.socket.close(4001, 'off to lunch');
    assert.deepEqual(await one.closing(), [4001, 'off to lunch']);
    await server.stop();
    assert.equal((await other.closing())[0], 1001);
  });

  test(`${name}: a page of the name that a browser asked for`, async (t) => {
    const { proxy } = await start(t, name);
    const headers = { Host: 'chat.example.com:8443' };
    const client = await join(t, proxy, { headers, origin: 'https://chat.example.com:8443' });
    client.send('hello');
    assert.equal(await client.receive(), 'hello');
    await refused(t, proxy, 403, { headers, origin: 'https://other.example.com:8443' });
    await refused(t, proxy, 403, { origin: 'https://chat.example.com:8443' });
  });

  test(`${name}: each address has its limit, whatever its clients claim`, async (t) => {
    const { proxy } = await start(t, name, '--max-connections-per-address', '2',
      '--trusted-proxy', '127.0.0.1/32');
    const from = (localAddress) => ({ localAddress, headers: { 'X-Forwarded-For': '192.0.2.1' } });
    await join(t, proxy, from('127.0.0.2'));
    await join(t, proxy, from('127.0.0.2'));
    await refused(t, proxy, 429, from('127.0.0.2'));
    await join(t, proxy, from('127.0.0.3'));
  });
}
