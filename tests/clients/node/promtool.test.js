// What promtool, which comes with Prometheus, says of the metrics.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { within } from './deadline.js';
import { Townhall } from './townhall.js';

const PROMTOOL = fileURLToPath(
  new URL('../../../target/clients/debian/usr/bin/promtool', import.meta.url),
);

/** Give promtool metrics, and return its exit status and what it wrote. */
async function check(metrics) {
  const promtool = spawn(PROMTOOL, ['check', 'metrics']);
  let output = '';
  for (const stream of [promtool.stdout, promtool.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => { output += text; });
  }
  promtool.stdin.end(metrics);
  const [status] = await within(once(promtool, 'close'), 'end of promtool');
  return { status, output };
}

test('promtool finds no fault with the metrics', async (t) => {
  const server = await Townhall.start(t, '--admin-listen', '127.0.0.1:0');
  const [, url] = await server.printed(/^townhall serves metrics on (\S+)$/m);
  const client = new WebSocket(`${server.url}/lobby`);
  await within(once(client, 'open'), 'connection');
  const metrics = await (await fetch(url)).text();
  assert.match(metrics, /^townhall_members 1$/m);
  assert.deepEqual(await check(metrics), { status: 0, output: '' });
  client.close();
  await within(once(client, 'close'), 'end of the connection');
});

test('promtool finds a fault', async () => {
  const { status, output } = await check('# TYPE requests counter\nrequests 1\n');
  assert.equal(status, 3);
  assert.match(output, /"_total" suffix/);
});
