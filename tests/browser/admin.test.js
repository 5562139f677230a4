// What a page can do to the admin listener, which needs no key on a loopback address: nothing, if it is
// from another site.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { startBrowser, startServer, within } from './helper.js';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** Starts a site that has a page, and returns its URL. */
async function startSite(t) {
  const site = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<p>a page'));
  t.after(() => site.closeAllConnections());
  t.after(() => site.close());
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  return `http://localhost:${site.address().port}/`;
}

async function open(t, url) {
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await within(page.goto(url), 'the page loads');
  return page;
}

// Runs in the page: what becomes of each request.
async function send(requests) {
  const outcome = ([url, init]) => fetch(url, init).then(
    (response) => `${response.type} ${response.status}`,
    (error) => error.name,
  );
  return Promise.all(requests.map(outcome));
}

// Runs in the page: joins the room, and notes how its connection ends.
function begin() {
  const socket = new WebSocket(`ws://${location.host}/lobby`);
  window.ended = new Promise((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason });
  });
  return new Promise((resolve) => { socket.onopen = () => resolve(); });
}

/** A page with a member of the room. */
async function join(t, server) {
  const page = await open(t, server.url);
  await within(page.evaluate(begin), 'the member joins');
  return page;
}

test('a page of another site can neither read nor change anything', async (t) => {
  const server = await startServer(t, '--admin-listen', '127.0.0.1:0');
  const admin = await within(server.admin, 'the admin listener listens');
  await join(t, server);
  const page = await open(t, await startSite(t));
  const requests = [
    [`${admin}/rooms`, {}],
    [`${admin}/rooms`, { mode: 'no-cors' }],
    [`${admin}/rooms/lobby`, { method: 'DELETE' }],
    [`${admin}/rooms/lobby`, { method: 'DELETE', mode: 'no-cors' }],
    [`${admin}/rooms/lobby`, { method: 'POST', mode: 'no-cors' }],
    [`${admin}/log-level?level=off`, { method: 'PUT' }],
  ];
  // An opaque response shows a page nothing, not even its status.
  const outcomes = ['TypeError', 'opaque 0', 'TypeError', 'TypeError', 'opaque 0', 'TypeError'];
  assert.deepEqual(await within(page.evaluate(send, requests), 'the outcomes'), outcomes);
  const { members } = await (await fetch(`${admin}/rooms/lobby`)).json();
  const { level } = await (await fetch(`${admin}/log-level`)).json();
  assert.deepEqual([members, level], [1, 'info']);
});

test('the listener\'s own page can', async (t) => {
  const server = await startServer(t, '--admin-listen', '127.0.0.1:0');
  const admin = await within(server.admin, 'the admin listener listens');
  const member = await join(t, server);
  const page = await open(t, `${admin}/live`);
  const requests = [[`${admin}/rooms/lobby?code=4001&reason=moved`, { method: 'DELETE' }]];
  assert.deepEqual(await within(page.evaluate(send, requests), 'the outcome'), ['basic 200']);
  const end = await within(member.evaluate(() => window.ended), 'the end of the member');
  assert.deepEqual(end, { code: 4001, reason: 'moved' });
});
