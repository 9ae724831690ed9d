const page = document.documentElement;
const $ = (id) => document.getElementById(id);
const interval = Number(page.dataset.interval);
const cutRetry = Number(page.dataset.cutRetry);
const local = () => performance.timeOrigin + performance.now(); // never steps back

const judge = new Judge();
const samples = []; // of the last minute, in order of time
const holes = [];
let lastID = page.dataset.since;
let offset = Infinity; // local time minus server time, at its smallest: when an event travelled fastest
let openedAt = -Infinity; // local time
let absence = null; // {since, kind: 'cut' | 'lost' | 'farewell', back}

// ---- the stream ----

const link = new Link(page.dataset.worker, cutRetry, hear);

// hear takes what happens to the stream, from this page's own or from the worker that has it.
function hear(message) {
  if (message.type === 'event') receive(message);
  else if (message.type === 'open') opened();
  else if (message.type === 'leave') leave(message);
  else if (message.type === 'joined') join(message);
  else if (message.type === 'tabs') showTabs(message.count);
  else if (message.type === 'refused' && !absence) tell(`That did not work: ${message.why}.`, 'bad');
}

function opened() {
  openedAt = local();
  if (!absence && !judge.run) setState('live', 'live');
}

// join is called when another tab of this browser has opened the stream before: the worker kept its last minute.
function join({ events, away }) {
  openedAt = local();
  events.forEach(receive);
  if (away) leave({ kind: away.kind, back: away.back, age: away.age });
}

function receive(event) {
  lastID = event.id;
  if (event.name === 'resync') return resync(event);
  const data = JSON.parse(event.data);
  const now = local();
  // Published before this connection was opened, on the server's clock: then it is a replay.
  const early = offset === Infinity ? now - data.t > 1000 : data.t + offset < openedAt;
  // A replay comes at once: what still looks old later on only shows that a clock has stood still.
  const before = early && now - openedAt < 2000;
  if (!before) offset = early ? now - data.t : Math.min(offset, now - data.t);
  const kind = judge.take(data.run, data.n, before);
  if (kind === 'restarted') restart();
  if (kind !== 'twice') {
    if (event.name === 'vitals') keep(data);
    else if (event.name === 'wall') wall.take(data);
    else if (data.n === judge.last) showStats(data);
  }
  if (absence && kind === 'live') arrive();
  else if (kind === 'replayed' || kind === 'twice') showVerdict();
  if (page.dataset.state === 'connecting' && kind === 'live') setState('live', 'live');
}

// leave is called when the connection ended or could not be opened.
function leave({ kind, back, age = 0 }) {
  if (absence) {
    absence.back = null; // it tried, and nobody knows when it will succeed
    return;
  }
  judge.left();
  const now = local();
  absence = { since: now - age, kind, back: back === null ? null : now + back };
  if (judge.run) holes.push({ from: samples.at(-1)?.t ?? serverNow(), until: null, filled: 0, count: 0 });
  const text = { cut: 'The server closed this stream.', lost: 'The connection is gone. Retrying.', farewell: 'Server said goodbye, retrying.' }[kind];
  setState('away', kind === 'farewell' ? 'server said goodbye, retrying' : 'disconnected');
  tell(text, 'bad');
  for (const id of ['missed', 'replayed', 'duplicates', 'gap']) $(id).textContent = '–';
  $('verdict').classList.remove('told');
}

// arrive is called with the first live event after an absence: now it is known what was missed.
function arrive() {
  absence = null;
  setState('live', 'live');
  const hole = holes.at(-1);
  if (hole && hole.until == null) {
    const after = samples.findIndex((s) => s.t > openedAt - offset);
    hole.until = samples[after < 0 ? samples.length - 1 : after].t;
    hole.revealed = local();
    hole.count = judge.verdict?.replayed ?? 0;
    hole.gap = judge.verdict?.gap ?? 0;
  }
  showVerdict(true);
}

function restart() {
  samples.length = holes.length = 0;
  offset = Infinity;
  absence = null;
  setState('live', 'live');
  tell('The server was started anew: its counters begin again.', '');
}

