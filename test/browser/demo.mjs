// Drives the demo's page in Chromium and exits with status 0 only if the page keeps what it promises.
//
//   node demo.mjs http://127.0.0.1:8080
//
// SCREENSHOTS names a directory for pictures, CHROMIUM another browser than Debian's.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const url = process.argv[2] ?? process.env.DEMO_URL;
if (!url) {
  console.error('usage: node demo.mjs <url of a running demo>');
  process.exit(2);
}
const pictures = process.env.SCREENSHOTS;
if (pictures) await mkdir(pictures, { recursive: true });

const desktop = { width: 1280, height: 860 };
const phone = { width: 360, height: 780 };
const complaints = []; // console errors and uncaught exceptions of any page

const profile = await mkdtemp(join(tmpdir(), 'celeris-browser-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  viewport: desktop,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
browser.setDefaultTimeout(20_000);

try {
  const page = await open(desktop, 'light');
  await step('values move', () => valuesMove(page));
  await step('the charts begin full', () => beginsFull(page));
  await picture(page, 'desktop-light');

  const before = await subscribers();
  const second = await open(phone, 'dark');
  await step('a second tab shares the stream', () => shares(page, second, before));
  const other = await open(desktop, 'light', { alone: true });
  await step('without SharedWorker a tab has a stream of its own', () => isAlone(other, before));
  await step('its charts begin full as well', () => beginsFull(other, { alone: true }));
  await step('the phone has no horizontal scroll', () => fits(second));
  await picture(second, 'phone-dark', true);

  await page.bringToFront();
  await step('tabs paint to each other', () => paintsTogether(page, second, other));
  await step('the wall takes the keyboard', () => paintsByKeys(page, other));
  await page.bringToFront();
  await step('the red button cuts this browser’s stream and no other', () => cutsOnly(page, second, other));
  await step('nothing is lost, nothing comes twice', async () => {
    await nothingLost(page);
    await nothingLost(second);
  });
  await step('nor is what was painted meanwhile', () => painted(page, 480, 80));
  await picture(page, 'desktop-light-resumed');
  await step('a tab with its own stream can be cut as well', async () => {
    await other.bringToFront();
    await other.locator('#cut').click();
    await state(other, 'away');
    assert.equal(await page.evaluate(() => document.documentElement.dataset.state), 'live');
    await nothingLost(other);
  });
  await step('a slow reader falls behind, and nobody else notices', () => slowReader(page, second));
  await step('both colour schemes', () => bothSchemes(page));
  await picture(page, 'desktop-dark-resumed', true);

  await step('a phone can cut as well', async () => {
    await second.bringToFront();
    await second.emulateMedia({ colorScheme: 'light' });
    await second.locator('#cut').click();
    await state(second, 'away');
    await picture(second, 'phone-light-away');
    const late = await browser.newPage();
    await late.goto(url); // it joins an absence
    await state(late, 'away');
    await nothingLost(second);
    await nothingLost(late);
    await late.close();
    await fits(second);
  });
  await step('a resync, or a stroke left out, brings the whole wall', wallRecovers);
  await step('anyone can clear the wall for all', () => clears(page, second, other));
  await picture(second, 'phone-light', true);
  await step('a stream with a hole and a repetition is found out', findsOut);
  await step('the page never complains', () => assert.deepEqual(complaints, []));
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

async function open(viewport, colorScheme, { alone = false } = {}) {
  const page = await browser.newPage();
  if (alone) await page.addInitScript(() => { delete globalThis.SharedWorker; });
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') complaints.push(m.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.setViewportSize(viewport);
  await page.emulateMedia({ colorScheme });
  await page.goto(url);
  await state(page, 'live');
  return page;
}

function state(page, name) {
  return page.waitForFunction((want) => document.documentElement.dataset.state === want, name);
}

async function picture(page, name, fullPage = false) {
  if (!pictures) return;
  await page.waitForTimeout(1200); // pictures only: transitions end, a hole is drawn full in 0.9 s
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage });
}

async function number(page, id) {
  return Number((await page.locator(`#${id}`).textContent()).replaceAll(',', ''));
}

async function valuesMove(page) {
  for (const id of ['cpu', 'published', 'received']) {
    const first = await page.locator(`#${id}`).textContent();
    await page.waitForFunction(([id, first]) => document.getElementById(id).textContent !== first, [id, first]);
  }
  const drawing = () => page.evaluate(() => document.getElementById('cpu-chart').toDataURL());
  const first = await drawing();
  await page.waitForFunction((first) => document.getElementById('cpu-chart').toDataURL() !== first, first);
}

// The stream of a new page begins in the past, so it has received more than what was published since.
async function beginsFull(page, options) {
  const fresh = await open(desktop, 'light', options);
  await fresh.waitForFunction(() => {
    const published = (performance.now() / 1000) * 6; // at most, while the page was there
    return Number(document.getElementById('received').textContent.replaceAll(',', '')) > published + 5;
  });
  assert.equal(await number(fresh, 'session-gap'), 0);
  await fresh.close();
  await page.bringToFront();
}

async function stats() {
  return (await fetch(`${url}/stats`)).json();
}

async function subscribers() {
  return (await stats()).broker.subscribers;
}

async function shares(page, second, before) {
  assert.equal(await subscribers(), before, 'the second tab opened a stream');
  for (const tab of [page, second]) {
    assert.equal(await tab.evaluate(() => document.documentElement.dataset.link), 'shared');
    await tab.waitForFunction(() => document.getElementById('tabs').textContent.includes('2 tabs'));
    assert.match(await tab.locator('#tabs-note').textContent(), /six connections per host.*SharedWorker/);
  }
  await second.waitForFunction(() => Number(document.getElementById('received').textContent) > 0);
  assert.equal(await number(second, 'session-gap'), 0);
  assert.equal(await number(second, 'session-duplicates'), 0);
}

async function isAlone(other, before) {
  assert.equal(await subscribers(), before + 1);
  assert.equal(await other.evaluate(() => document.documentElement.dataset.link), 'own');
  assert.match(await other.locator('#tabs-note').textContent(), /no SharedWorker.*six connections per host/);
}

// painted waits until the wall of a tab shows something at a point, in the wall's own units.
function painted(page, x, y, want = true) {
  return page.waitForFunction(([x, y, want]) => {
    const wall = document.getElementById('wall');
    const scale = wall.width / Number(wall.dataset.width);
    const pixel = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    pixel.drawImage(wall, x * scale, y * scale, 1, 1, 0, 0, 1, 1);
    return pixel.getImageData(0, 0, 1, 1).data[3] > 128 === want;
  }, [x, y, want]);
}

// paint draws a horizontal line across the wall with the pointer.
async function paint(page, y) {
  await page.bringToFront();
  const wall = page.locator('#wall');
  await wall.scrollIntoViewIfNeeded();
  const box = await wall.boundingBox();
  const at = (x) => [box.x + (x / 960) * box.width, box.y + (y / 600) * box.height];
  await page.mouse.move(...at(100));
  await page.mouse.down();
  await page.mouse.move(...at(860), { steps: 20 });
  await page.mouse.up();
}

async function paintsTogether(page, second, other) {
  for (const y of [150, 450]) await painted(page, 480, y, false);
  await other.locator('.paint input').nth(3).check();
  await paint(page, 150);
  await paint(other, 450);
  await page.bringToFront();
  await painted(page, 480, 450);
  await other.bringToFront();
  await painted(other, 480, 150);
  const third = await open(desktop, 'light');
  const { strokes } = await (await fetch(`${url}/wall`)).json();
  assert.deepEqual([...new Set(strokes.map(({ color }) => color))].sort(), [0, 3]);
  for (const y of [150, 450]) await painted(third, 480, y);
  await picture(third, 'wall-light', true);
  await third.close();
  await second.bringToFront();
  for (const y of [150, 450]) await painted(second, 480, y);
}

async function paintsByKeys(page, other) {
  await page.bringToFront();
  await page.locator('#wall').focus();
  await page.keyboard.press('Space');
  for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Space');
  await page.keyboard.press('ArrowDown');
  await other.bringToFront();
  await painted(other, 480, 330); // from the middle, 300, to 360
  await painted(other, 480, 372, false);
}

async function slowReader(page, second) {
  await page.bringToFront();
  await page.locator('#slow').click();
  for (const tab of [page, second]) await tab.waitForFunction(() => document.getElementById('slow').getAttribute('aria-checked') === 'true');
  const behind = async () => (await stats()).slow.behind_bytes;
  await page.waitForFunction(() => document.getElementById('slow-card').dataset.phase === 'on');
  const first = await behind();
  await page.waitForFunction(() => Number(document.getElementById('skipped').textContent) > 0, null, { timeout: 60_000 });
  assert.ok(await behind() > first, 'the slow reader does not fall behind');
  const shown = Object.fromEntries(await Promise.all(['before-p50', 'before-p99', 'with-p50', 'with-p99'].map(async (id) => [id, await number(page, id)])));
  console.log(`     everyone else, in ms: ${JSON.stringify(shown)}`);
  for (const [id, ms] of Object.entries(shown)) assert.ok(ms > 0 && ms < 2000, `${id} is ${ms} ms`);
  assert.equal(await number(second, 'session-gap'), 0);
  if (pictures) {
    await page.waitForFunction(() => Number(document.getElementById('slow-resyncs').textContent) > 0, null, { timeout: 90_000 });
    await page.locator('.duo').screenshot({ path: join(pictures, 'duo-light.png') });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForTimeout(300);
    await page.locator('.duo').screenshot({ path: join(pictures, 'duo-dark.png') });
    await page.emulateMedia({ colorScheme: 'light' });
    await second.bringToFront();
    await second.locator('.duo').screenshot({ path: join(pictures, 'duo-phone.png') });
  }
  await second.bringToFront();
  await second.locator('#slow').click();
  await page.bringToFront();
  for (const tab of [page, second]) await tab.waitForFunction(() => document.getElementById('slow').getAttribute('aria-checked') === 'false');
  assert.equal((await stats()).slow.phase, 'off');
}

// A page whose wall is empty must ask for the whole again, and not show what comes next on an empty one.
async function wallRecovers() {
  const { run, rev } = await (await fetch(`${url}/wall`)).json();
  const blocks = {
    resync: `id: x-1\nevent: resync\ndata: {"dropped":3,"reason":"lagged"}\n\n`,
    hole: `id: x-1\nevent: wall\ndata: ${JSON.stringify({ n: 9, run, t: Date.now(), rev, first: 1, color: 0, points: [1, 1] })}\n\n`,
  };
  for (const block of Object.values(blocks)) {
    const page = await browser.newPage();
    await page.addInitScript(() => { delete globalThis.SharedWorker; });
    let asked = 0;
    await page.route('**/wall', (route) => (++asked === 1 ? route.fulfill({ json: { run, rev: 0, strokes: [] } }) : route.continue()));
    await page.route('**/events?*', async (route) => {
      while (!asked) await new Promise((done) => setTimeout(done, 10));
      await route.fulfill({ status: 200, contentType: 'text/event-stream', body: `retry: 60000\n\n${block}` });
    });
    await page.goto(url);
    for (const y of [80, 150, 450]) await painted(page, 480, y);
    await page.close();
  }
}

async function clears(page, second, other) {
  await second.locator('#clear').click();
  for (const tab of [page, second, other]) {
    await tab.bringToFront(); // a hidden tab does not draw
    for (const y of [80, 150, 450]) await painted(tab, 480, y, false);
  }
}

async function cutsOnly(page, second, other) {
  await page.locator('#cut').click();
  for (const tab of [page, second]) await state(tab, 'away');
  assert.match(await page.locator('#state').textContent(), /disconnected|reconnecting/);
  assert.equal(await other.evaluate(() => document.documentElement.dataset.state), 'live');
  await paint(other, 80);
  await page.bringToFront();
  await page.waitForFunction(() => /^[0-3]\.\d$/.test(document.getElementById('cut-text').textContent)); // it counts down
  await picture(page, 'desktop-light-away');
  for (const tab of [page, second]) await state(tab, 'live');
  assert.equal(await other.evaluate(() => document.getElementById('missed').textContent), '–', 'the other tab was cut too');
}

async function nothingLost(page) {
  await page.waitForFunction(() => document.getElementById('verdict').classList.contains('told'));
  const text = (await page.locator('#verdict').textContent()).replace(/\s+/g, ' ').trim();
  const verdict = text.match(/^missed (\d+) · replayed (\d+) · duplicates (\d+) · gap (\d+)$/);
  assert.ok(verdict, `the verdict reads ${JSON.stringify(text)}`);
  const [missed, replayed, duplicates, gap] = verdict.slice(1).map(Number);
  console.log(`     ${text}`);
  // Five seconds of six events each; a busy machine samples less often.
  assert.ok(missed >= 5, `only ${missed} events were missed: the tab was hardly away`);
  assert.equal(replayed, missed);
  assert.equal(duplicates, 0);
  assert.equal(gap, 0);
  assert.equal(await number(page, 'session-gap'), 0);
}

// A verdict that can't be bad is worth nothing: here the page is served a stream that lost two events and
// brought one twice.
async function findsOut() {
  const page = await browser.newPage();
  const event = (n, age) => `id: x-${n}\nevent: vitals\ndata: ${JSON.stringify({ n, run: 'x', t: Date.now() - age, cpu: [50] })}\n\n`;
  let opened = 0;
  await page.addInitScript(() => { delete globalThis.SharedWorker; }); // nobody can get between a worker and its stream
  await page.route('**/events?*', (route) => {
    const body = ++opened === 1
      ? `retry: 300\n\n${event(1, 0)}${event(2, 0)}${event(3, 0)}`
      : `retry: 60000\n\n${event(3, 200)}${event(4, 150)}${event(7, -200)}`;
    route.fulfill({ status: 200, contentType: 'text/event-stream', body });
  });
  // The made-up stream ends at once, and the page begins a new absence: what it said between is kept.
  await page.addInitScript(() => {
    globalThis.said = [];
    addEventListener('DOMContentLoaded', () => {
      const verdict = document.getElementById('verdict');
      new MutationObserver(() => said.push(verdict.textContent.replace(/\s+/g, ' ').trim())).observe(verdict, { childList: true, subtree: true });
    });
  });
  await page.goto(url);
  await page.waitForFunction(() => said.includes('missed 3 · replayed 1 · duplicates 1 · gap 2'));
  await page.close();
}

async function fits(page) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `the page is ${content} px wide in a window of ${width}`);
}

async function bothSchemes(page) {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await paper();
  assert.notEqual(dark, light, 'the page ignores the colour scheme of the system');
  await page.locator('#theme').click();
  assert.equal(await paper(), light, 'the toggle does not override the system');
  await page.locator('#theme').click();
  assert.equal(await paper(), dark);
}
