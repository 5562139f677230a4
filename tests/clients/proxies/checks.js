// The state of HAProxy's health checks, from its stats socket.

import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { eventually } from './proxy.js';

/** What HAProxy knows of the server: its `status`, and the `check_code` that it got last. */
async function state(proxy) {
  const socket = connect(join(proxy.directory, 'stats'));
  await once(socket, 'connect');
  socket.end('show stat\n');
  let table = '';
  for await (const chunk of socket.setEncoding('utf8')) table += chunk;
  const [names, ...rows] = table.split('\n').map((line) => line.replace(/^# /, '').split(','));
  const one = rows.find((row) => row[0] === 'townhall' && row[1] === 'one');
  return Object.fromEntries(names.map((name, column) => [name, one[column]]));
}

/** Wait until a check was answered, and return its status and what HAProxy makes of it. */
export async function checked(proxy, isDone = () => true) {
  return eventually(async () => {
    // Its port is there a moment before its socket.
    const { status, check_code: code } = await state(proxy).catch(() => ({}));
    return code && isDone(status) ? [status, code] : undefined;
  }, 'answer to a check');
}
