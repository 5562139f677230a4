// Pictures of the page in the middle of a chat, for a person to look at:
// desktop and phone, light and dark, and one with two people side by side.
import { mkdir, stat } from 'node:fs/promises';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { join, received, send, startBrowser, startServer } from './helper.js';

const FOLDER = new URL('../../target/screenshots/', import.meta.url);
const DESKTOP = { viewport: { width: 1200, height: 760 } };
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
// The smallest PNG: one pixel.
const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64');
const TALK = [
  ['ann', 'Morning! Is this the release room?'],
  ['bob', 'It is. Whoever opens the link is in.'],
  ['ann', 'And no account. I like it.'],
  ['ann', PIXEL],
  ['bob', 'Got your file, all 70 bytes of it.'],
  ['ann', 'Then we ship at noon?'],
  ['bob', 'At noon. Grüße ans Team!'],
];

let browser;
before(async () => {
  await mkdir(FOLDER, { recursive: true });
  browser = await startBrowser();
});
after(() => browser?.close());

/** Two people in one room, in the middle of their talk. */
async function chat(t, annsOptions, bobsOptions) {
  const server = await startServer(t, '--history-messages', '1000');
  const people = {
    ann: await join(t, browser, server, 'release', annsOptions),
    bob: await join(t, browser, server, 'release', bobsOptions),
  };
  for (const [index, [who, what]] of TALK.entries()) {
    if (typeof what === 'string') await send(people[who], what);
    else await people[who].locator('#file').setInputFiles({ name: 'a.png', mimeType: 'image/png', buffer: what });
    await Promise.all([received(people.ann, index + 1), received(people.bob, index + 1)]);
  }
  return people;
}

async function shoot(page, name, options) {
  const path = fileURLToPath(new URL(`${name}.png`, FOLDER));
  const picture = await page.screenshot({ path, ...options });
  assert.ok((await stat(path)).size > 10_000, `${name} is more than an empty page`);
  return `data:image/png;base64,${picture.toString('base64')}`;
}

for (const colorScheme of ['light', 'dark']) {
  test(`desktop and phone, ${colorScheme}`, async (t) => {
    const { ann, bob } = await chat(t, { ...DESKTOP, colorScheme }, { ...PHONE, colorScheme });
    await shoot(ann, `desktop-${colorScheme}`);
    await shoot(bob, `phone-${colorScheme}`, { fullPage: true });
  });
}

test('two people side by side', async (t) => {
  const desktop = { viewport: { width: 960, height: 740 }, colorScheme: 'light' };
  const { ann, bob } = await chat(t, desktop, { ...PHONE, colorScheme: 'dark' });
  await bob.evaluate(() => scrollTo(0, 0));
  const pictures = [await shoot(ann, 'ann'), await shoot(bob, 'bob')];
  const page = await browser.newPage({ viewport: { width: 1344, height: 784 } });
  await page.setContent(`<style>
    body { margin: 0; height: 784px; background: #cdd8d3; display: flex; align-items: center; justify-content: space-evenly; }
    img { border-radius: 14px; }
    img:last-of-type { width: 320px; border-radius: 26px; border: 5px solid #2b3135; }
  </style>${pictures.map((picture) => `<img alt="" src="${picture}">`).join('')}`);
  await shoot(page, 'side-by-side');
  await page.close();
});
