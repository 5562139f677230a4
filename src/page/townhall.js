/** @typedef {{ socket?: WebSocket }} Link */

const seqOf = (position = '.0') => +position.split('.')[1];

function wordIn(data = '') {
  if (data[0] !== '\0') return;
  try {
    return JSON.parse(data.slice(1));
  } catch {} // a member's text
}

/** @param {Link} [link] */
function drop(link) {
  const socket = link?.socket;
  if (!socket) return;
  socket.onopen = socket.onmessage = socket.onerror = socket.onclose = null;
  socket.close();
}

/**
 * A WebSocket that comes back. Only `close()`, 4403 and 1008 end it, with a `close`. `open` fires once; a break
 * fires `reconnecting` and `reconnected`, then `recovered` or `lost`.
 */
export class Townhall extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  CONNECTING = /** @type {const} */ (0);
  OPEN = /** @type {const} */ (1);
  CLOSING = /** @type {const} */ (2);
  CLOSED = /** @type {const} */ (3);
  /** @type {WebSocket['onopen']} */ onopen = null;
  /** @type {WebSocket['onmessage']} */ onmessage = null;
  /** @type {WebSocket['onclose']} */ onclose = null;
  /** @type {WebSocket['onerror']} */ onerror = null;

  /** @type {Link=} */ #link; // delivers
  /** @type {Link=} */ #next; // opens
  /** @type {(string | Blob)[]} */ #queue = [];
  /** @type {BinaryType} */ #binaryType = 'blob';
  /** @type {string=} */ #token;
  #options;
  #timer = 0;
  #silence = 0;
  #beat = 0;
  #heard = 0;
  #state = 0;
  #opened = false;
  #failures = 0;
  #epoch = ''; // empty: no history
  #seq = 0; // delivered
  #count = 0; // arrived
  #awake = new AbortController();

  /**
   * @param {string | URL} url
   * @param {string | string[] | { protocols?: string | string[], token?: string | (() => string | Promise<string>),
   *   last?: number, after?: string | null }} options
   */
  constructor(url, options = {}) {
    super();
    const absolute = new URL(url, location.href);
    absolute.protocol = absolute.protocol.replace('http', 'ws');
    this.url = absolute.href;
    this.#options = typeof options === 'string' || Array.isArray(options) ? { protocols: options } : options;
    this.#move(this.#options.after || '.0');
    for (const name of ['open', 'message', 'close', 'error']) {
      this.addEventListener(name, (event) => /** @type {any} */ (this)['on' + name]?.(event));
    }
    const { signal } = this.#awake;
    for (const name of ['online', 'pageshow', 'resume', 'visibilitychange']) {
      addEventListener(name, () => this.#wake(name === 'online'), { capture: true, signal });
    }
    this.#connect();
  }

  /** What to resume after. */
  get position() {
    return this.#epoch && `${this.#epoch}.${this.#seq}`;
  }

  get readyState() {
    return this.#state || +(this.#socket?.readyState === 1);
  }

  get protocol() {
    return this.#socket?.protocol ?? '';
  }

  get extensions() {
    return this.#socket?.extensions ?? '';
  }

  get bufferedAmount() {
    return new Blob(this.#queue).size + (this.#socket?.bufferedAmount ?? 0);
  }

  get binaryType() {
    return this.#binaryType;
  }

  set binaryType(type) {
    this.#binaryType = type;
    if (this.#socket) this.#socket.binaryType = type;
  }

  /** @param {string | Blob | BufferSource} data */
  send(data) {
    if (this.#state) return;
    if (this.readyState && !this.#queue.length) return this.#socket?.send(data);
    if (this.#queue.length >= 100) throw new DOMException('the queue is full', 'QuotaExceededError');
    this.#queue.push(typeof data === 'object' ? new Blob([data]) : `${data}`);
    this.#fire('queued', data);
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    if (this.#state) return;
    this.#socket?.close(code, reason);
    this.#state = 2;
    this.#abandon();
    if (!this.#link) setTimeout(() => this.#end({ code: 1006 }), 0);
  }

  get #socket() {
    return this.#link?.socket;
  }

  async #connect() {
    this.#abandon();
    const { position } = this;
    const { protocols = [], token, last } = this.#options;
    const resumes = position || this.#opened;
    this.#next = {};
    const link = this.#next;
    this.#wait(20000, () => this.#lose(link));
    try {
      await 0; // the page listens
      const bearer = (this.#token ??= await (typeof token === 'function' ? token() : token));
      if (this.#next !== link) return;
      const url = new URL(this.url);
      if (position) {
        url.searchParams.delete('last');
        url.searchParams.set('after', position);
      } else if (last) url.searchParams.set('last', `${last}`);
      const offers = ['townhall.v1'].concat(protocols, bearer ? 'bearer.' + bearer : []);
      const socket = (link.socket = new WebSocket(url, offers));
      socket.onopen = () => {
        if (!this.#link) this.#adopt(link);
        this.#wait(2000, () => this.#prove(link));
      };
      socket.onmessage = (first) => {
        socket.onmessage = (event) => this.#receive(event);
        this.#begin(link, first, resumes);
      };
      socket.onerror = () => this.dispatchEvent(new Event('error'));
      socket.onclose = (event) => this.#closed(link, event);
    } catch (error) {
      this.#lose(link, `${error}`);
    }
  }

  /** @param {Link} link */
  #adopt(link) {
    const old = this.#link;
    if (old === link) return;
    this.#link = link;
    this.#next = undefined;
    this.binaryType = this.#binaryType;
    if (old) return drop(old);
    const name = this.#opened ? 'reconnected' : 'open';
    this.#opened = true;
    this.dispatchEvent(new Event(name));
  }

  /** The server has let us in. @param {Link} link */
  #prove(link) {
    this.#failures = 0;
    this.#adopt(link);
    if (this.readyState !== 1) return;
    for (const data of this.#queue) {
      this.#socket?.send(data);
      this.#fire('resent', data);
    }
    this.#queue = [];
  }

  /** The first message may be a greeting. @param {Link} link @param {MessageEvent} event @param {any} resumes */
  #begin(link, event, resumes) {
    const word = wordIn(event.data);
    const greets = word?.replay >= 0 && /^\w+\.\d+$/.test(word.position);
    this.#greet(link, greets ? word : {}, resumes);
    if (greets) this.#hear();
    else this.#receive(event);
  }

  /** @param {any} link @param {any} word @param {any} resumes */
  #greet(link, { position, recovered, replay, beat }, resumes) {
    const after = this.position;
    const beside = this.#link && this.#link !== link;
    this.#beat = beat;
    this.#count = seqOf(position);
    if (!recovered) this.#move(position);
    this.#prove(link);
    if (!recovered && resumes) this.#fire('lost', { after, position });
    if (recovered && !beside) this.#fire('recovered', { replayed: replay });
  }

  /** @param {MessageEvent} event */
  #receive({ data, origin }) {
    this.#hear();
    const word = this.#epoch && wordIn(data);
    if (word) return word.replay >= 0 ? this.#greet(this.#link, word, true) : this.#obey(word);
    if (++this.#count <= this.#seq) return; // came on the link before
    this.#seq = this.#count;
    this.dispatchEvent(new MessageEvent('message', { data, origin, lastEventId: this.position }));
  }

  /** @param {any} word */
  #obey({ position, published, expires }) {
    const after = this.position;
    if (position || published) {
      this.#count = seqOf(position ?? published);
      const skipped = this.#count - this.#seq;
      if (skipped > 0) this.#seq = this.#count;
      if (published) this.#fire('published', { position: published });
      else if (skipped > 0) this.#fire('lost', { after, position, skipped });
    }
    if (expires >= 0 && typeof this.#options.token === 'function' && !this.#next) {
      this.#token = undefined;
      this.#wait(Math.random() * 500 * expires);
    }
  }

  #hear() {
    const link = this.#link;
    this.#heard = Date.now();
    clearTimeout(this.#silence);
    if (link && this.#beat) this.#silence = setTimeout(() => this.#lose(link), 2000 * this.#beat);
  }

  /** @param {Link} link */
  #lose(link, reason = 'silence') {
    drop(link);
    this.#closed(link, { code: 1006, reason });
  }

  /** @param {Link} link @param {CloseEventInit} end */
  #closed(link, end) {
    if (link === this.#next) this.#abandon();
    else if (link === this.#link) this.#link = undefined;
    else return;
    const { code, reason } = end;
    if (this.#state || code === 4403 || code === 1008) return this.#end(end);
    if (code === 4401) this.#token = undefined;
    let delay = 0;
    if (!this.#next) this.#wait((delay = Math.random() * Math.min(30000, 500 * 2 ** this.#failures++)));
    if (!this.#link) this.#fire('reconnecting', { code, reason, delay });
  }

  /** @param {CloseEventInit} end */
  #end(end) {
    this.#state = 3;
    this.#abandon();
    drop(this.#link);
    clearTimeout(this.#silence);
    this.#awake.abort();
    this.dispatchEvent(new CloseEvent('close', end));
  }

  #abandon() {
    clearTimeout(this.#timer);
    drop(this.#next);
    this.#next = undefined;
  }

  /** Connects anew, if the link may be dead. */
  #wake(online = false) {
    if (this.#state || (!online && this.#next)) return;
    online ||= Date.now() - this.#heard > 1000 * this.#beat;
    if (!this.#link || (this.#epoch && online)) this.#connect();
  }

  #wait(delay = 0, action = () => { this.#connect(); }) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, delay);
  }

  #move(position = '.0') {
    [this.#epoch] = position.split('.');
    this.#seq = seqOf(position);
  }

  #fire(name = '', detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
