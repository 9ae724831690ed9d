// Drives the page of examples/resumable in Chromium. Prints "kill" in the middle of the answer, "start"
// when the page has noticed, when the answer is complete the answer as JSON, and once more when it has reloaded the page.
//
//   node resumable.mjs http://127.0.0.1:8080
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const profile = await mkdtemp(join(tmpdir(), 'celeris-resumable-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
browser.setDefaultTimeout(30_000);

try {
  const page = await browser.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  const state = (name) => page.waitForFunction((want) => document.documentElement.dataset.state === want, name);
  const more = async () => {
    const now = (await page.locator('#answer').textContent()).length;
    await page.waitForFunction((length) => document.getElementById('answer').textContent.length > length, now + 80);
  };
  await page.goto(process.argv[2]);
  await page.locator('#question').fill('Is  anything “lost” & <b>gone</b>?');
  await page.locator('button').click();
  await state('live');
  await more();
  console.log('kill');
  await state('away');
  assert.match(await page.locator('#state').textContent(), /Disconnected after \d+ words/);
  console.log('start');
  await state('live');
  await more();
  await state('done');
  console.log(JSON.stringify(await page.locator('#answer').textContent()));
  await page.reload(); // the whole answer again
  await state('done');
  assert.deepEqual(complaints, []);
  console.log(JSON.stringify(await page.locator('#answer').textContent()));
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
