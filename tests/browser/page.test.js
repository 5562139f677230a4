// The page that the server serves at /, used as a person would use it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { join, openPage, received, send, startBrowser, startServer, within } from './helper.js';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** The text of the page's one close event. */
async function closeEvent(page) {
  const line = page.locator('#events .close');
  await line.waitFor();
  return line.locator('span').textContent();
}

/** What the page shows of the first event with this name. */
async function details(page, name) {
  return page.locator(`#events .${name} span`).first().textContent();
}

async function pressClose(page, code, reason) {
  await page.locator('#close-code').fill(code);
  await page.locator('#close-reason').fill(reason);
  await page.locator('#close').click();
}

test('proposes the lobby, and connects only on request', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, browser, server.url);
  assert.equal(await page.locator('#room').inputValue(), 'lobby');
  assert.equal(await page.locator('#status').textContent(), 'Not connected');
  assert.equal(await page.locator('#events li').count(), 0);
  assert.equal(page.url(), server.url);
  await page.locator('#room').fill('town square');
  await page.locator('#connect').click();
  await page.locator('#events .open').waitFor();
  assert.equal(page.url(), `${server.url}?room=town%20square`);
  assert.equal(await page.locator('#status').textContent(), 'Connected');
  assert.equal(await page.locator('#ready-state').textContent(), '1 OPEN');
  assert.equal(await page.locator('#buffered').textContent(), '0');
});

test('two people chat, and both see everything in order', async (t) => {
  const server = await startServer(t);
  const ann = await join(t, browser, server, 'lobby');
  const bob = await join(t, browser, server, 'lobby');
  await send(ann, 'Hello, Bob!');
  assert.deepEqual(await received(bob, 1), ['Hello, Bob!']);
  await send(bob, 'Grüße, 你好, 👋 <b>not bold</b>\u0000.');
  const both = ['Hello, Bob!', 'Grüße, 你好, 👋 <b>not bold</b>\u0000.'];
  assert.deepEqual(await received(ann, 2), both);
  assert.deepEqual(await received(bob, 2), both);
  assert.equal(await ann.locator('#chat .mine').count(), 1);
  assert.equal(await ann.locator('#events .message').count(), 2);
});

test('the order of each sender is kept when both send at once', async (t) => {
  const server = await startServer(t);
  const ann = await join(t, browser, server, 'lobby');
  const bob = await join(t, browser, server, 'lobby');
  const lines = (who) => Array.from({ length: 30 }, (_, i) => `${who} ${i}`);
  const talk = async (page, who) => {
    for (const line of lines(who)) await send(page, line);
  };
  await Promise.all([talk(ann, 'ann'), talk(bob, 'bob')]);
  for (const page of [ann, bob]) {
    const all = await received(page, 60);
    for (const who of ['ann', 'bob']) {
      assert.deepEqual(all.filter((line) => line.startsWith(who)), lines(who));
    }
  }
});

test('a file arrives as a binary message, byte for byte', async (t) => {
  const server = await startServer(t);
  const ann = await join(t, browser, server, 'lobby');
  const bob = await join(t, browser, server, 'lobby');
  const buffer = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * 7 + (i >> 8)) % 256));
  await ann.locator('#file').setInputFiles({ name: 'a.bin', mimeType: 'application/octet-stream', buffer });
  for (const page of [ann, bob]) {
    const bubble = page.locator('#chat .bubble');
    await bubble.waitFor();
    assert.match(await bubble.textContent(), /Binary, 70,000\sbytes/);
    const [download] = await Promise.all([page.waitForEvent('download'), bubble.locator('a').click()]);
    assert.equal(download.suggestedFilename(), 'townhall.bin');
    assert.deepEqual(await readFile(await download.path()), buffer);
    assert.match(await page.locator('#events .message').textContent(), /binary, 70,000\sbytes/);
  }
});

test('rooms are separate', async (t) => {
  const server = await startServer(t);
  const ann = await join(t, browser, server, 'a room');
  const bob = await join(t, browser, server, 'a room');
  const eve = await join(t, browser, server, 'a/room');
  await send(ann, 'for the room');
  await received(bob, 1);
  // Eve's own message is the first that she gets: nothing from the other room came before it.
  await send(eve, 'anyone here?');
  assert.deepEqual(await received(eve, 1), ['anyone here?']);
  await send(ann, 'bye');
  assert.deepEqual(await received(bob, 2), ['for the room', 'bye']);
  assert.equal(await eve.locator('#chat .bubble').count(), 1);
});

