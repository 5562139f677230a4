// Plain requests, over TLS too.

import { once } from 'node:events';
import { request as overTcp } from 'node:http';
import { request as overTls } from 'node:https';
import { within } from '../node/deadline.js';

/** Ask for `path` through the proxy, and return the answer's status and body. */
export async function get(proxy, path) {
  const request = proxy.origin.startsWith('https') ? overTls : overTcp;
  const sent = request(`${proxy.origin}${path}`, { ca: proxy.ca, agent: false });
  sent.end();
  const [response] = await within(once(sent, 'response'), `answer for ${path}`);
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return { status: response.statusCode, body };
}