function resync(event) {
  wall.load(); // something is missing, and nobody knows whether it was a stroke
  let what = {};
  try { what = JSON.parse(event.data); } catch { /* said without detail */ }
  const why = {
    lagged: 'this tab fell behind', expired: 'history no longer reaches back that far', restarted: 'the server was started anew',
  }[what.reason] ?? `reason ${what.reason}`;
  const loss = what.dropped > 0 ? `${what.dropped} events were left out` : 'earlier events were left out';
  const note = `The server sent a resync: ${why}, ${loss}.`;
  $('session-note').textContent = ` ${note}`;
  announce(note);
}

function cut() {
  if ($('cut').getAttribute('aria-disabled') !== 'true') link.cut();
}

// ---- what the page says ----

function setState(state, text) {
  if (page.dataset.state !== state) page.dataset.state = state;
  if ($('state').textContent !== text) $('state').textContent = text;
  showButton();
}

function announce(text) {
  $('announce').textContent = text;
}

function tell(text, tone) {
  $('outcome').textContent = text;
  $('outcome').dataset.tone = tone;
  announce(text);
}

function showVerdict(first) {
  const v = judge.verdict;
  showSession();
  if (!v || absence) return;
  $('verdict').classList.add('told');
  for (const name of ['missed', 'replayed', 'duplicates', 'gap']) $(name).textContent = v[name].toLocaleString('en');
  $('gap').toggleAttribute('data-bad', v.gap > 0);
  $('duplicates').toggleAttribute('data-bad', v.duplicates > 0);
  const clean = v.gap === 0 && v.duplicates === 0;
  tell(clean ? 'Back. Nothing lost, nothing twice.' : v.gap > 0 ? `Back, but ${v.gap} events are missing.` : 'Back, but some came twice.', clean ? 'good' : 'bad');
  if (first || !clean) announce(`${$('outcome').textContent} missed ${v.missed} · replayed ${v.replayed} · duplicates ${v.duplicates} · gap ${v.gap}`);
}

// showTabs says what this stream is: one for all tabs of the browser, or one for this tab.
function showTabs(count) {
  page.dataset.link = link.shared ? 'shared' : 'own';
  $('tabs').textContent = count > 1 ? `The ${count} tabs of this browser share it and go quiet together.` : link.shared ? 'Other tabs of this browser would share it.' : 'It is this tab’s own.';
  $('tabs-note').textContent = link.shared
    ? 'Over HTTP/1.1 a browser opens at most six connections per host, so its tabs share one stream through a SharedWorker.'
    : 'This browser has no SharedWorker, so each tab has a stream of its own; over HTTP/1.1 it opens at most six connections per host.';
}

function showSession() {
  const { received, duplicates, lost } = judge.totals();
  $('received').textContent = received.toLocaleString('en');
  $('session-duplicates').textContent = duplicates.toLocaleString('en');
  $('session-gap').textContent = lost.toLocaleString('en');
}

function amount(v, base, units, round = false) {
  let at = 0;
  while (v >= base && at < units.length - 1) { v /= base; at++; }
  return [at === 0 || v >= 1000 ? v.toFixed(0) : round ? String(Number(v.toPrecision(3))) : v.toPrecision(3), units[at]];
}
const rateUnits = ['B/s', 'kB/s', 'MB/s', 'GB/s'];
const sizeUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
const rate = (v) => amount(v, 1000, rateUnits);
const size = (v) => amount(v, 1024, sizeUnits);

function keep(data) {
  const cpu = data.cpu?.length ? data.cpu.reduce((sum, v) => sum + v, 0) / data.cpu.length : undefined;
  const sample = { t: data.t, cpu, cores: data.cpu ?? [], memory: data.memory, network: data.network, load: data.load };
  let at = samples.length;
  while (at > 0 && samples[at - 1].t > sample.t) at--;
  samples.splice(at, 0, sample);
  const old = serverNow() - SPAN - 3000;
  while (samples.length && samples[0].t < old) samples.shift();
  while (holes.length && holes[0].until < old && holes[0].until != null) holes.shift();
  if (at === samples.length - 1) showSample(sample);
}