test('changing rooms closes one connection and opens the other', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'one');
  const other = await join(t, browser, server, 'two');
  await page.locator('#room').fill('two');
  await page.locator('#room').press('Enter');
  assert.equal(await closeEvent(page), 'code 1000, reason "changing rooms", wasClean true');
  await page.locator('#events .open').nth(1).waitFor();
  await send(other, 'welcome');
  assert.deepEqual(await received(page, 1), ['welcome']);
});

test('the close button: the code and reason come back, and the close is clean', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'lobby');
  await pressClose(page, '4001', 'off to lunch');
  assert.equal(await closeEvent(page), 'code 4001, reason "off to lunch", wasClean true');
  assert.equal(await page.locator('#events .error').count(), 0);
  assert.equal(await page.locator('#ready-state').textContent(), '3 CLOSED');
  assert.equal(await page.locator('#status').textContent(), 'Closed with 4001, clean');
});

test('the close button shows what the browser throws at a bad code or reason', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'lobby');
  const error = page.locator('#close-error');
  await pressClose(page, '1001', '');
  assert.match(await error.textContent(), /^InvalidAccessError: .*1001/);
  await pressClose(page, '4001', 'x'.repeat(124));
  assert.match(await error.textContent(), /^SyntaxError: /);
  assert.equal(await page.locator('#ready-state').textContent(), '1 OPEN');
  await pressClose(page, '1000', '');
  assert.equal(await closeEvent(page), 'code 1000, reason "", wasClean true');
  assert.equal(await error.textContent(), '');
});

test('a killed server: 1006, and one attempt after another', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'lobby');
  server.kill('SIGKILL');
  assert.match(await details(page, 'reconnecting'), /^code 1006, reason "", in 0\.\d\ss$/);
  await page.locator('#status', { hasText: 'Connecting…' }).waitFor();
  await page.locator('#events .reconnecting').nth(1).waitFor();
  assert.deepEqual(await page.locator('#chat .note').allTextContents(), ['Joined lobby', 'Connection lost']);
  await pressClose(page, '1000', 'enough');
  assert.equal(await closeEvent(page), 'code 1006, reason "", wasClean false');
  assert.equal(await page.locator('#status').textContent(), 'Closed with 1006, not clean');
  assert.equal(await page.locator('#ready-state').textContent(), '3 CLOSED');
});

test('a server that shuts down: 1001', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'lobby');
  server.kill('SIGTERM');
  assert.match(await details(page, 'reconnecting'), /^code 1001, reason ".*", in 0\.\d\ss$/);
  assert.deepEqual(await within(server.exited, 'the server ends'), [0, null]);
});

test('a file over the server\'s limit: 1009, with the reason, and the connection comes back', async (t) => {
  const server = await startServer(t, '--max-message-size', '1000');
  const page = await join(t, browser, server, 'lobby');
  const file = (size) => ({ name: 'a.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(size, 0xff) });
  await page.locator('#file').setInputFiles(file(1000));
  await received(page, 1);
  await page.locator('#file').setInputFiles(file(1001));
  assert.match(await details(page, 'reconnecting'), /^code 1009, reason ".+", in 0\.\d\ss$/);
  await details(page, 'reconnected');
  await send(page, 'a short one');
  assert.deepEqual((await received(page, 2))[1], 'a short one');
  // Without history, the first message shows that some may be missing.
  const notes = ['Joined lobby', 'Connection lost', 'Connected again', 'Some messages may be missing here'];
  assert.deepEqual(await page.locator('#chat .note').allTextContents(), notes);
  assert.equal(await page.locator('#position').textContent(), 'no history');
});

test('no server: an error event, and then it tries again', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, browser, server.url);
  server.kill('SIGKILL');
  await within(server.exited, 'the server ends');
  await page.locator('#connect').click();
  assert.match(await details(page, 'reconnecting'), /^code 1006, reason "", in 0\.\d\ss$/);
  const events = await page.locator('#events b').allTextContents();
  assert.deepEqual(events.slice(0, 2), ['error', 'reconnecting']);
  assert.deepEqual(await page.locator('#chat .note').allTextContents(), ['Cannot connect yet']);
});

