// Apache with mod_proxy_wstunnel, which older instructions use.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../node/client.js';
import { Townhall } from '../node/townhall.js';
import { Proxy } from './proxy.js';
import { get } from './web.js';

test('Apache with rewritten ws URLs, which names the page\'s host in X-Forwarded-Host', async (t) => {
  const { host } = new URL((await Townhall.start(t)).url);
  const proxy = await Proxy.start(t, 'apache', `
    RewriteEngine On
    RewriteCond %{HTTP:Upgrade} websocket [NC]
    RewriteRule ^/(.*) ws://${host}/$1 [P]
    ProxyPass / http://${host}/`);
  assert.match((await get(proxy, '/')).body, /<title>townhall<\/title>/);
  const client = await Client.join(t, `${proxy.url}/room`, { origin: proxy.origin });
  client.send('hello');
  assert.equal(await client.receive(), 'hello');
});
