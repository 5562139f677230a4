// A plain script, of the kind anyone would write in a page: the browser's own
// WebSocket and its four handlers against the server, without the page's code.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startBrowser, startServer, within } from './helper.js';

let browser;
before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

// Runs in the page: opens a socket as `ws`, and makes `seen`, which collects
// its events, and `until(n)`, which waits for the n-th of them.
function begin(path) {
  const ws = new WebSocket(`ws://${location.host}${path}`);
  const seen = [];
  let wake = () => {};
  const see = (event) => { seen.push(event); wake(); };
  ws.onopen = see;
  ws.onmessage = see;
  ws.onclose = see;
  ws.onerror = see;
  const until = async (n) => {
    while (seen.length < n) await new Promise((resolve) => { wake = resolve; });
    return seen[n - 1];
  };
  Object.assign(window, { ws, seen, until });
}

async function connect(t, server, path = '/plain') {
  const page = await openPage(t, browser, server.url);
  await page.evaluate(begin, path);
  assert.equal(await within(page.evaluate(() => until(1).then((event) => event.type)), 'an event'), 'open');
  return page;
}

/** Waits for the socket's end, and returns the types of all events, and the last one's fields. */
async function endOf(page) {
  const end = page.evaluate(async () => {
    while (seen.at(-1)?.type !== 'close') await until(seen.length + 1);
    const { code, reason, wasClean } = seen.at(-1);
    return { types: seen.map((event) => event.type), code, reason, wasClean, state: ws.readyState };
  });
  return within(end, 'the close event');
}

test('a string comes back as the same string', async (t) => {
  const page = await connect(t, await startServer(t));
  const texts = ['hello', '', 'ä€😀\u0000\n', 'x'.repeat(100_000)];
  const back = page.evaluate(async (texts) => {
    for (const text of texts) ws.send(text);
    await until(1 + texts.length);
    return seen.slice(1).map((event) => event.data);
  }, texts);
  assert.deepEqual(await within(back, 'the echoes'), texts);
});

for (const sent of ['ArrayBuffer', 'Blob', 'Uint8Array']) {
  for (const binaryType of ['arraybuffer', 'blob']) {
    test(`a sent ${sent} comes back byte for byte, binaryType ${binaryType}`, async (t) => {
      const page = await connect(t, await startServer(t));
      const result = page.evaluate(async ([sent, binaryType]) => {
        ws.binaryType = binaryType;
        const sizes = [0, 1, 125, 126, 65_535, 65_536, 200_000];
        const equal = [];
        for (const [index, size] of sizes.entries()) {
          const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 31 + size) % 256);
          ws.send({ ArrayBuffer: bytes.buffer, Blob: new Blob([bytes]), Uint8Array: bytes }[sent]);
          const { data } = await until(index + 2);
          const expected = binaryType === 'blob' ? Blob : ArrayBuffer;
          const back = new Uint8Array(data instanceof Blob ? await data.arrayBuffer() : data);
          equal.push(data instanceof expected && back.length === size && back.every((byte, i) => byte === bytes[i]));
        }
        return equal;
      }, [sent, binaryType]);
      assert.deepEqual(await within(result, 'the echoes'), Array(7).fill(true));
    });
  }
}

test('bufferedAmount grows with a send, and falls to 0 as it leaves', async (t) => {
  const page = await connect(t, await startServer(t));
  const amounts = page.evaluate(async () => {
    ws.send('x'.repeat(50_000));
    const atOnce = ws.bufferedAmount;
    await until(2);
    return [atOnce, ws.bufferedAmount];
  });
  assert.deepEqual(await within(amounts, 'the echo'), [50_000, 0]);
});

test('readyState goes 0, 1, 2, 3', async (t) => {
  const server = await startServer(t);
  const page = await openPage(t, browser, server.url);
  await page.evaluate(begin, '/states');
  const states = page.evaluate(async () => {
    const fresh = new WebSocket(ws.url);
    const states = [fresh.readyState];
    await new Promise((resolve) => { fresh.onopen = resolve; });
    states.push(fresh.readyState);
    fresh.close();
    states.push(fresh.readyState);
    await new Promise((resolve) => { fresh.onclose = resolve; });
    return [...states, fresh.readyState];
  });
  assert.deepEqual(await within(states, 'open and closed'), [0, 1, 2, 3]);
});

for (const [code, reason] of [[1000, ''], [1000, 'done'], [3000, 'für dich'], [4999, 'r'.repeat(123)]]) {
  test(`close(${code}, ${reason.length} characters) comes back, clean`, async (t) => {
    const page = await connect(t, await startServer(t));
    await page.evaluate(([code, reason]) => ws.close(code, reason), [code, reason]);
    assert.deepEqual(await endOf(page), { types: ['open', 'close'], code, reason, wasClean: true, state: 3 });
  });
}

test('close() with no code: 1005, clean', async (t) => {
  const page = await connect(t, await startServer(t));
  await page.evaluate(() => ws.close());
  assert.deepEqual(await endOf(page), { types: ['open', 'close'], code: 1005, reason: '', wasClean: true, state: 3 });
});

test('a killed server: 1006, not clean', async (t) => {
  const server = await startServer(t);
  const page = await connect(t, server);
  server.kill('SIGKILL');
  const { code, reason, wasClean } = await endOf(page);
  assert.deepEqual({ code, reason, wasClean }, { code: 1006, reason: '', wasClean: false });
});

test('messages sent just before close() are still delivered to the others', async (t) => {
  const server = await startServer(t);
  const ann = await connect(t, server);
  const bob = await connect(t, server);
  await ann.evaluate(() => {
    for (let i = 0; i < 50; i++) ws.send(`last words ${i}`);
    ws.close(1000, 'gone');
  });
  const back = bob.evaluate(() => until(51).then(() => seen.slice(1).map((event) => event.data)));
  assert.deepEqual(await within(back, 'the messages'), Array.from({ length: 50 }, (_, i) => `last words ${i}`));
  assert.equal((await endOf(ann)).wasClean, true);
});
