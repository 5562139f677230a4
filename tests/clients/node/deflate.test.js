// permessage-deflate, with a context that all members of a room share: what
// each of them inflates is compared with what was sent.
//
// SEED repeats a run, as far as the network does.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { Crowd } from './crowd.js';
import { within } from './deadline.js';
import { ALONE, PLAIN, Room, SHARED, sizes, window } from './room.js';
import { Talker } from './talk.js';
import { Townhall } from './townhall.js';

const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));
console.log(`SEED=${SEED}`);
const WINDOW = 32_768;
const ratio = (one, other) => (one / other).toFixed(3);

/** Send some lines of chat, and wait until they are received. */
async function sendLines(room, sender, talker, count, size) {
  const lines = Array.from({ length: count }, () => talker.line(size));
  const sent = lines.map((line) => sender.send(line, { line: true }));
  await room.untilReceived(sent.at(-1));
}

test('a shared context takes clearly fewer bytes than none', async (t) => {
  const talker = new Talker('Ann', SEED);
  const room = await Room.open(t, (await Townhall.start(t)).url);
  const first = await room.join(SHARED, 'first');
  const alone = await room.join(ALONE, 'alone');
  const small = await room.join(window(9), 'small');
  await sendLines(room, first, talker, 40);
  const late = await room.joinAll([SHARED, SHARED, SHARED, SHARED, SHARED], 'late');
  const senders = [first, alone, ...late];
  for (let turn = 0; turn < 60; turn += 1) await sendLines(room, senders[turn % 7], talker, 7);
  await room.settle();
  room.check();

  const received = room.wire(first);
  const wires = (messages) => messages.map(({ wire }) => wire);
  assert.ok(received.find(({ line }) => line).wire.compressed, 'a single member need not wait');
  for (const member of late) {
    const own = room.wire(member);
    const hop = member.tap.firstCompressed;
    const position = received.length - own.length + hop;
    const { payload } = sizes(received.slice(0, position));
    assert.ok(hop > 0 && payload >= WINDOW, `${member.name} waits until the context is reset`);
    assert.ok(payload < 1.5 * WINDOW, `${member.name} waits for ${payload} bytes`);
    const log = wires(received.slice(position));
    assert.deepEqual(wires(own.slice(hop)), log, 'then they all read one log');
  }

  const [shared, none, small9] = [first, alone, small].map((member) => sizes(room.wire(member)));
  const ofPayload = ({ wire, payload }) => ratio(wire, payload);
  t.diagnostic(`of the payload, there were on the wire: shared ${ofPayload(shared)}, ` +
    `alone ${ofPayload(none)}, with a window of 9 bits ${ofPayload(small9)}; ` +
    `shared of alone ${ratio(shared.wire, none.wire)}`);
  assert.ok(shared.wire < 0.7 * none.wire, `${shared.wire} bytes shared, ${none.wire} alone`);
  assert.ok(none.wire < 0.9 * none.payload);
  const { payload: sent } = sizes(received.filter(({ member }) => member === first));
  assert.ok(first.socket._socket.bytesWritten < 0.9 * sent, 'what it sends is compressed too');
  // Not the tap's word alone: what the sockets read.
  const bytesRead = (member) => member.socket._socket.bytesRead;
  assert.ok(bytesRead(first) < 0.7 * bytesRead(alone));
  assert.ok(bytesRead(alone) < 0.9 * bytesRead(room.reference));
});

/** Check a crowd, and that it was one. */
function check(t, { room, senders }) {
  room.check();
  const { members, reference } = room;
  const hopped = members.filter((member) => member.isShared && member.tap.firstCompressed > 0);
  const there = members.filter(({ left }) => !left);
  const lines = (member) => room.wire(member).filter(({ line }) => line);
  const [, shared, alone] = senders.map((member) => sizes(lines(member)));
  const count = reference.received.length;
  t.diagnostic(`${members.length} connections received parts of ${count} messages, ` +
    `${there.length} the end; ${hopped.length} hopped in the middle; ` +
    `shared of alone ${ratio(shared.wire, alone.wire)}`);
  assert.ok(there.length > 100 && members.length > there.length);
  assert.ok(hopped.length > 30, `${hopped.length} hopped in the middle`);
  return { shared, alone };
}

test('a hundred members come and go in the middle of traffic', async (t) => {
  const { shared, alone } = check(t, await Crowd.meet(t, (await Townhall.start(t)).url, SEED));
  assert.ok(shared.wire < 0.85 * alone.wire);
});

test('the same with --no-reflect', async (t) => {
  const { url } = await Townhall.start(t, '--no-reflect');
  check(t, await Crowd.meet(t, url, SEED, { reflects: false }));
});

