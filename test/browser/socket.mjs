// Speaks WebSocket with an echo server, through npm's ws and in Chromium, with compression, and exits with status 0 only if
// both get back what they said.
//
//   node socket.mjs http://127.0.0.1:8080 path…
//
// CHROMIUM names another browser than Debian's.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';

const [url, ...paths] = process.argv.slice(2);
const sizes = [0, 1, 125, 126, 127, 65535, 65536, 300_000];
const text = (n) => 'κόσμε and {"key": 12345} '.repeat(Math.ceil(n / 20)).slice(0, n);
const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * i * 31) >> 3));

const ways = {
  'no compression': { offer: false },
  compression: { offer: true, agreed: true },
  'compression without takeover': { offer: { serverNoContextTakeover: true, clientNoContextTakeover: true }, agreed: true },
  'a window of 2 KiB': { offer: { serverMaxWindowBits: 11, clientMaxWindowBits: 11 }, agreed: true },
};
for (const path of paths) {
  for (const [name, way] of Object.entries(ways)) await step(`ws, ${path}, ${name}`, () => library(path, way));
}

const profile = await mkdtemp(join(tmpdir(), 'celeris-socket-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage();
  await page.goto(url);
  for (const path of paths) await step(`Chromium, ${path}`, () => inBrowser(page, path));
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

async function step(name, body) {
  const begun = Date.now();
  try {
    await body();
  } catch (error) {
    console.error(`FAIL ${name}`);
    throw error;
  }
  console.log(`ok   ${name} (${Date.now() - begun} ms)`);
}

async function library(path, { offer, agreed = false }) {
  const options = offer && { threshold: 0, ...(offer === true ? {} : offer) };
  const socket = new WebSocket(url.replace('http', 'ws') + path, { perMessageDeflate: options, handshakeTimeout: 20_000 });
  const [upgrade] = await Promise.all([once(socket, 'upgrade'), once(socket, 'open')]);
  assert.equal(socket.extensions.includes('permessage-deflate'), agreed, `agreed on ${upgrade[0].headers['sec-websocket-extensions']}`);
  for (const size of [...sizes, 500, 500]) { // the last refer to what was before, where they may
    for (const [data, binary] of [[text(size), false], [bytes(size), true]]) {
      socket.send(data);
      const [echo, isBinary] = await once(socket, 'message');
      assert.equal(isBinary, binary);
      assert.ok(echo.equals(Buffer.from(data)), `${size}: got ${echo.length} bytes`);
    }
  }
  socket.send('in ', { fin: false });
  socket.send('frag', { fin: false });
  socket.ping('between');
  socket.send('ments', { fin: true });
  const [[message], [payload]] = await Promise.all([once(socket, 'message'), once(socket, 'pong')]);
  assert.equal(String(message), 'in fragments');
  assert.equal(String(payload), 'between');
  socket.close(4321, 'ähnlich');
  const [code] = await once(socket, 'close');
  assert.equal(code, 4321);
}

async function inBrowser(page, path) {
  const said = await page.evaluate(async ([to, sizes]) => {
    const socket = new WebSocket(to);
    socket.binaryType = 'arraybuffer';
    const next = (name) => new Promise((resolve, reject) => {
      socket.addEventListener(name, resolve, { once: true });
      socket.addEventListener('error', () => reject(new Error(`${name} did not come`)), { once: true });
    });
    await next('open');
    const wrong = [];
    for (const size of sizes) {
      const sent = 'κόσμε, again and again. '.repeat(size / 20 + 1).slice(0, size);
      socket.send(sent);
      if ((await next('message')).data !== sent) wrong.push(`text of ${size}`);
      const bytes = new Uint8Array(size).map((_, i) => (i * i) >> 2);
      socket.send(bytes);
      const echo = new Uint8Array((await next('message')).data);
      if (echo.length !== size || echo.some((b, i) => b !== bytes[i])) wrong.push(`${size} bytes`);
    }
    socket.close(4000, 'goodbye');
    const { code, wasClean } = await next('close');
    return { wrong, code, wasClean, extensions: socket.extensions };
  }, [url.replace('http', 'ws') + path, sizes]);
  assert.deepEqual(said.wrong, []);
  assert.match(said.extensions, /^permessage-deflate/);
  assert.equal(said.code, 4000);
  assert.equal(said.wasClean, true);
}
