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

  const second = await open(phone, 'dark');
  await step('a second tab is a second subscriber', () => second.waitForFunction(() => Number(document.getElementById('subscribers').textContent) >= 2));
  await step('the phone has no horizontal scroll', () => fits(second));
  await picture(second, 'phone-dark', true);

  await page.bringToFront();
  await step('the red button cuts this tab and no other', () => cutsOnly(page, second));
  await step('nothing is lost, nothing comes twice', () => nothingLost(page));
  await picture(page, 'desktop-light-resumed');
  await step('both colour schemes', () => bothSchemes(page));
  await picture(page, 'desktop-dark-resumed', true);

  await step('a phone can be cut as well', async () => {
    await second.bringToFront();
    await second.emulateMedia({ colorScheme: 'light' });
    await second.locator('#cut').click();
    await state(second, 'away');
    await picture(second, 'phone-light-away');
    await nothingLost(second);
    await fits(second);
  });
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

async function open(viewport, colorScheme) {
  const page = await browser.newPage();
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
async function beginsFull(page) {
  const fresh = await open(desktop, 'light');
  await fresh.waitForFunction(() => {
    const published = (performance.now() / 1000) * 6; // at most, while the page was there
    return Number(document.getElementById('received').textContent.replaceAll(',', '')) > published + 5;
  });
  assert.equal(await number(fresh, 'session-gap'), 0);
  await fresh.close();
  await page.bringToFront();
}

async function cutsOnly(page, other) {
  await page.locator('#cut').click();
  await state(page, 'away');
  assert.match(await page.locator('#state').textContent(), /disconnected|reconnecting/);
  assert.equal(await other.evaluate(() => document.documentElement.dataset.state), 'live');
  await page.waitForFunction(() => /^[0-3]\.\d$/.test(document.getElementById('cut-text').textContent)); // it counts down
  await picture(page, 'desktop-light-away');
  await state(page, 'live');
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
