// A chat client that shows a Townhall as it is: the page displays every event
// that it fires and every property that changes. townhall.js stands above this
// in the same module.

const $ = (id) => document.getElementById(id);
const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const MAX_LINES = 500; // per list, so that a busy room does not fill the memory

// File types by their first bytes. They become the types of downloads, so the
// list has none that a browser would run as a page of this site.
const KINDS = [
  ['89504e47', 'png', 'image/png'],
  ['ffd8ff', 'jpg', 'image/jpeg'],
  ['47494638', 'gif', 'image/gif'],
  ['25504446', 'pdf', 'application/pdf'],
  ['504b0304', 'zip', 'application/zip'],
];

let offline = false; // as the switch says
const lines = new Set(); // the connections that the switch ends

let socket = null; // the current Townhall; an earlier one may still be closing
let ending = ''; // how the current socket ended
let inFlight = []; // messages that were sent and have not come back

// --- the switch

// The class that townhall.js finds in place of the browser's.
class WebSocket extends window.WebSocket {
  constructor(url, protocols) {
    if (offline) throw new Error('offline');
    super(url, protocols);
    lines.add(this);
    this.addEventListener('close', () => lines.delete(this));
  }
}

// Pages cannot turn the network off, so this ends the connections as a broken
// network would: without a close frame that their owner sees.
function setOffline(on) {
  offline = on;
  if (!on) return dispatchEvent(new Event('online'));
  for (const line of lines) {
    line.onclose?.(new CloseEvent('close', { code: 1006 }));
    line.onclose = null;
    line.close();
  }
}

// --- the socket

function socketUrl(room) {
  const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';
  return scheme + location.host + '/' + encodeURIComponent(room);
}

function pageLink(room) {
  return new URL('?room=' + encodeURIComponent(room), location.href).href;
}

function connect(room) {
  if (socket) socket.close(1000, 'changing rooms'); // has no effect on a closed socket
  ending = '';
  inFlight = [];
  socket = new Townhall(socketUrl(room), { last: 20 });
  socket.binaryType = 'arraybuffer';
  listen(socket, room);
  history.replaceState(null, '', pageLink(room));
  document.title = room + ' – townhall';
  refresh();
}

// The four events of a WebSocket, and those of a connection that comes back.
function listen(ws, room) {
  let joined = false;
  let broken = false;
  const on = (name, listener) => ws.addEventListener(name, (event) => { listener(event.detail); refresh(); });
  ws.onopen = () => {
    joined = true;
    broken = false;
    logEvent('open', ws.extensions || 'no extensions');
    note('Joined ' + room);
    refresh();
    $('text').focus({ preventScroll: true });
  };
  ws.onmessage = (event) => {
    receive(event.data);
    refresh();
  };
  // Browsers hide the cause from pages.
  ws.onerror = () => logEvent('error', 'no details: browsers hide the cause');
  ws.onclose = (event) => {
    note((joined ? 'Left ' : 'Could not join ') + room);
    closed(ws, event);
  };
  on('reconnecting', ({ code, reason, delay }) => {
    logEvent('reconnecting', `code ${code}, reason ${quote(reason)}, in ${(delay / 1000).toFixed(1)}\u00a0s`);
    if (!broken) note(joined ? 'Connection lost' : 'Cannot connect yet');
    broken = true;
  });
  on('reconnected', () => {
    broken = false;
    logEvent('reconnected', ws.extensions || 'no extensions');
    note('Connected again');
  });
  on('recovered', ({ replayed }) => {
    logEvent('recovered', `replayed ${replayed}`);
    note(replayed ? `${count(replayed, 'message')} missed, all of them here` : 'No message missed');
  });
  on('lost', ({ after, position, skipped }) => {
    logEvent('lost', `after ${after || 'none'}, position ${position || 'none'}, skipped ${skipped ?? 'unknown'}`);
    note(`${skipped ? count(skipped, 'message') : 'Some messages may be'} missing here`);
  });
  on('queued', (data) => logEvent('queued', describe(data)));
  on('resent', (data) => logEvent('resent', describe(data)));
  on('published', ({ position }) => {
    inFlight.shift();
    logEvent('published', position);
  });
}

function receive(data) {
  const text = typeof data === 'string';
  logEvent('message', describe(data));
  const mine = isOwn(text ? data : data.byteLength);
  bubble(text ? [clip(data, 5000)] : fileBody(data), mine);
}

function describe(data) {
  const what = typeof data === 'string' ? quote(clip(data, 80)) : 'binary';
  return `${what}, ${bytes(new Blob([data]).size)}`;
}

function closed(ws, { code, reason, wasClean }) {
  logEvent('close', `code ${code}, reason ${quote(reason)}, wasClean ${wasClean}`);
  if (ws !== socket) return; // an earlier socket, closed for a change of rooms
  ending = `Closed with ${code}, ${wasClean ? 'clean' : 'not clean'}`;
  const disabling = $('closer').contains(document.activeElement);
  refresh();
  if (disabling) $('connect').focus({ preventScroll: true }); // or the keyboard focus would be lost
}

function send(data) {
  if (!mayPost()) return false;
  try {
    socket.send(data);
  } catch (error) { // too much waits for a connection
    logEvent('error', `${error.name}: ${error.message}`);
    return false;
  }
  inFlight.push(typeof data === 'string' ? data : data.size);
  refresh();
  return true;
}

