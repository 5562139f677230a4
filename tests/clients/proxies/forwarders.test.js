// Proxies that forward bytes, and name their clients in PROXY headers.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { certificateFor } from '../node/certificate.js';
import { Client } from '../node/client.js';
import { Townhall } from '../node/townhall.js';
import { checked } from './checks.js';
import { Proxy } from './proxy.js';
import { get } from './web.js';

/** Start a server that asks for headers, and return it and its address for proxies. */
async function start(t, scheme, ...options) {
  const server = await Townhall.start(t, '--listen', `proxy+${scheme}://127.0.0.1:0`,
    '--log-level', 'debug', '--trusted-proxy', '127.0.0.1/32', ...options);
  const [, host] = await server.printed(/listening on proxy\+https?:\/\/(\S+)\//);
  return { server, host };
}

/** Each proxy, and its lines for a server at this address. */
const FORWARDERS = [
  ['HAProxy with send-proxy', 'haproxy tcp', (host) => `
backend townhall
  server one ${host} send-proxy
`],
  ['HAProxy with send-proxy-v2', 'haproxy tcp', (host) => `
backend townhall
  server one ${host} send-proxy-v2
`],
  ['HAProxy with send-proxy-v2 and additional fields', 'haproxy tcp', (host) => `
backend townhall
  server one ${host} send-proxy-v2 proxy-v2-options crc32c,unique-id
`],
  ['nginx with proxy_protocol', 'nginx stream', (host) => `
    proxy_pass ${host}; proxy_protocol on;`],
];

for (const [title, name, lines] of FORWARDERS) {
  test(`${title}: the client's address is in the log, and has its limit`, async (t) => {
    const { server, host } = await start(t, 'http', '--max-connections-per-address', '2');
    const proxy = await Proxy.start(t, name, lines(host));
    const from = (localAddress) => Client.join(t, `${proxy.url}/room`,
      { localAddress, origin: proxy.origin, headers: { 'X-Forwarded-For': '192.0.2.1' } });
    const [one, other] = [await from('127.0.0.2'), await from('127.0.0.2')];
    one.send('hello');
    assert.equal(await other.receive(), 'hello');
    await server.logged(new RegExp(
      `is a client from 127\\.0\\.0\\.2:\\d+, which connected to ${proxy.host}`));
    await assert.rejects(from('127.0.0.2'), { message: 'Unexpected server response: 429' });
    await from('127.0.0.3');
  });
}

test('HAProxy before TLS that ends at the server', async (t) => {
  const { key, certificate } = certificateFor(t);
  const { server, host } = await start(t, 'https', '--tls-cert', certificate, '--tls-key', key);
  const proxy = await Proxy.start(t, 'haproxy tcp', `
backend townhall
  server one ${host} send-proxy-v2
`);
  const client = await Client.join(t, `wss://${proxy.host}/room`, {
    ca: readFileSync(certificate), localAddress: '127.0.0.2', origin: `https://${proxy.host}`,
  });
  client.send('hello');
  assert.equal(await client.receive(), 'hello');
  await server.logged(/is a client from 127\.0\.0\.2:/);
});

for (const version of ['send-proxy', 'send-proxy-v2']) {
  test(`HAProxy with ${version} finds the server up, and down once it stops`, async (t) => {
    const { server, host } = await start(t, 'http', '--shutdown-delay', '2s');
    const proxy = await Proxy.start(t, 'haproxy tcp', `
backend townhall
  option httpchk GET /health
  server one ${host} ${version} check check-send-proxy inter 100ms fall 1
`);
    assert.deepEqual(await checked(proxy), ['UP', '200']);
    assert.equal((await get(proxy, '/health')).status, 200);
    const stopped = server.stop();
    assert.deepEqual(await checked(proxy, (status) => status === 'DOWN'), ['DOWN', '503']);
    await stopped;
  });
}

test('HAProxy that sends no header is refused, and the log has the reason', async (t) => {
  const { server, host } = await start(t, 'http');
  const proxy = await Proxy.start(t, 'haproxy tcp', `
backend townhall
  server one ${host}
`);
  await assert.rejects(Client.join(t, `${proxy.url}/room`));
  await server.logged(/dropped: no PROXY header/);
});
