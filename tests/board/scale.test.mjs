import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { BOARD, OUT, barriers, beat, launch, open, scene, signIn } from './support.mjs';

let browser;
before(async () => {
  browser = await launch();
  mkdirSync(OUT, { recursive: true });
});
after(() => browser.close());

/** Lets the page get another body than the service's answer has. */
const change = (page, path, of) =>
  page.route((url) => url.pathname.endsWith(`/api/${path}`), async (route) => {
    // Intercepted requests lack what the browser adds last. Without a tag, the answer has a body.
    const response = await route.fetch({ headers: { ...route.request().headers(), 'sec-fetch-site': 'same-origin', 'if-none-match': '' } });
    return response.ok() ? route.fulfill({ response, json: of(await response.json()) }) : route.fulfill({ response });
  });

/** Lets the page get another list. */
const changeList = (page, name, of) => change(page, name, (body) => ({ ...body, [name]: of(body[name]), nextCursor: null }));

const times = (count, rename) => (list) => Array.from({ length: count }, (_, n) => rename(list[n % list.length], n));

test('500 agents are shown, and what that takes is noted', async () => {
  await beat('fleet', { intervalSeconds: 600, activeIssueUrls: ['https://github.com/acme/api/issues/6'], progress: 'one of very many' });
  await scene('copy-agent', { agent: 'fleet', name: 'fleet', count: 500 });
  const page = await open(browser);
  await signIn(page);
  const measured = [];
  for (let n = 0; n < 3; n += 1) {
    await page.reload();
    await page.getByRole('row').nth(500).waitFor({ state: 'attached' });
    measured.push(await page.evaluate(() => new Promise((done) => {
      // The frame after the next one shows what is in the document now.
      requestAnimationFrame(() => requestAnimationFrame(() => {
        const at = (name) => Math.round(performance.getEntriesByName(name)[0]?.startTime ?? 0);
        const answer = performance.getEntriesByType('resource').find(({ name }) => name.includes('/agents?'));
        done({ firstPaint: at('first-contentful-paint'), answered: Math.round(answer?.responseEnd ?? 0), allRows: Math.round(performance.now()) });
      }));
    })));
  }
  writeFileSync(`${OUT}/500-agents.json`, JSON.stringify(measured));
  console.log('500 agents, milliseconds since the navigation began:', JSON.stringify(measured));
  assert.ok((await page.getByRole('row').count()) > 500);
  await page.screenshot({ path: `${OUT}/500-agents.png` });
  assert.deepEqual([page.reports, page.faults], [[], []]);
});

test('1,000 repositories and 2,000 issues are shown and found', async () => {
  const page = await open(browser);
  await signIn(page);
  await changeList(page, 'repositories', times(1000, (one, n) => ({ ...one, name: `acme/service-${n}`, configuredName: `acme/service-${n}` })));
  await page.goto(`${BOARD}#/repositories`);
  await page.getByText('1,000 repositories').waitFor();
  assert.equal(await page.getByRole('row').count(), 1001);
  await page.getByLabel('Find a repository').fill('service-77');
  assert.equal(await page.getByRole('row').count(), 12);

  await changeList(page, 'issues', times(2000, (one, n) => ({ ...one, number: n + 1, url: `${one.url.replace(/\d+$/, '')}${n + 1}` })));
  await page.goto(`${BOARD}#/issues`);
  await page.getByText('2,000 issues').waitFor();
  assert.equal(await page.getByRole('row').count(), 2001);
  assert.deepEqual([page.reports, page.faults], [[], []]);
});

test('without anything the page says the next step', async () => {
  const page = await open(browser, { permissions: ['clipboard-read', 'clipboard-write'], bypassCSP: true });
  for (const name of ['agents', 'repositories', 'issues', 'passes']) await changeList(page, name, () => []);
  await signIn(page);
  await page.getByText('No agent has sent a heartbeat yet.').waitFor();
  await page.getByRole('button', { name: 'Copy' }).click();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, `curl -X POST ${BOARD.replace('/board', '')}/agents/alpha/heartbeat -H "Authorization: Bearer $TOKEN"`);
  assert.deepEqual(await barriers(page), []);
  for (const [route, text] of [['repositories', 'No repository is tracked.'], ['issues', 'No issue'], ['passes', 'No pass has changed anything']]) {
    await page.goto(`${BOARD}#/${route}`);
    await page.getByText(text).waitFor();
  }
  assert.deepEqual(page.faults, []);
});

test('an answer that cannot be read is named, and the page goes on asking', async () => {
  const page = await open(browser);
  await page.clock.install();
  await signIn(page);
  let broken = true;
  await page.route((url) => url.pathname.endsWith('/api/agents'), (route) => (broken ? route.fulfill({ json: null }) : route.fallback()));
  await page.clock.fastForward(16_000);
  await page.getByText('an answer cannot be read').first().waitFor();
  broken = false;
  await page.clock.fastForward(16_000);
  await page.getByText('an answer cannot be read').first().waitFor({ state: 'detached' });
});

test('what is kept does not grow while a page is open', async () => {
  const page = await open(browser);
  let n = 0;
  await changeList(page, 'passes', (list) => list);
  await page.route((url) => url.pathname.endsWith('/api/agents'), async (route) => {
    n += 1;
    return route.fulfill({ json: { agents: [], nextCursor: route.request().url().includes('cursor') ? null : `page-${n}` }, headers: { etag: `"${n}"` } });
  });
  await page.clock.install();
  await signIn(page);
  await page.getByText('No agent has sent').waitFor();
  const tagged = [];
  page.on('request', (request) => { if (request.headers()['if-none-match']) tagged.push(request.url()); });
  for (let polls = 0; polls < 5; polls += 1) {
    await page.clock.fastForward(16_000);
    await page.waitForTimeout(100);
  }
  assert.ok(n > 8 && tagged.every((url) => !url.includes('cursor')), 'an address of an earlier read is forgotten');
});

test('a copy that is not there, or stale, or a single agent, is said', async () => {
  const page = await open(browser);
  let shown = { lastPass: null, freshAt: null, staleAt: null, problems: [] };
  await change(page, 'status', (status) => ({ ...status, ...shown }));
  const line = page.getByRole('region', { name: 'State of the copy' });
  await signIn(page);
  await line.getByText('No pass has ended').waitFor();
  shown = { staleAt: '2026-01-01T00:00:00.000Z' };
  await page.reload();
  await line.getByText('No pass has ended since').waitFor();
  await line.getByText('Check that the schedule is on').waitFor();
  const endedAt = new Date().toISOString();
  const good = { problems: [], freshAt: endedAt, staleAt: new Date(Date.now() + 780_000).toISOString() };
  shown = { ...good, lastPass: { endedAt, status: 'ok' } };
  await page.reload();
  await line.getByText('The copy has everything that GitHub showed').waitFor();
  // Without a problem that says why, these are not current either.
  for (const doubt of [{ lastPass: { endedAt, status: 'error' } }, { freshAt: '2026-01-01T00:00:00.000Z' }]) {
    shown = { ...shown, ...good, ...doubt };
    await page.reload();
    await line.getByText('Partly current').waitFor();
  }
  await changeList(page, 'agents', (list) => list.slice(0, 1));
  await page.reload();
  await page.getByRole('link', { name: '1 agent', exact: true }).waitFor();
  assert.deepEqual(page.faults, []);
});