// Without a connection, messages wait for one.
function mayPost() {
  return Boolean(socket) && socket.readyState <= Townhall.OPEN;
}

// Messages carry no names. A message that equals one of ours (for a file: in
// size) counts as ours; at worst, an identical message is marked instead.
function isOwn(received) {
  const at = inFlight.indexOf(received);
  if (at >= 0) inFlight.splice(at, 1);
  return at >= 0;
}

// --- output

// Reads everything from the socket, so that the page cannot contradict it.
function refresh() {
  const state = socket ? socket.readyState : -1;
  const name = STATES[state] || 'none';
  document.body.dataset.state = name.toLowerCase();
  put('ready-state', socket ? `${state} ${name}` : 'no socket');
  put('buffered', String(socket ? socket.bufferedAmount : 0));
  put('position', (socket && socket.position) || (state === Townhall.OPEN ? 'no history' : 'none'));
  const waiting = offline ? 'Offline' : 'Connecting…';
  put('status', ending || [waiting, 'Connected', 'Closing…'][state] || 'Not connected');
  $('send').disabled = $('file').disabled = !mayPost();
  $('closer').disabled = !socket || state === Townhall.CLOSED;
}

// Writes only what has changed, so that screen readers do not repeat the rest.
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// All data from peers goes through here, as text and never as HTML.
function element(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

function append(list, line) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 100;
  list.append(line);
  if (list.children.length > MAX_LINES) removeLine(list.firstElementChild);
  if (atEnd) list.scrollTop = list.scrollHeight; // unless the user has scrolled up
}

function removeLine(line) {
  const link = line.querySelector('a');
  if (link) URL.revokeObjectURL(link.href); // frees the file's memory
  line.remove();
}

function logEvent(name, details) {
  const time = element('time', '', new Date().toTimeString().slice(0, 8));
  append($('events'), element('li', name, time, element('b', '', name), element('span', '', details)));
}

function note(text) {
  append($('chat'), element('p', 'note', text));
}

function bubble(body, mine) {
  const by = element('small', '', (mine ? 'you ' : '') + new Date().toTimeString().slice(0, 5));
  append($('chat'), element('div', mine ? 'bubble mine' : 'bubble', element('div', '', ...body), by));
}

function fileBody(buffer) {
  const head = hex(buffer, 8);
  const [, suffix, type] = kindOf(head, buffer);
  const link = element('a', '', 'Download');
  link.href = URL.createObjectURL(new Blob([buffer], { type }));
  link.download = 'townhall.' + suffix;
  const more = buffer.byteLength > 8 ? ' …' : '';
  return [element('strong', '', `Binary, ${bytes(buffer.byteLength)}`), element('code', '', head + more), link];
}

function kindOf(head, buffer) {
  const known = KINDS.find(([magic]) => head.replaceAll(' ', '').startsWith(magic));
  if (known) return known;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(buffer);
    return ['', 'txt', 'text/plain;charset=utf-8'];
  } catch {
    return ['', 'bin', 'application/octet-stream'];
  }
}

function hex(buffer, count) {
  const head = new Uint8Array(buffer.slice(0, count));
  return Array.from(head, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

const clip = (text, most) => (text.length > most ? text.slice(0, most) + '…' : text);
const quote = (text) => '"' + text + '"';
const count = (number, what) => `${number.toLocaleString('en')}\u00a0${what}${number === 1 ? '' : 's'}`;
const bytes = (number) => count(number, 'byte');

// --- input

$('join').onsubmit = (event) => {
  event.preventDefault();
  connect($('room').value);
};

$('room').oninput = () => put('url', `'${socketUrl($('room').value)}')`);

$('compose').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value;
  if (text && send(text)) $('text').value = ''; // otherwise the text stays until there is a connection
};

$('text').onkeydown = (event) => {
  // Shift+Enter starts a new line. An Enter during composition belongs to the input method.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('compose').requestSubmit();
};

$('file').onchange = () => {
  for (const file of $('file').files) send(file); // a File is a Blob, which is sent as one binary message
  $('file').value = ''; // so that the same file can be chosen again
};

$('leave').onsubmit = (event) => {
  event.preventDefault();
  $('close-error').textContent = '';
  try {
    socket.close(Number($('close-code').value), $('close-reason').value);
  } catch (error) {
    $('close-error').textContent = `${error.name}: ${error.message}`;
  }
  refresh();
};

$('offline').onchange = () => {
  setOffline($('offline').checked);
  refresh();
};

$('copy-link').onclick = async () => {
  const link = pageLink($('room').value);
  try {
    await navigator.clipboard.writeText(link);
    $('copy-link').textContent = 'Copied';
    setTimeout(() => { $('copy-link').textContent = 'Copy link'; }, 2000);
  } catch {
    prompt('Link to this room:', link); // the clipboard needs https or localhost
  }
};

// --- start

const requested = new URLSearchParams(location.search).get('room');
if (requested) $('room').value = requested;
$('room').oninput();
setInterval(refresh, 100); // no event reports changes of bufferedAmount
if (requested) $('join').requestSubmit(); // like Connect, with the same checks
