// Here the tabs of one browser share one stream: it stays open as long as one of them is there.
const backlogSpan = 65_000; // milliseconds; what a new tab wants to draw
const backlogLimit = 4096;
const ports = new Set();
let backlog = []; // {at, message}: the newest events, without a hole, for tabs that come later
let run = null;
let away = null; // {kind, since, back}: there is no connection now

const stream = new Stream((message) => {
  if (message.type === 'event') remember(message);
  if (message.type === 'leave') {
    if (away) away.back = null;
    else away = { kind: message.kind, since: performance.now(), back: message.back };
  }
  for (const port of ports) port.postMessage(message);
});

function remember(message) {
  away = null;
  const at = performance.now();
  if (message.name === 'resync') {
    backlog = []; // events are missing between those before and those after
    return;
  }
  const of = JSON.parse(message.data).run;
  if (of !== run) backlog = [];
  run = of;
  backlog.push({ at, message });
  let old = Math.max(backlog.length - backlogLimit, 0);
  while (at - backlog[old].at > backlogSpan) old++;
  if (old > 64) backlog.splice(0, old);
}

function join(port, after, cutRetry) {
  ports.add(port);
  if (!stream.begun) stream.open(after, cutRetry);
  else {
    const known = backlog.findLastIndex(({ message }) => message.id === after);
    port.postMessage({
      type: 'joined', events: backlog.slice(known + 1).map(({ message }) => message),
      away: away && { kind: away.kind, age: performance.now() - away.since, back: away.back && Math.max(away.back - (performance.now() - away.since), 0) },
    });
  }
  tell();
}

function tell() {
  for (const port of ports) port.postMessage({ type: 'tabs', count: ports.size });
}

function leave(port) {
  ports.delete(port);
  if (ports.size) return tell();
  stream.close();
  backlog = [];
  away = run = null;
}

addEventListener('connect', ({ ports: [port] }) => {
  if (typeof EventSource === 'undefined') {
    port.postMessage({ type: 'unfit' });
    return;
  }
  port.onmessage = async ({ data }) => {
    if (data.type === 'join') join(port, data.after, data.cutRetry);
    else if (data.type === 'leave') leave(port);
    else if (data.type === 'cut') {
      try {
        await stream.cut();
      } catch (error) {
        port.postMessage({ type: 'refused', why: error.message });
      }
    }
  };
});