test('the switch ends the connection, and what is sent then waits for the next', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'lobby');
  const other = await join(t, browser, server, 'lobby');
  const offline = page.getByRole('switch', { name: 'Go offline' });
  await offline.check();
  await page.locator('#status', { hasText: 'Offline' }).waitFor();
  assert.equal(await page.locator('#ready-state').textContent(), '0 CONNECTING');
  await send(page, 'are you there?');
  assert.equal(await details(page, 'queued'), '"are you there?", 14\u00a0bytes');
  assert.equal(await page.locator('#buffered').textContent(), '14');
  assert.equal(await page.locator('#events .resent').count(), 0);
  await offline.uncheck();
  assert.equal(await details(page, 'resent'), '"are you there?", 14\u00a0bytes');
  assert.deepEqual(await received(other, 1), ['are you there?']);
  assert.deepEqual(await received(page, 1), ['are you there?']);
  assert.equal(await page.locator('#chat .mine').count(), 1);
  assert.equal(await page.locator('#status').textContent(), 'Connected');
});

test('with history, the page shows what was said before and what it has missed', async (t) => {
  const server = await startServer(t, '--history-messages', '100');
  const ann = await join(t, browser, server, 'lobby');
  await send(ann, 'one');
  await received(ann, 1);
  const bob = await join(t, browser, server, 'lobby');
  assert.deepEqual(await received(bob, 1), ['one']);
  assert.match(await bob.locator('#position').textContent(), /^[a-z0-9]+\.1$/);
  const offline = bob.getByRole('switch', { name: 'Go offline' });
  await offline.check();
  for (const text of ['two', 'three', 'four']) await send(ann, text);
  await received(ann, 4);
  await offline.uncheck();
  assert.deepEqual(await received(bob, 4), ['one', 'two', 'three', 'four']);
  assert.equal(await details(bob, 'recovered'), 'replayed 3');
  const position = await ann.locator('#position').textContent();
  assert.match(position, /\.4$/);
  await bob.locator('#position', { hasText: position }).waitFor();
  const notes = ['Joined lobby', 'Connection lost', 'Connected again', '3\u00a0messages missed, all of them here'];
  assert.deepEqual(await bob.locator('#chat .note').allTextContents(), notes);
});

test('the page says that messages are missing', async (t) => {
  const server = await startServer(t, '--history-messages', '1');
  const ann = await join(t, browser, server, 'lobby');
  const bob = await join(t, browser, server, 'lobby');
  const offline = bob.getByRole('switch', { name: 'Go offline' });
  await offline.check();
  // History is forgotten in pieces of 64 KiB.
  for (let i = 0; i < 20; i++) await send(ann, 'x'.repeat(10_000));
  await received(ann, 20);
  await offline.uncheck();
  assert.match(await details(bob, 'lost'), /^after \w+\.0, position \w+\.20, skipped unknown$/);
  const notes = ['Joined lobby', 'Connection lost', 'Connected again', 'Some messages may be missing here'];
  assert.deepEqual(await bob.locator('#chat .note').allTextContents(), notes);
});

test('echo mode: only the sender receives its message', async (t) => {
  const server = await startServer(t, '--mode', 'echo');
  const ann = await join(t, browser, server, 'lobby');
  const bob = await join(t, browser, server, 'lobby');
  await send(ann, 'hello?');
  assert.deepEqual(await received(ann, 1), ['hello?']);
  await send(bob, 'echo');
  assert.deepEqual(await received(bob, 1), ['echo']);
});

test('the copied link opens the room', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, browser, server.url, { permissions: ['clipboard-read', 'clipboard-write'] });
  await page.locator('#room').fill('R&D + friends');
  await page.locator('#copy-link').click();
  await page.locator('#copy-link', { hasText: 'Copied' }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(link, `${server.url}?room=R%26D%20%2B%20friends`);
  await page.goto(link);
  await page.locator('#events .open').waitFor();
  assert.equal(await page.locator('#room').inputValue(), 'R&D + friends');
});

test('Shift+Enter is a new line, and Enter sends both lines', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'lobby');
  await page.locator('#text').pressSequentially('one');
  await page.locator('#text').press('Shift+Enter');
  await page.locator('#text').pressSequentially('two');
  await page.locator('#text').press('Enter');
  assert.deepEqual(await received(page, 1), ['one\ntwo']);
  assert.equal(await page.locator('#text').inputValue(), '');
});

test('fits a phone: nothing is wider than 360 px', async (t) => {
  const server = await startServer(t);
  const page = await join(t, browser, server, 'x'.repeat(60), { viewport: { width: 360, height: 740 } });
  await send(page, 'w'.repeat(300));
  await received(page, 1);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
});