test('the same, and some are whispered to', async (t) => {
  const { url } = await Townhall.startWhisper(t);
  const talker = new Talker('Ann', SEED);
  const whispered = new Map();
  const whisper = (sender, member) => {
    if (member.whispers.length === 0) return; // It does not know its number.
    const number = /^you are number (\d+)$/.exec(member.whispers[0].text)[1];
    const text = `psst ${talker.line(whispered.size % 10 === 5 ? 50_000 : undefined)}`;
    const expected = { text, after: sender.sent.length };
    whispered.set(member, [...whispered.get(member) ?? [], expected]);
    sender.socket.send(`@${number} ${text}`);
  };
  const isWhisper = (text) => /^(psst |you are number \d+$|nobody has that number$)/.test(text);
  const crowd = await Crowd.meet(t, url, SEED, { isWhisper, whisper });
  check(t, crowd);
  checkWhispers(crowd, whispered);
});

/** Each got its direct messages, in their positions among what the whisperer sent to all. */
function checkWhispers({ room, senders: [whisperer] }, whispered) {
  const own = new Set(whisperer.sent);
  const { received: all } = room.reference;
  const positions = all.flatMap((print, position) => (own.has(print) ? position : []));
  let count = 0;
  for (const member of room.members) {
    const [first, ...received] = member.whispers.filter(({ text }) => !text.startsWith('nobody'));
    const expected = whispered.get(member) ?? [];
    if (first) assert.ok(first.text.startsWith('you are number ') && first.position === 0);
    const texts = (whispers) => whispers.map(({ text }) => text);
    assert.deepEqual(texts(received), texts(expected.slice(0, received.length)));
    const missed = `${member.name} missed a whisper`;
    if (!member.left) assert.equal(received.length, expected.length, missed);
    for (const [index, { position }] of received.entries()) {
      const { after } = expected[index];
      const at = member.start + position;
      assert.ok(positions[after - 1] < at, `${member.name}: a whisper came early`);
      assert.ok(!(positions[after] < at), `${member.name}: a whisper came late`);
    }
    count += received.length;
  }
  assert.ok(count > 20, `only ${count} whispers`);
}

test('a hundred members vanish while compressed data is pending', async (t) => {
  const talker = new Talker('Ann', SEED);
  const { url } = await Townhall.start(t);
  const room = await Room.open(t, url);
  const sender = await room.join(SHARED, 'sender');
  const five = [SHARED, ALONE, SHARED, PLAIN, window(12)];
  const crowd = await room.joinAll(Array(20).fill(five).flat(), 'member');
  const isWaiting = (member) => member.isShared && member.tap.firstCompressed < 0;
  for (let turn = 0; crowd.some(isWaiting); turn += 1) {
    assert.ok(turn < 20, 'everybody hops');
    await sendLines(room, sender, talker, 20);
    await Promise.all(crowd.map((member) => member.catchUp()));
  }
  for (const { socket } of crowd) socket.pause();
  await sendLines(room, sender, talker, 450, 40_000);
  await sender.catchUp();
  const [survivor, ...others] = crowd;
  const read = survivor.socket._socket.bytesRead;

  const aside = await Room.open(t, `${url}/aside`);
  const [one, other] = [await aside.join(SHARED, 'one'), await aside.join(ALONE, 'other')];
  for (const member of others) member.vanish();
  let longest = 0;
  for (let turn = 0; turn < 50; turn += 1) {
    const start = performance.now();
    await sendLines(aside, turn % 2 ? one : other, talker, 1);
    longest = Math.max(longest, performance.now() - start);
  }
  await aside.settle();
  aside.check();

  survivor.socket.resume();
  const newcomer = await room.join(SHARED, 'newcomer');
  await sendLines(room, newcomer, talker, 20);
  await room.settle();
  room.check();
  const pending = survivor.socket._socket.bytesRead - read;
  t.diagnostic(`${pending} bytes were pending for a member; ` +
    `the longest answer took ${longest.toFixed(0)} ms`);
  assert.ok(pending > 5_000_000, 'more than fits into the buffers of the sockets');
});

test('more rooms than contexts, and rooms that begin anew', async (t) => {
  const { url } = await Townhall.start(t);
  const talker = new Talker('Ann', SEED);
  const open = async (number) => {
    const room = await Room.open(t, `${url}/${number}`);
    const members = await room.joinAll([SHARED, ALONE, SHARED], 'member');
    await sendLines(room, members[0], talker, 10);
    await room.settle();
    room.check();
    return room;
  };
  const rooms = await Promise.all(Array.from({ length: 80 }, (_, number) => open(number)));
  const isCompressed = ({ members }) => members[1].tap.firstCompressed >= 0;
  t.diagnostic(`${rooms.filter(isCompressed).length} of ${rooms.length} rooms have a context`);
  await Promise.all(rooms.slice(0, 40).flatMap(({ members }) => members.map(async (member) => {
    member.close(`good-bye from ${member.name}`);
    await within(member.closed, 'end');
  })));
  for (const again of await Promise.all([0, 1, 2, 3].map(open))) assert.ok(isCompressed(again));
});
