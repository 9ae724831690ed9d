// Has two tabs chat in Chromium and exits with status 0 only if examples/chat keeps what it promises.
//
//   node chat.mjs http://127.0.0.1:8080
//
// SCREENSHOTS names a directory for pictures, CHROMIUM another browser than Debian's.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const url = process.argv[2];
const pictures = process.env.SCREENSHOTS;
if (pictures) await mkdir(pictures, { recursive: true });

const profile = await mkdtemp(join(tmpdir(), 'celeris-chat-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  viewport: { width: 900, height: 600 },
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
browser.setDefaultTimeout(20_000);
const complaints = []; // uncaught exceptions of any page

try {
  const ann = await enter('Ann');
  const bob = await enter('Bob');
  await step('who is there', async () => {
    for (const tab of [ann, bob]) await shows(tab, '#people li', ['Ann', 'Bob']);
  });
  await step('the tabs chat', async () => {
    await say(ann, 'hello <b>Bob</b>');
    await shows(bob, '#said li', ['hello <b>Bob</b>']);
    await say(bob, 'ähnlich: 你好 🎉');
    for (const tab of [ann, bob]) await shows(tab, '#said li', ['hello <b>Bob</b>', 'ähnlich: 你好 🎉']);
    assert.deepEqual(await tabsMine(bob), [false, true]);
  });
  await step('compression was agreed on', async () => {
    assert.equal(await bob.evaluate(() => socket.extensions.includes('permessage-deflate')), true);
    const long = 'the same again and again, '.repeat(19).trim();
    await say(ann, long);
    await shows(bob, '#said li', ['hello <b>Bob</b>', 'ähnlich: 你好 🎉', long]);
  });
  await step('history on join', async () => {
    const eve = await enter('Eve');
    assert.equal((await texts(await filled(eve, 3), '#said li')).length, 3);
    await shows(ann, '#people li', ['Ann', 'Bob', 'Eve']);
    await eve.close();
    await shows(ann, '#people li', ['Ann', 'Bob']);
  });
  await step('one that was cut off misses nothing and gets nothing twice', async () => {
    await bob.evaluate(() => { globalThis.WebSocket = class { constructor() { throw new Error('no network'); } }; });
    await bob.evaluate(() => { globalThis.onerror = () => true; socket.close(); });
    await shows(ann, '#people li', ['Ann']);
    await say(ann, 'are you there?');
    await shows(ann, '#said li', ['are you there?'], -1);
    await bob.evaluate(() => { globalThis.WebSocket = Object.getPrototypeOf(socket).constructor; connect(); });
    await shows(bob, '#said li', ['are you there?'], -1);
    assert.equal((await texts(bob, '#said li')).length, 4);
  });
  if (pictures) {
    await ann.screenshot({ path: join(pictures, 'chat-ann.png') });
    await bob.emulateMedia({ colorScheme: 'dark' });
    await bob.setViewportSize({ width: 360, height: 640 });
    await bob.screenshot({ path: join(pictures, 'chat-bob-phone-dark.png') });
    await bob.setViewportSize({ width: 900, height: 600 });
  }
  await step('rooms are apart', async () => {
    await bob.locator('#room').fill('cellar');
    await bob.locator('#room').press('Tab');
    await shows(bob, '#people li', ['Bob']);
    await say(bob, 'nobody hears me');
    await shows(bob, '#said li', ['nobody hears me']);
    await shows(ann, '#people li', ['Ann']);
    assert.ok(!(await texts(ann, '#said li')).some((s) => s.includes('nobody hears me')));
  });
  await step('a long name or message does not break the page', async () => {
    await say(ann, 'x'.repeat(500));
    await shows(ann, '#said li', ['x'.repeat(500)], -1);
    await ann.setViewportSize({ width: 360, height: 640 });
    assert.ok(await ann.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'horizontal scroll');
  });
  assert.deepEqual(complaints, []);
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

async function enter(name) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => { if (!/no network/.test(String(error))) complaints.push(String(error)); });
  await page.goto(`${url}/?room=lobby&name=${name}`);
  await page.waitForFunction(() => document.documentElement.dataset.state === 'open');
  return page;
}

async function say(page, text) {
  await page.bringToFront();
  await page.locator('#text').fill(text);
  await page.locator('#text').press('Enter');
}

// texts are those of elements, without what stands in a smaller type.
function texts(page, selector) {
  return page.evaluate((s) => [...document.querySelectorAll(s)].map((e) => e.lastChild.textContent), selector);
}

// shows waits until elements have these texts, or the last of them has.
async function shows(page, selector, want, at = 0) {
  await page.waitForFunction(([selector, want, at]) => {
    const all = [...document.querySelectorAll(selector)].map((e) => e.lastChild.textContent);
    return JSON.stringify(at < 0 ? all.slice(at) : all) === JSON.stringify(want);
  }, [selector, want, at]);
}

async function filled(page, n) {
  await page.waitForFunction((n) => document.querySelectorAll('#said li').length === n, n);
  return page;
}

function tabsMine(page) {
  return page.evaluate(() => [...document.querySelectorAll('#said li')].map((e) => e.className === 'mine'));
}
