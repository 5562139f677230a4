// How TypeScript sees the module. It is checked and never run.
import { Townhall } from '../../src/page/townhall.js';

const client = new Townhall('/lobby', { token: async () => 'a.b.c', last: 20 });
client.onmessage = ({ data, lastEventId }) => client.send(data + lastEventId.toUpperCase());
client.onclose = ({ code }) => code.toFixed();

const socket: WebSocket = client;
socket.binaryType = 'arraybuffer';

export const position: string = client.position;

// @ts-expect-error: a number is no position
new Townhall('/lobby', { after: 3 });
// @ts-expect-error: there is no such option
new Townhall('/lobby', { before: 'e.3' });
