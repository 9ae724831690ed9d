// Wall is the drawing that all pages share. The server numbers what happens to it: a page starts from the
// whole of it and goes on with the events of the stream. A number that was left out, a resync or a server
// that was started anew make it ask for the whole again, so it never shows a half one.
class Wall {
  // tell gets a sentence when something does not work, and null when it does again.
  constructor(canvas, tell) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.size = { x: Number(canvas.dataset.width), y: Number(canvas.dataset.height) };
    this.tell = tell;
    this.tab = randomToken();
    this.color = 0;
    this.run = null;
    this.rev = 0;
    this.strokes = []; // {rev, color, points}, oldest first
    this.ready = false; // the whole of it has come
    this.waiting = []; // events that came before it
    this.queue = []; // pieces of lines that are not painted yet, oldest first
    this.sent = []; // pieces that the server has taken and the stream has not brought yet
    this.line = null; // what is being drawn
    this.cursor = { x: this.size.x / 2, y: this.size.y / 2 }; // of the keyboard
    this.drawn = -1; // the version of the palette; -1 if there is something new to draw
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
    this.listen();
    this.load();
  }

  // ---- what everyone has painted ----

  async load() {
    this.ready = false;
    clearTimeout(this.again);
    if (this.loading) return void (this.stale = true);
    this.loading = true;
    this.stale = false;
    try {
      const response = await fetch('/wall');
      if (!response.ok) throw new Error(response.status);
      const whole = await response.json();
      if (this.run !== whole.run) this.sent = [];
      this.run = whole.run;
      this.rev = whole.rev;
      this.strokes = whole.strokes;
      this.ready = !this.stale;
    } catch {
      this.stale = false;
      this.again = setTimeout(() => this.load(), 2000); // what is shown stays meanwhile
    }
    this.loading = false;
    if (this.stale) return void this.load();
    if (!this.ready) return;
    const waiting = this.waiting.filter((e) => e.run === this.run);
    this.waiting = [];
    for (const e of waiting) this.take(e);
    this.settle();
  }

  take(e) {
    if (this.ready && (e.run !== this.run || e.rev > this.rev + 1)) this.load();
    if (!this.ready) {
      if (this.waiting.push(e) > 1024) this.waiting.shift(); // its number will be missed
      return;
    }
    if (e.rev <= this.rev) return;
    this.rev = e.rev;
    let gone = 0;
    while (gone < this.strokes.length && this.strokes[gone].rev < e.first) gone++;
    this.strokes.splice(0, gone);
    if (e.points) this.strokes.push(e);
    this.settle();
  }

  // settle forgets the pieces that are part of the wall by now.
  settle() {
    this.sent = this.sent.filter((piece) => piece.rev > this.rev);
    this.drawn = -1;
  }

  // ---- what is painted here ----

  begin(p) {
    this.line = { last: null };
    this.extend(p);
  }

  extend({ x, y }) {
    if (!this.line) return;
    const [px, py] = [Math.round(Math.min(Math.max(x, 0), this.size.x)), Math.round(Math.min(Math.max(y, 0), this.size.y))];
    const last = this.line.last;
    if (last && Math.hypot(px - last[0], py - last[1]) < 3) return;
    let piece = this.line.piece;
    if (!piece || piece.taken || piece.points.length >= 128) {
      if (this.queue.length >= 100) return this.tell('The wall does not keep up with this line.');
      piece = this.line.piece = { color: this.color, points: last ? [...last] : [] };
      this.queue.push(piece);
      this.send();
    }
    piece.points.push(px, py);
    this.line.last = [px, py];
    this.drawn = -1;
  }

  end() {
    this.line = null;
  }

  // send paints what is queued, a piece at a time, each of them with what was drawn in a tenth of a second.
  async send() {
    if (this.sending) return;
    this.sending = true;
    while (this.queue.length) {
      await new Promise((done) => setTimeout(done, 100));
      const piece = this.queue[0];
      piece.taken = true;
      const wait = await this.post('/paint', { tab: this.tab, color: piece.color, points: piece.points }, (rev) => {
        if (rev > this.rev) this.sent.push({ ...piece, rev });
      });
      if (wait) await new Promise((done) => setTimeout(done, wait));
      else this.queue.shift();
      this.drawn = -1;
    }
    this.sending = false;
  }

  // post returns in how many milliseconds to try again; 0 if that is no use or not needed.
  async post(path, body, done) {
    try {
      const response = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
      if (response.status === 429) {
        this.tell('So many are painting that this takes a moment.');
        return Number(response.headers.get('Retry-After') ?? 1) * 1000;
      }
      if (!response.ok) throw new Error(await response.text());
      done((await response.json()).rev);
      this.tell(null);
    } catch (error) {
      this.tell(`That is not on the wall: ${error.message.trim()}.`);
    }
    return 0;
  }

  clear() {
    return this.post('/clear', { tab: this.tab }, () => {});
  }

  // ---- pointer and keys ----

  listen() {
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: ((event.clientX - box.left) / box.width) * this.size.x, y: ((event.clientY - box.top) / box.height) * this.size.y };
    };
    this.canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      this.canvas.setPointerCapture(event.pointerId);
      this.begin(at(event));
    });
    this.canvas.addEventListener('pointermove', (event) => {
      if (!this.line || !event.isPrimary || this.keyed) return;
      const all = event.getCoalescedEvents?.() ?? [];
      for (const e of all.length ? all : [event]) this.extend(at(e));
    });
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) this.canvas.addEventListener(name, () => this.lift());
    this.canvas.addEventListener('keydown', (event) => this.key(event));
    this.canvas.addEventListener('blur', () => this.lift());
    this.canvas.addEventListener('focus', () => { this.drawn = -1; });
  }

  lift() {
    this.end();
    this.keyed = false;
    this.drawn = -1;
  }

  key(event) {
    const step = event.shiftKey ? 60 : 15;
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      this.cursor.x = Math.min(Math.max(this.cursor.x + move[0], 0), this.size.x);
      this.cursor.y = Math.min(Math.max(this.cursor.y + move[1], 0), this.size.y);
      if (this.keyed) this.extend(this.cursor);
    } else if (event.key === ' ' || event.key === 'Enter') {
      if (event.repeat) return event.preventDefault();
      if (this.keyed) this.lift();
      else {
        this.keyed = true;
        this.begin(this.cursor);
      }
    } else if (event.key === 'Escape') this.lift();
    else return;
    event.preventDefault();
    this.drawn = -1;
  }

  // ---- drawing ----

  resize() {
    const { width } = this.canvas.getBoundingClientRect();
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const pixels = Math.round(width * ratio);
    if (!pixels || pixels === this.canvas.width) return;
    this.canvas.width = pixels;
    this.canvas.height = Math.round((pixels * this.size.y) / this.size.x);
    this.drawn = -1;
  }

  draw() {
    if (this.drawn === palette.version) return;
    this.drawn = palette.version;
    const c = this.context;
    const scale = this.canvas.width / this.size.x;
    c.setTransform(scale, 0, 0, scale, 0, 0);
    c.clearRect(0, 0, this.size.x, this.size.y);
    c.lineCap = c.lineJoin = 'round';
    c.lineWidth = 7;
    for (const s of this.strokes) this.trace(s);
    for (const s of this.sent) this.trace(s);
    for (const s of this.queue) this.trace(s);
    if (this.canvas.matches(':focus-visible')) this.crosshair(scale);
  }

  trace({ color, points }) {
    const c = this.context;
    c.strokeStyle = palette.paint[color];
    c.beginPath();
    c.moveTo(points[0], points[1]);
    if (points.length === 2) c.lineTo(points[0], points[1]); // a round cap makes a dot of it
    for (let i = 2; i < points.length; i += 2) c.lineTo(points[i], points[i + 1]);
    c.stroke();
  }

  crosshair(scale) {
    const c = this.context;
    const { x, y } = this.cursor;
    c.lineWidth = 1.5 / scale;
    c.strokeStyle = palette.soft;
    c.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      c.moveTo(x + dx * 12, y + dy * 12);
      c.lineTo(x + dx * 26, y + dy * 26);
    }
    c.stroke();
    c.beginPath();
    c.arc(x, y, 7, 0, 2 * Math.PI);
    c.strokeStyle = palette.paint[this.color];
    c.lineWidth = 3;
    c.stroke();
    if (!this.keyed) return;
    c.fillStyle = palette.paint[this.color];
    c.fill();
  }
}
