// Starts what the tests need, and ends it: a townhall server, and a Chromium.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join as joinPaths } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { certificateFor } from '../clients/node/certificate.js';

export const BINARY = process.env.TOWNHALL || fileURLToPath(new URL('../../target/release/townhall', import.meta.url));
const CHROMIUM = process.env.CHROMIUM || '/usr/bin/chromium';
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
/** How long anything may take, in milliseconds: generous, for a slow and busy machine. */
export const DEADLINE = 20_000;

/** Fails with `what` if `promise` has not settled by the deadline. */
export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${DEADLINE} ms: ${what}`)), DEADLINE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A key for tokens in a folder of its own: its file, a function that makes a token with flags, and the end of it. */
export function makeKey() {
  const folder = mkdtempSync(joinPaths(tmpdir(), 'townhall-key-'));
  const file = joinPaths(folder, 'secret');
  writeFileSync(file, 'a secret of this test, which is long enough\n');
  const token = (...flags) =>
    execFileSync(BINARY, ['token', '--key-file', file, ...flags], { encoding: 'utf8' }).trim();
  return { file, token, remove: () => rmSync(folder, { recursive: true }) };
}

/** Starts a server of the test's own, on a free port; it ends with the test. */
export function startServer(t, ...args) {
  return start(t, '--listen', '127.0.0.1:0', ...args);
}

/** Starts one with TLS, and a certificate that no browser knows. */
export function startTlsServer(t) {
  const { certificate, key } = certificateFor(t);
  return start(t, '--listen', 'https://127.0.0.1:0', '--tls-cert', certificate, '--tls-key', key);
}

async function start(t, ...args) {
  const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit'); // also rejects if the binary cannot be started
  exited.catch(() => {});
  const lastResort = () => child.kill('SIGKILL');
  process.once('exit', lastResort);
  t.after(async () => {
    child.kill('SIGKILL');
    await within(exited, 'the server ends');
    process.off('exit', lastResort);
  });
  const lines = createInterface({ input: child.stdout });
  const listening = printed(lines, /^townhall is listening on (https?:\/\/127\.0\.0\.1:\d+\/)$/);
  const admin = printed(lines, /^townhall serves metrics on (http:\/\/127\.0\.0\.1:\d+)\/metrics$/);
  const url = await within(Promise.race([listening, exited.then(ended)]), 'the server listens');
  return { url, admin, exited, kill: (signal) => child.kill(signal) };
}

function ended([code, signal]) {
  throw new Error(`the process ended before it listened: code ${code}, signal ${signal}`);
}

// The part of a line that the pattern names. It reads on after that, so that the server never waits for
// its stdout.
function printed(lines, pattern) {
  return new Promise((resolve) => {
    lines.on('line', (line) => {
      const found = pattern.exec(line);
      if (found) resolve(found[1]);
    });
  });
}

export function startBrowser(...flags) {
  return chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags], timeout: 3 * DEADLINE });
}

/** Starts a browser for a test, whose process `kill` ends at once. */
export async function startBrowserToKill(t) {
  const launched = await chromium.launchServer({ executablePath: CHROMIUM, args: FLAGS, timeout: 3 * DEADLINE });
  t.after(() => launched.kill());
  const browser = await chromium.connect(launched.wsEndpoint());
  return { browser, kill: () => launched.process().kill('SIGKILL') };
}

/** A page of a Chromium that really hides and freezes it: Playwright's own ones always count as visible. */
export async function openPlainPage(t) {
  const profile = mkdtempSync(joinPaths(tmpdir(), 'townhall-profile-'));
  const flags = [...FLAGS, `--user-data-dir=${profile}`, '--remote-debugging-port=0', 'about:blank'];
  const child = spawn(CHROMIUM, flags, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  const lastResort = () => child.kill('SIGKILL');
  process.once('exit', lastResort);
  let browser;
  t.after(async () => {
    await browser?.close(); // only ends the connection
    child.kill();
    await within(exited, 'the browser ends');
    child.stderr.destroy();
    process.off('exit', lastResort);
    // Processes of the browser may still write there. Only the asynchronous function tries again for that.
    await rm(profile, { recursive: true, force: true, maxRetries: 10 });
  });
  const debugging = printed(createInterface({ input: child.stderr }), /^DevTools listening on (ws:\S+)$/);
  const endpoint = await within(Promise.race([debugging, exited.then(ended)]), 'the browser starts');
  browser = await chromium.connectOverCDP(endpoint, { noDefaults: true, timeout: 3 * DEADLINE });
  return browser.contexts()[0].pages()[0];
}

/** A page in a context (so, a profile) of its own. The test fails if the page breaks its CSP or throws. */
export async function openPage(t, browser, url, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(DEADLINE);
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', (error) => wrong.push(`uncaught: ${error}`));
  page.on('console', (message) => {
    if (/content.security.policy|CSP/i.test(message.text())) wrong.push(message.text());
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP: ${event.violatedDirective} blocked ${event.blockedURI}`);
    });
  });
  t.after(async () => {
    await context.close();
    if (wrong.length) throw new Error(`the page at ${url}:\n${wrong.join('\n')}`);
  });
  await page.goto(url);
  return page;
}

/** Opens the page in a room, and waits until it is connected. */
export async function join(t, browser, server, room, options) {
  const page = await openPage(t, browser, `${server.url}?room=${encodeURIComponent(room)}`, options);
  await page.locator('#events .open').waitFor();
  return page;
}

export async function send(page, text) {
  await page.locator('#text').fill(text);
  await page.locator('#text').press('Enter');
}

/** Waits until the page shows `count` messages, and returns their texts in order. */
export async function received(page, count) {
  await page.locator('#chat .bubble').nth(count - 1).waitFor();
  return page.locator('#chat .bubble div').allTextContents();
}
