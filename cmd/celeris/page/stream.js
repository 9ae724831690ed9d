// Plain http has no randomUUID but on localhost.
const randomToken = () => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');

// Stream keeps one EventSource open and tells what happens to it: {type: 'open'}, {type: 'event', name, id,
// data} and {type: 'leave', kind, back}, where back is in how many milliseconds the browser will return if
// that is known. It runs in a page or in the worker that pages share.
class Stream {
  constructor(tell) {
    this.tell = tell;
    this.token = randomToken(); // by which the server finds the stream
    this.begun = false;
  }

  // open begins behind the event with the id after, or with the present if that is empty. cutRetry is for how
  // many milliseconds the server sends a stream away that it cuts.
  open(after, cutRetry) {
    this.begun = true;
    this.cutRetry = cutRetry;
    this.asked = false; // the red button was pressed and the stream has not ended yet
    this.farewell = false;
    this.lastID = after;
    this.connect();
  }

  connect() {
    const query = new URLSearchParams({ tab: this.token });
    if (this.lastID) query.set('lastEventId', this.lastID); // its Last-Event-ID header goes first on every reconnect
    const source = new EventSource(`/events?${query}`);
    this.source = source;
    source.onopen = () => this.tell({ type: 'open' });
    source.onerror = () => {
      // A browser that has given up, as some do when the server is down, is asked again from here.
      if (source.readyState === EventSource.CLOSED) this.again = setTimeout(() => this.connect(), 3000);
      const kind = this.farewell ? 'farewell' : this.asked ? 'cut' : 'lost';
      this.asked = this.farewell = false;
      this.tell({ type: 'leave', kind, back: kind === 'cut' ? this.cutRetry : null });
    };
    for (const name of ['vitals', 'stats', 'wall', 'resync']) {
      source.addEventListener(name, (event) => {
        this.lastID = event.lastEventId;
        this.tell({ type: 'event', name, id: event.lastEventId, data: event.data });
      });
    }
    source.addEventListener('farewell', () => { this.farewell = true; });
  }

  close() {
    clearTimeout(this.again);
    this.source?.close();
    this.begun = false;
  }

  // cut asks the server to close this stream, and throws if it does not.
  async cut() {
    this.asked = true;
    try {
      const response = await fetch(`/cut?${new URLSearchParams({ tab: this.token })}`, { method: 'POST' });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      if ((await response.json()).cut === 0) throw new Error('the server knows no stream of this browser');
    } catch (error) {
      this.asked = false;
      throw error;
    }
  }
}
