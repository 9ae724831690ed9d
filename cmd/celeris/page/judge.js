// Judge counts what arrives by the counter in the payload, never by event ids: n numbers the events of
// one run of the server, 1, 2, 3 and so on. So it can tell a hole, a repetition and a late arrival,
// whatever the transport claims.
class Judge {
  constructor() {
    this.earlier = { received: 0, duplicates: 0, lost: 0 }; // of earlier runs of the server
    this.run = null;
    this.begin(null);
  }

  begin(run) {
    if (this.run !== null) this.earlier = this.totals();
    this.run = run;
    this.seen = new Set(); // of the most recent counters
    this.floor = 0; // counters up to here are no longer in seen
    this.first = 0;
    this.last = 0;
    this.received = 0; // distinct events
    this.duplicates = 0;
    this.away = null; // the present absence
    this.verdict = null; // about the latest absence
  }

  // left tells that the connection is gone.
  left() {
    if (this.away || !this.run) return;
    this.away = { after: this.last, duplicates: this.duplicates };
  }

  // take judges one event and returns 'live', 'replayed', 'twice' or 'restarted'. published tells whether
  // it was published before the connection of today was opened.
  take(run, n, before) {
    if (run !== this.run) {
      const restarted = this.run !== null;
      this.begin(run);
      this.note(n);
      return restarted ? 'restarted' : before ? 'backfill' : 'live';
    }
    if (n <= this.floor || this.seen.has(n)) {
      this.duplicates++;
      this.judge();
      return 'twice';
    }
    this.note(n);
    const v = this.verdict;
    if (this.away) {
      if (before) return 'replayed';
      // The first event of the present ends the absence: all between the two counters was missed.
      this.verdict = { after: this.away.after, until: n, duplicatesBefore: this.away.duplicates };
      this.away = null;
      this.judge();
      return 'live';
    }
    if (v && n > v.after && n < v.until) {
      this.judge();
      return 'replayed';
    }
    return before ? 'backfill' : 'live';
  }

  note(n) {
    this.first = this.first ? Math.min(this.first, n) : n;
    this.last = Math.max(this.last, n);
    this.received++;
    this.seen.add(n);
    if (this.seen.size < 8192) return;
    const keep = [...this.seen].sort((a, b) => a - b).slice(4096);
    this.floor = keep[0] - 1;
    this.seen = new Set(keep);
  }

  judge() {
    const v = this.verdict;
    if (!v) return;
    v.missed = v.until - v.after - 1;
    v.replayed = 0;
    for (let n = v.after + 1; n < v.until; n++) if (this.seen.has(n)) v.replayed++;
    v.gap = v.missed - v.replayed;
    v.duplicates = this.duplicates - v.duplicatesBefore;
  }

  // totals is about all that this page has heard. Lost are counters between the first and the last of a
  // run that never came: during an absence nothing counts as lost before the return.
  totals() {
    const { received, duplicates, lost } = this.earlier;
    const missing = this.run === null ? 0 : this.last - this.first + 1 - this.received;
    return { received: received + this.received, duplicates: duplicates + this.duplicates, lost: lost + missing };
  }
}
