// An opening handshake by hand, for what no client library offers.

import { connect } from 'node:net';
import { within } from './deadline.js';

/** Offer these extensions, a header for each, and return the answer's status and extensions. */
export async function shakeHands(url, offers) {
  const { hostname, port, host, pathname } = new URL(url);
  const socket = connect({ host: hostname, port });
  const request = [
    `GET ${pathname} HTTP/1.1`, `Host: ${host}`, 'Upgrade: websocket', 'Connection: Upgrade',
    'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ...offers.map((offer) => `Sec-WebSocket-Extensions: ${offer}`),
  ];
  socket.write(`${request.join('\r\n')}\r\n\r\n`);
  const head = await within(readHead(socket), 'answer').finally(() => socket.destroy());
  const [status, ...fields] = head.split('\r\n');
  const extensions = fields.filter((field) => /^sec-websocket-extensions:/i.test(field));
  if (extensions.length > 1) throw new Error(`more than one answer: ${extensions}`);
  return {
    status: Number(status.split(' ')[1]),
    extensions: extensions[0]?.replace(/^[^:]*:\s*/, ''),
  };
}

async function readHead(socket) {
  let received = '';
  for await (const chunk of socket) {
    received += chunk.toString('latin1');
    const end = received.indexOf('\r\n\r\n');
    if (end >= 0) return received.slice(0, end);
  }
  throw new Error(`the connection ended after ${JSON.stringify(received)}`);
}