function showSample(s) {
  if (s.cpu !== undefined) $('cpu').textContent = s.cpu.toFixed(1);
  showCores(s.cores);
  if (s.memory) {
    [$('memory').textContent, $('memory-unit').textContent] = size(s.memory.used);
    $('memory-total').textContent = `of ${size(s.memory.total).join(' ')}`;
  }
  if (s.network) {
    [$('in').textContent, $('in-unit').textContent] = rate(s.network.in);
    [$('out').textContent, $('out-unit').textContent] = rate(s.network.out);
  }
  s.load?.forEach((v, i) => { $(['load1', 'load5', 'load15'][i]).textContent = v.toFixed(2); });
}

function showCores(cores) {
  const box = $('cores');
  while (box.children.length > cores.length) box.lastChild.remove();
  while (box.children.length < cores.length) {
    const bar = document.createElement('span');
    bar.className = 'core';
    bar.append(document.createElement('i'));
    box.append(bar);
  }
  cores.forEach((v, i) => { box.children[i].firstChild.style.transform = `scaleX(${v / 100})`; });
  $('core-key').textContent = cores.length > 1 ? `each of ${cores.length}` : 'its only core';
}

function showStats({ server, broker, process, slow, t }) {
  slowReader.show(slow, t);
  const count = (v) => (v ?? 0).toLocaleString('en');
  for (const [id, key] of Object.entries({ subscribers: 'subscribers', published: 'published', delivered: 'delivered', history: 'history_events', dropped: 'dropped', resyncs: 'resyncs' })) {
    $(id).textContent = count(broker[key]);
  }
  $('goroutines').textContent = count(process.goroutines);
  $('engine').textContent = server.parked_streams
    ? `${count(server.parked_streams)} of ${count(server.streams)} streams parked on ${server.engine}, without a goroutine each`
    : `${count(server.streams)} streams, each on a goroutine`;
  const [value, unit] = size(process.rss_bytes || process.heap_bytes);
  $('rss').innerHTML = `${value}<small>${unit}</small>`;
}

// secondsLeft is the rest of an absence whose end is known.
const secondsLeft = () => (absence?.back ? Math.max(absence.back - local(), 0) / 1000 : 0);

function showButton() {
  const live = page.dataset.state === 'live';
  const left = secondsLeft();
  $('cut').setAttribute('aria-disabled', String(!live));
  $('cut-text').textContent = live ? 'Cut' : !absence ? 'connecting' : left > 0 ? left.toFixed(1) : '…';
  $('ring').style.strokeDashoffset = 1 - (left * 1000) / cutRetry;
  $('ring').style.visibility = left > 0 ? 'visible' : 'hidden'; // a round cap is never quite empty
}

// countDown keeps what is said during an absence that the red button began.
function countDown() {
  if (absence?.kind !== 'cut') return;
  const left = secondsLeft();
  setState('away', left > 0 ? `disconnected, back in ${Math.ceil(left)} s` : 'reconnecting');
}

// ---- drawing ----

const serverNow = () => (offset === Infinity ? samples.at(-1)?.t ?? Date.now() : local() - offset);
const highest = (all, of, least) => all.reduce((top, s) => Math.max(top, of(s) ?? 0), least);
const roundUp = (v) => {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 5, 10].find((step) => step * power >= v) * power;
};

