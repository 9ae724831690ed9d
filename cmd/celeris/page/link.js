// Link brings the stream to this page: the one that a worker shares among the tabs of this browser, or one of
// its own where there is no such worker. hear gets what Stream tells, and of a worker also {type: 'joined',
// events, away}, {type: 'tabs', count} and {type: 'refused', why}.
class Link {
  constructor(workerURL, cutRetry, hear) {
    this.workerURL = workerURL;
    this.cutRetry = cutRetry;
    this.hear = hear;
    this.shared = typeof SharedWorker === 'function';
    this.own = null;
    this.port = null;
  }

  open(after) {
    if (!this.shared) return this.alone(after);
    try {
      const worker = new SharedWorker(this.workerURL, { name: 'celeris' });
      worker.onerror = () => this.alone(after);
      this.port = worker.port;
      this.port.onmessage = ({ data }) => (data.type === 'unfit' ? this.alone(after) : this.hear(data));
      this.port.postMessage({ type: 'join', after, cutRetry: this.cutRetry });
    } catch {
      this.alone(after); // the browser has it, but not here
    }
  }

  alone(after) {
    this.shared = false;
    this.port?.close();
    this.port = null;
    this.own = new Stream(this.hear);
    this.own.open(after, this.cutRetry);
    this.hear({ type: 'tabs', count: 1 });
  }

  cut() {
    if (this.port) this.port.postMessage({ type: 'cut' });
    else this.own.cut().catch((error) => this.hear({ type: 'refused', why: error.message }));
  }

  close() {
    this.port?.postMessage({ type: 'leave' });
    this.port?.close();
    this.own?.close();
    this.port = this.own = null;
  }
}
