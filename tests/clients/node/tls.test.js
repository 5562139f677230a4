// TLS: what openssl, Node and curl get.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { Client } from './client.js';
import { within } from './deadline.js';
import { Random, Talker } from './talk.js';
import { Townhall } from './townhall.js';

const REQUEST = 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';

/** Run `openssl s_client` with this input until it ends, and return all of its output. */
function connect(server, input, ...options) {
  const { host } = new URL(server.url);
  const child = spawn('openssl', ['s_client', '-connect', host, '-CAfile', server.ca,
    '-verify_return_error', ...options]);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { output += text; });
  child.stderr.setEncoding('utf8').on('data', (text) => { output += text; });
  // It may end before it has read everything.
  child.stdin.on('error', () => {});
  child.stdin.write(input);
  const ended = new Promise((done) => { child.once('close', () => done(output)); });
  return within(ended, 'end of openssl').finally(() => child.kill());
}

for (const version of ['1.2', '1.3']) {
  const flag = `-tls${version.replace('.', '_')}`;

  test(`openssl s_client with TLS ${version} chooses http/1.1 and gets an answer`, async (t) => {
    const server = await Townhall.startTls(t);
    const output = await connect(server, REQUEST, flag, '-alpn', 'h2,http/1.1', '-ign_eof');
    assert.match(output, /Verification: OK/);
    assert.match(output, new RegExp(`Protocol *: TLSv${version}`));
    assert.match(output, /ALPN protocol: http\/1\.1/);
    assert.match(output, /HTTP\/1\.1 200 OK[^]*\nok\n/);
    // The end of TLS comes before that of TCP.
    assert.match(output, /\nclosed\n/);
    assert.doesNotMatch(output, /unexpected eof/);
  });

  test(`openssl s_client with TLS ${version} resumes its session`, async (t) => {
    const server = await Townhall.startTls(t);
    const session = join(dirname(server.ca), 'session.pem');
    const first = await connect(server, REQUEST, flag, '-ign_eof', '-sess_out', session);
    assert.match(first, /\nNew, TLSv1\.[23]/);
    const second = await connect(server, REQUEST, flag, '-ign_eof', '-sess_in', session);
    assert.match(second, /\nReused, TLSv1\.[23]/);
    assert.match(second, /HTTP\/1\.1 200 OK/);
  });

  test(`ws over TLS ${version}: compressed messages both ways, and a clean close`, async (t) => {
    const server = await Townhall.startTls(t);
    const options = { ca: readFileSync(server.ca) };
    options.minVersion = options.maxVersion = `TLSv${version}`;
    const [ann, bob] = [await Client.join(t, `${server.url}/room`, options),
      await Client.join(t, `${server.url}/room`, options)];
    assert.match(ann.socket.extensions, /permessage-deflate/);
    assert.equal(ann.socket._socket.getProtocol(), `TLSv${version}`);
    const talker = new Talker('Ann', 1);
    const noise = new Random(1).bytes(300_000);
    const messages = [...Array.from({ length: 100 }, () => talker.line()), '', 'x'.repeat(1_000_000), noise];
    for (const message of messages) ann.send(message);
    for (const member of [ann, bob]) {
      assert.deepEqual(await member.receiveMany(messages.length), messages);
    }
    // Less than the messages without the noise, although that takes all of its bytes, and TLS more.
    assert.ok(bob.socket._socket.bytesRead < 0.6 * 1_000_000, `${bob.socket._socket.bytesRead}`);
    bob.socket.close(4001, 'off to lunch');
    assert.deepEqual(await bob.closing(), [4001, 'off to lunch']);
    assert.equal(bob.error, undefined);
  });
}

test('openssl s_client cannot renegotiate', async (t) => {
  const server = await Townhall.startTls(t);
  const output = await connect(server, 'R\n', '-tls1_2');
  assert.match(output, /RENEGOTIATING[^]*no renegotiation/);
  const other = await connect(server, REQUEST, '-ign_eof');
  assert.match(other, /HTTP\/1\.1 200 OK/);
});

test('openssl s_client learns why its handshake fails', async (t) => {
  const server = await Townhall.startTls(t, '--log-level', 'info');
  const old = await connect(server, '', '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0');
  assert.match(old, /alert handshake failure/);
  await server.logged(/failed the TLS handshake \(version\)/);
  const http2 = await connect(server, '', '-alpn', 'h2');
  assert.match(http2, /alert no application protocol/);
  await server.logged(/failed the TLS handshake \(application protocol\)/);
});

test('Node and curl get the page over https', async (t) => {
  const server = await Townhall.startTls(t);
  const url = `${server.url.replace('wss:', 'https:')}/`;
  const answer = new Promise((done, fail) => {
    get(url, { ca: readFileSync(server.ca) }, (response) => done(response.resume())).on('error', fail);
  });
  const { statusCode, headers } = await within(answer, 'answer');
  assert.deepEqual([statusCode, headers['content-type']], [200, 'text/html; charset=utf-8']);
  const page = new Promise((done) => {
    const options = ['--silent', '--show-error', '--noproxy', '', '--cacert', server.ca, url];
    execFile('curl', options, (error, output) => done(error ?? output));
  });
  assert.match(await within(page, 'page'), /<!doctype html>/i);
});
