// Prints the data of all events below a URL, as a browser gets them. CHROMIUM names the browser.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const profile = await mkdtemp(join(tmpdir(), 'celeris-interop-'));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM,
  headless: true,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
process.on('SIGTERM', async () => {
  await browser.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  process.exit(0);
});

const page = await browser.newPage();
await page.exposeFunction('print', (data) => console.log(data));
await page.exposeFunction('fail', () => {
  console.error('the browser gave up');
  process.exit(1);
});
await page.goto(process.argv[2]);
await page.evaluate(() => {
  const source = new EventSource('/events');
  let printed = Promise.resolve(); // in order
  source.onmessage = ({ data }) => { printed = printed.then(() => globalThis.print(data)); };
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) globalThis.fail(); };
});
