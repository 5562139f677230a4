// Which terms of permessage-deflate the server agrees to (RFC 7692, section 7.1).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from './client.js';
import { shakeHands } from './raw.js';
import { Townhall } from './townhall.js';

const DEFLATE = 'permessage-deflate';
const EACH_ALONE = 'client_no_context_takeover';

/** Parameters have no order. */
const sorted = (answer) => answer?.split(/; */).sort().join('; ');

/** [what is offered, in one header or several; the answer, `undefined` for no compression]. */
const OFFERS = [
  [[], undefined],
  [[DEFLATE], DEFLATE],
  [[`${DEFLATE}; client_max_window_bits`], `${DEFLATE}; client_max_window_bits=12`],
  ...[8, 9, 14, 15].map((bits) => [[`${DEFLATE}; client_max_window_bits=${bits}`],
    `${DEFLATE}; client_max_window_bits=${Math.min(bits, 12)}`]),
  // Netty, which may fail with a smaller window.
  [[`${DEFLATE};client_max_window_bits,deflate-frame,x-webkit-deflate-frame`], DEFLATE],
  [[`${DEFLATE}; ${EACH_ALONE}`], `${DEFLATE}; ${EACH_ALONE}`],
  [[`${DEFLATE}; ${EACH_ALONE}; client_max_window_bits`], `${DEFLATE}; ${EACH_ALONE}`],
  [[`${DEFLATE}; server_no_context_takeover`], `${DEFLATE}; server_no_context_takeover`],
  [[`${DEFLATE};server_no_context_takeover;${EACH_ALONE}`],
    `${DEFLATE}; ${EACH_ALONE}; server_no_context_takeover`],
  [[`${DEFLATE}; server_max_window_bits=15`], `${DEFLATE}; server_max_window_bits=15`],
  ...[9, 10, 11, 12, 13, 14].map((bits) => [[`${DEFLATE}; server_max_window_bits=${bits}`],
    `${DEFLATE}; server_max_window_bits=${bits}; server_no_context_takeover`]),
  // RFC 7692, section 7: these are declined.
  ...[
    'server_max_window_bits=8', 'server_max_window_bits=7', 'server_max_window_bits=16',
    'server_max_window_bits=010', 'server_max_window_bits=0', 'server_max_window_bits=-9',
    'server_max_window_bits=x', 'server_max_window_bits', 'client_max_window_bits=7',
    'client_max_window_bits=16', 'client_max_window_bits=08', 'server_no_context_takeover=1',
    'client_no_context_takeover=true', 'server_no_context_takeover; server_no_context_takeover',
    'server_max_window_bits=10; server_max_window_bits=11',
    'client_max_window_bits; client_max_window_bits', 'mux', 'client_max_window=10',
  ].map((parameters) => [[`${DEFLATE}; ${parameters}`], undefined]),
  [['x-webkit-deflate-frame'], undefined],
  [[`${DEFLATE}2`], undefined],
  // The next offer is taken instead.
  [[`${DEFLATE}; server_max_window_bits=8, ${DEFLATE}`], DEFLATE],
  [[`${DEFLATE}; unknown=1, ${DEFLATE}; server_max_window_bits=12, ${DEFLATE}`],
    `${DEFLATE}; server_max_window_bits=12; server_no_context_takeover`],
  [[`x-first; a="b"; d, ${DEFLATE}; server_no_context_takeover, ${DEFLATE}`],
    `${DEFLATE}; server_no_context_takeover`],
  [[`${DEFLATE}; server_max_window_bits=8`, `${DEFLATE}; server_max_window_bits=15`],
    `${DEFLATE}; server_max_window_bits=15`],
  [['x-first', `${DEFLATE}`], DEFLATE],
  // The grammar: quoted values, white space, empty elements.
  [[`${DEFLATE}; server_max_window_bits="11"`],
    `${DEFLATE}; server_max_window_bits=11; server_no_context_takeover`],
  [[`${DEFLATE}; server_max_window_bits="1\\1"`],
    `${DEFLATE}; server_max_window_bits=11; server_no_context_takeover`],
  [[`  ${DEFLATE}\t;  server_max_window_bits\t=\t15 `], `${DEFLATE}; server_max_window_bits=15`],
  [[`,, ${DEFLATE} ,`], DEFLATE],
];

const MALFORMED = [`${DEFLATE};`, `${DEFLATE}; =10`, `${DEFLATE}; server_max_window_bits=`,
  `${DEFLATE}; server_max_window_bits="10`, `${DEFLATE} server_no_context_takeover`, '(comment)'];

test('the answer to every offer', async (t) => {
  const { url } = await Townhall.start(t);
  for (const [offers, expected] of OFFERS) {
    const { status, extensions } = await shakeHands(url, offers);
    assert.equal(status, 101, offers.join('\n'));
    assert.equal(sorted(extensions), sorted(expected), offers.join('\n'));
  }
});

test('what does not conform to the grammar is refused (RFC 6455, section 9.1)', async (t) => {
  const { url } = await Townhall.start(t);
  for (const offer of MALFORMED) {
    assert.equal((await shakeHands(url, [offer])).status, 400, offer);
  }
});

test('the answer follows the flags', async (t) => {
  const off = await Townhall.start(t, '--deflate', 'off');
  for (const [offers] of OFFERS) {
    const { status, extensions } = await shakeHands(off.url, offers);
    assert.deepEqual([status, extensions], [101, undefined], offers.join('\n'));
  }
  const small = await Townhall.start(t, '--deflate-window-bits', '12');
  for (const [offer, expected] of [
    [DEFLATE, `${DEFLATE}; server_max_window_bits=12`],
    [`${DEFLATE}; server_max_window_bits=15`, `${DEFLATE}; server_max_window_bits=12`],
    [`${DEFLATE}; server_max_window_bits=9`,
      `${DEFLATE}; server_max_window_bits=9; server_no_context_takeover`],
  ]) {
    const { extensions } = await shakeHands(small.url, [offer]);
    assert.equal(sorted(extensions), sorted(expected), offer);
  }
  const chosen = await Townhall.start(t, '--deflate-client-window-bits', '9');
  const none = await Townhall.start(t, '--max-deflate-context-size', '0');
  for (const [{ url }, expected] of [
    [chosen, `${DEFLATE}; client_max_window_bits=9`],
    [none, `${DEFLATE}; ${EACH_ALONE}`],
  ]) {
    const { extensions } = await shakeHands(url, [`${DEFLATE}; client_max_window_bits`]);
    assert.equal(sorted(extensions), sorted(expected));
  }
});

test('a window of 8 bits is declined, and all goes on without compression', async (t) => {
  const { url } = await Townhall.start(t);
  const client = await Client.join(t, url, { perMessageDeflate: { serverMaxWindowBits: 8 } });
  assert.equal(client.socket.extensions, '');
  const line = 'not compressed, '.repeat(100);
  client.send(line);
  assert.equal(await client.receive(), line);
  assert.ok(client.socket._socket.bytesRead > line.length);
});
