// A page that watches who is in a room with the code of docs/presence.md, while other pages come, reload,
// and go in all ways.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { watching } from '../clients/node/watching.js';
import { makeKey, openPage, startBrowser, startBrowserToKill, startServer, within } from './helper.js';

/** Somebody who has left counts as there for this long, in milliseconds. */
const GRACE = 5000;

let browser;
let key;
before(async () => {
  browser = await startBrowser();
  key = makeKey();
});
after(async () => {
  key.remove();
  await browser?.close();
});

const makeToken = (user) => key.token('--sub', user, '--join', '/lobby');

/** Runs the example in a page. `next()` returns what it logs next, for each message of the server. */
async function watch(t, server, example, token) {
  const page = await openPage(t, browser, server.url);
  const lines = [];
  let wake = () => {};
  page.on('console', async (line) => {
    // The values may arrive later than those of the next line.
    const values = Promise.all(line.args().map((value) => value.jsonValue()));
    lines.push(values);
    wake();
  });
  await page.evaluate(`((token) => { ${example} })(${JSON.stringify(token)})`);
  return {
    lines,
    async next() {
      if (lines.length === 0) await within(new Promise((resolve) => { wake = resolve; }), 'a message');
      return lines.shift();
    },
  };
}

/** Lets a page join the room, now and whenever it is loaded again. */
async function enter(page, token) {
  await page.addInitScript((token) => {
    if (location.protocol === 'about:') return;
    const protocols = token ? ['townhall.v1', `bearer.${token}`] : [];
    const ws = new WebSocket(`ws://${location.host}/lobby`, protocols);
    globalThis.entered = new Promise((resolve, reject) => {
      ws.onopen = resolve;
      ws.onclose = ({ code, reason }) => reject(new Error(`closed with ${code} ${reason}`));
    });
  }, token);
  await reload(page);
  return page;
}

async function reload(page) {
  await page.reload();
  await within(page.evaluate(() => globalThis.entered.then(() => {})), 'the room');
}

/** Another tab of the same profile. */
async function anotherTab(page, token) {
  const tab = await page.context().newPage();
  await tab.goto(page.url());
  return enter(tab, token);
}

/** Checks what the watcher learns next, and that this takes as long as a departure does. */
async function assertLeft(watcher, since, expected) {
  assert.deepEqual(await watcher.next(), expected);
  assert.ok(performance.now() - since >= GRACE, `after ${performance.now() - since} ms`);
}

test('a page learns who comes and goes, and nothing of tabs and reloads', async (t) => {
  const server = await startServer(t, '--auth-key-file', key.file, '--presence', '/lobby');
  const [ann, bob, cleo] = ['ann', 'bob "b" <i>', 'cléo 😀'];
  const tokens = Object.fromEntries([ann, bob, cleo].map((user) => [user, makeToken(user)]));
  const come = async (user) => enter(await openPage(t, browser, server.url), tokens[user]);
  const watcher = await watch(t, server, watching(server.url), tokens[ann]);
  assert.deepEqual(await watcher.next(), [0, []]);
  const first = await come(ann);
  assert.deepEqual(await watcher.next(), [1, [ann]]);

  const second = await anotherTab(first, tokens[ann]);
  const doomed = await startBrowserToKill(t);
  const other = await enter(await openPage(t, doomed.browser, server.url), tokens[bob]);
  assert.deepEqual(await watcher.next(), [2, [ann, bob]]);

  for (let times = 0; times < 4; times += 1) await Promise.all([reload(first), reload(other)]);
  const third = await come(cleo);
  assert.deepEqual(await watcher.next(), [3, [ann, bob, cleo]]);

  let since = performance.now();
  await Promise.all([second.close(), third.close()]);
  await assertLeft(watcher, since, [2, [ann, bob]]);

  since = performance.now();
  doomed.kill();
  await assertLeft(watcher, since, [1, [ann]]);

  await reload(first);
  since = performance.now();
  await first.goto('about:blank');
  await assertLeft(watcher, since, [0, []]);
  assert.deepEqual(watcher.lines, []);
});

test('without tokens, a page learns only how many are there', async (t) => {
  const server = await startServer(t, '--presence', '/*');
  const example = watching(server.url);
  const withoutToken = example.replace(/, \["townhall\.v1".*?\]\)/, ')');
  assert.notEqual(withoutToken, example);
  const watcher = await watch(t, server, withoutToken, null);
  assert.deepEqual(await watcher.next(), [0, []]);
  const first = await enter(await openPage(t, browser, server.url));
  assert.deepEqual(await watcher.next(), [1, []]);
  const tab = await anotherTab(first);
  assert.deepEqual(await watcher.next(), [2, []]);
  for (let times = 0; times < 3; times += 1) await reload(first);
  const since = performance.now();
  await tab.close();
  await assertLeft(watcher, since, [1, []]);
  assert.deepEqual(watcher.lines, []);
});

test('a page that may not join a room may not watch it, and learns why', async (t) => {
  const server = await startServer(t, '--auth-key-file', key.file, '--presence', '/*');
  const page = await openPage(t, browser, server.url);
  const end = page.evaluate((token) => new Promise((resolve) => {
    const protocols = ['townhall.v1', `bearer.${token}`];
    const ws = new WebSocket(`ws://${location.host}/hall/@members`, protocols);
    ws.onmessage = ({ data }) => resolve(data);
    ws.onclose = ({ code, reason }) => resolve({ code, reason });
  }), makeToken('ann'));
  const expected = { code: 4403, reason: 'the token does not allow joining this room' };
  assert.deepEqual(await within(end, 'the close'), expected);
});
