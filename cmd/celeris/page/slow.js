// SlowReader shows the switch that all pages share, how far the slow reader is behind, and what everyone else
// notices of it.
class SlowReader {
  constructor() {
    this.samples = []; // {t, behind} of the last minute
    this.phase = 'off';
    $('slow').addEventListener('click', () => this.turn());
  }

  async turn() {
    const on = this.phase === 'off';
    $('slow').disabled = true;
    try {
      const response = await fetch('/slow', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ on }) });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      this.show(await response.json(), null);
    } catch (error) {
      $('slow-note').textContent = `That did not work: ${error.message}.`;
    }
    $('slow').disabled = false;
  }

  // show shows the statistics as of t, the server's time; null if that is not known.
  show(s, t) {
    const count = (v) => (v ?? 0).toLocaleString('en');
    const ms = ({ count: n, p50_ms: p50, p99_ms: p99 }) => (n ? [p50, p99].map((v) => (v < 10 ? v.toFixed(2) : v.toFixed(1))) : ['–', '–']);
    if (s.phase !== this.phase && s.phase !== 'off') this.samples.length = 0;
    this.phase = s.phase;
    $('slow').setAttribute('aria-checked', String(s.phase !== 'off'));
    $('slow-card').dataset.phase = s.phase;
    if (s.phase === 'off') {
      this.say('One real client that takes 2 KB/s of a stream that carries 130 KB/s. Everyone sees the same switch.');
      return; // what it came to stays on show
    }
    if (t !== null && s.phase === 'on') {
      this.samples.push({ t, behind: s.behind_bytes });
      while (this.samples[0].t < t - SPAN - 3000) this.samples.shift();
    }
    [$('behind').textContent, $('behind-unit').textContent] = size(s.behind_bytes);
    $('behind-events').textContent = s.phase === 'on' ? `${count(s.behind_events)} events, ${(s.behind_ms / 1000).toFixed(0)} s` : '';
    $('skipped').textContent = count(s.skipped);
    $('slow-resyncs').textContent = count(s.resyncs);
    $('slow-dropped').textContent = s.resyncs ? `${count(s.dropped)} events left out` : '';
    $('slow-read').textContent = count(s.read);
    $('slow-published').textContent = `of ${count(s.published)}`;
    [$('before-p50').textContent, $('before-p99').textContent] = ms(s.before);
    [$('with-p50').textContent, $('with-p99').textContent] = ms(s.with);
    this.say(this.verdict(s));
  }

  verdict(s) {
    if (s.phase === 'measuring') return 'The load is on. First everyone else is measured without a slow reader.';
    if (s.reconnects) return `The server has cut it ${s.reconnects} times: it took nothing at all for a minute.`;
    if (s.with.count < 128) return 'The slow reader is there.';
    const [before, now] = [s.before.p99_ms, s.with.p99_ms];
    if (now > Math.max(before * 3, before + 10)) return `The p99 of everyone else is ${now.toFixed(1)} ms now, after ${before.toFixed(1)} ms.`;
    if (!s.skipped) return 'It falls behind. Nobody else notices.';
    return s.resyncs ? 'It is moved on to the newest event, and told what it missed. Nobody else notices.' : 'The server has moved it on to the newest event. Nobody else notices.';
  }

  say(text) {
    if ($('slow-note').textContent === text) return;
    $('slow-note').textContent = text;
  }
}
