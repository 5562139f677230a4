// The page's code of docs/presence.md.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const DOCUMENTATION = new URL('../../../docs/presence.md', import.meta.url);

/** The example, for the server at this URL. It needs a `token`, and logs a count and an array of names. */
export function watching(url) {
  const [, example] = /```js\n([^]*?)```/.exec(readFileSync(DOCUMENTATION, 'utf8'));
  assert.match(example, /"wss:\/\/chat\.example\/lobby\/@members"/);
  return example.replace('wss://chat.example', new URL(url).href.replace(/^http/, 'ws').replace(/\/$/, ''));
}