const cpuChart = new Chart($('cpu-chart'), {
  lines: [{ of: (s) => s.cpu, weight: 'main' }], top: () => 100, label: () => '100 %', captions: true,
});
const charts = [
  cpuChart,
  new Chart($('memory-chart'), {
    lines: [{ of: (s) => s.memory?.used, weight: 'main' }],
    top: (all) => Math.min(2 ** Math.ceil(Math.log2(highest(all, (s) => s.memory?.used, 1) * 1.1)), all.at(-1)?.memory?.total ?? Infinity),
    label: (v) => amount(v, 1024, sizeUnits, true).join(' '), grow: true,
  }),
  new Chart($('network-chart'), {
    lines: [{ of: (s) => s.network?.out, weight: 'thin' }, { of: (s) => s.network?.in, weight: 'main' }],
    top: (all) => roundUp(highest(all, (s) => s.network && Math.max(s.network.in, s.network.out), 1000)),
    label: (v) => amount(v, 1000, rateUnits, true).join(' '), grow: true,
  }),
  new Chart($('load-chart'), {
    lines: [{ of: (s) => s.load?.[2], weight: 'thin' }, { of: (s) => s.load?.[1], weight: 'thin' }, { of: (s) => s.load?.[0], weight: 'main' }],
    top: (all) => roundUp(highest(all, (s) => s.load && Math.max(...s.load), 1)), label: (v) => v.toFixed(v < 10 ? 1 : 0), grow: true,
  }),
];

const slowReader = new SlowReader();
const lagChart = new Chart($('lag-chart'), {
  lines: [{ of: (s) => s.behind, weight: 'main' }], rest: 4000, grow: true,
  top: (all) => 2 ** Math.ceil(Math.log2(highest(all, (s) => s.behind, 1 << 18) * 1.1)), label: (v) => amount(v, 1024, sizeUnits, true).join(' '),
});
const wall = new Wall($('wall'), (text) => {
  const note = $('wall-note');
  note.textContent = text ?? note.dataset.text;
  note.toggleAttribute('data-bad', text !== null);
});

// coreLines gives every core a line of its own, behind that of all. On big machines they would be noise.
function coreLines(count) {
  const thin = count > 1 && count <= 16 ? Array.from({ length: count }, (_, i) => ({ of: (s) => s.cores[i], weight: count > 4 ? 'faint' : 'thin' })) : [];
  cpuChart.lines = [...thin, cpuChart.lines.at(-1)];
  $('core-key').hidden = thin.length === 0;
}

let drawn = 0;
let cores = 0;
function frame(time) {
  requestAnimationFrame(frame);
  if (time - drawn < (still.matches ? interval : 30)) return;
  drawn = time;
  const count = samples.at(-1)?.cores.length ?? 0;
  if (count !== cores) coreLines((cores = count));
  for (const h of holes) {
    if (h.until == null || h.gap === undefined) continue;
    // What has arrived is drawn from left to right, so that one can see the hole being filled.
    h.filled = still.matches ? 1 : Math.min((local() - h.revealed) / 900, 1);
  }
  $('filled-key').hidden = !holes.some((h) => h.filled > 0);
  countDown();
  const now = serverNow() - interval * 1.5;
  for (const chart of charts) chart.draw(samples, holes, now);
  lagChart.draw(slowReader.samples, [], now);
  wall.draw();
}

// ---- the rest ----

$('cut').addEventListener('click', cut);
$('clear').addEventListener('click', () => wall.clear());
for (const input of document.querySelectorAll('.paint input')) {
  input.addEventListener('change', () => {
    wall.color = Number(input.value);
    wall.drawn = -1;
  });
}
$('theme').addEventListener('click', () => {
  const dark = page.dataset.theme ? page.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  page.dataset.theme = dark ? 'light' : 'dark';
  try { localStorage.setItem('celeris-theme', page.dataset.theme); } catch { /* holds for this visit */ }
  palette.refresh();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => palette.refresh());

$('curl').textContent = `curl -N ${location.origin}/events`;
$('copy').addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText($('curl').textContent);
  } catch {
    // Plain http has no clipboard but on localhost: the line is selected instead, ready to be copied.
    getSelection().selectAllChildren($('curl'));
    return;
  }
  $('copy').textContent = 'Copied';
  setTimeout(() => { $('copy').textContent = 'Copy'; }, 1600);
});

// A page that comes back from the browser's cache has lost its stream: it goes on where it stopped.
addEventListener('pagehide', () => link.close());
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  leave({ kind: 'lost', back: null });
  link.open(lastID);
});

setInterval(showSession, 1000);
showButton();
link.open(lastID);
requestAnimationFrame(frame);
