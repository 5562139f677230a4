'use strict';
// A chat client with nothing between the reader and the browser's WebSocket:
// every event it fires and every property it has is on the page.

const $ = (id) => document.getElementById(id);
const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const KEEP = 500; // lines kept in each list, so that a busy room does not fill the memory

// What a file is, by its first bytes. The list decides the type of a download,
// so it has none that a browser would run as a page of this site.
const KINDS = [
  ['89504e47', 'png', 'image/png'],
  ['ffd8ff', 'jpg', 'image/jpeg'],
  ['47494638', 'gif', 'image/gif'],
  ['25504446', 'pdf', 'application/pdf'],
  ['504b0304', 'zip', 'application/zip'],
];

let socket = null; // the current one; an earlier one may still be closing
let ending = ''; // how the current one ended
let inFlight = []; // sent, and not come back yet

// --- the socket

function socketUrl(room) {
  const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';
  return scheme + location.host + '/' + encodeURIComponent(room);
}

function pageLink(room) {
  return new URL('?room=' + encodeURIComponent(room), location.href).href;
}

function connect(room) {
  if (socket) socket.close(1000, 'changing rooms'); // does nothing to a closed one
  ending = '';
  inFlight = [];
  socket = new WebSocket(socketUrl(room));
  socket.binaryType = 'arraybuffer';
  listen(socket, room);
  history.replaceState(null, '', pageLink(room));
  document.title = room + ' – townhall';
  refresh();
}

// The four events are all there is to hear from a WebSocket.
function listen(ws, room) {
  let joined = false;
  ws.onopen = () => {
    joined = true;
    logEvent('open', ws.extensions || 'no extensions');
    note('Joined ' + room);
    refresh();
    $('text').focus({ preventScroll: true });
  };
  ws.onmessage = (event) => receive(event.data);
  // Browsers tell a page nothing about the cause; the close event follows.
  ws.onerror = () => logEvent('error', 'no details: a page is told none');
  ws.onclose = (event) => {
    note((joined ? 'Left ' : 'Could not join ') + room);
    closed(ws, event);
  };
}

function receive(data) {
  const text = typeof data === 'string';
  const size = text ? new Blob([data]).size : data.byteLength;
  logEvent('message', (text ? quote(clip(data, 80)) + ', ' : 'binary, ') + bytes(size));
  const mine = cameBack(text ? data : data.byteLength);
  bubble(text ? [clip(data, 5000)] : fileBody(data), mine);
}

function closed(ws, { code, reason, wasClean }) {
  logEvent('close', `code ${code}, reason ${quote(reason)}, wasClean ${wasClean}`);
  if (ws !== socket) return; // an earlier one, left for another room
  ending = `Closed with ${code}, ${wasClean ? 'clean' : 'not clean'}`;
  const disabling = $('closer').contains(document.activeElement);
  refresh();
  if (disabling) $('connect').focus({ preventScroll: true }); // or the keyboard loses its place
}

function send(data) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return false;
  socket.send(data);
  inFlight.push(typeof data === 'string' ? data : data.size);
  refresh();
  return true;
}

// Messages carry no names. One that equals what we sent (a file: in its size)
// is taken for our own, come back; at worst a twin of it is marked instead.
function cameBack(sent) {
  const at = inFlight.indexOf(sent);
  if (at >= 0) inFlight.splice(at, 1);
  return at >= 0;
}

// --- what is shown

// Reads everything from the socket itself, so the page cannot disagree with it.
function refresh() {
  const state = socket ? socket.readyState : -1;
  const name = STATES[state] || 'none';
  document.body.dataset.state = name.toLowerCase();
  put('ready-state', socket ? `${state} ${name}` : 'no socket yet');
  put('buffered', String(socket ? socket.bufferedAmount : 0));
  put('status', ending || ['Connecting…', 'Connected', 'Closing…'][state] || 'Not connected');
  $('send').disabled = $('file').disabled = state !== WebSocket.OPEN;
  $('closer').disabled = !socket || state === WebSocket.CLOSED;
}

// Writes only what has changed, so that a screen reader is not told it again.
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// Peers' data gets onto the page here, as text and never as HTML.
function element(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

function append(list, line) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 100;
  list.append(line);
  if (list.children.length > KEEP) forget(list.firstElementChild);
  if (atEnd) list.scrollTop = list.scrollHeight; // else the reader is reading further up
}

function forget(line) {
  const link = line.querySelector('a');
  if (link) URL.revokeObjectURL(link.href); // lets the file's memory go
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
const bytes = (count) => count.toLocaleString('en') + (count === 1 ? '\u00a0byte' : '\u00a0bytes');

// --- what the reader does

$('join').onsubmit = (event) => {
  event.preventDefault();
  connect($('room').value);
};

$('room').oninput = () => put('url', `'${socketUrl($('room').value)}')`);

$('say').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value;
  if (text && send(text)) $('text').value = ''; // else it waits for a connection
};

$('text').onkeydown = (event) => {
  // Shift+Enter is a new line; an Enter that ends an input method's word is not ours.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('say').requestSubmit();
};

$('file').onchange = () => {
  for (const file of $('file').files) send(file); // a File is a Blob: it goes as one binary message
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

$('copy-link').onclick = async () => {
  const link = pageLink($('room').value);
  try {
    await navigator.clipboard.writeText(link);
    $('copy-link').textContent = 'Copied';
    setTimeout(() => { $('copy-link').textContent = 'Copy link'; }, 2000);
  } catch {
    prompt('The link to this room:', link); // the clipboard needs https or localhost
  }
};

// --- the start

const asked = new URLSearchParams(location.search).get('room');
if (asked) $('room').value = asked;
$('room').oninput();
setInterval(refresh, 100); // no event tells when bufferedAmount changes
if (asked) $('join').requestSubmit(); // as if Connect was pressed: the same checks
