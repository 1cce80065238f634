import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';

import { BOARD, OUT, barriers, beat, launch, open, pass, row, scene, signIn } from './support.mjs';

const ROUTES = { agents: '#/agents', agent: '#/agents/beta', repositories: '#/repositories', issues: '#/issues?state=all', passes: '#/passes' };
const WIDTHS = { phone: 360, laptop: 1280, wide: 3840 };
const LONG = 'a-very-long-agent-name-that-somebody-chose-for-a-nightly-job.v2';

let browser;
before(async () => {
  browser = await launch();
  mkdirSync(OUT, { recursive: true });
  await scene('open', { repository: 'acme/web', title: 'عربة التسوق تنسى الخصم بعد إعادة التحميل 🛒', labels: ['bug', 'a-label-of-the-greatest-length-that-GitHub-allows'] });
  await pass();
  await beat(LONG, { intervalSeconds: 3600, progress: 'x'.repeat(80) });
  await beat('ci-2', { intervalSeconds: 600, progress: 'مراجعة التغييرات 🚀' });
});
after(() => browser.close());

const fits = (page) => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);

for (const colorScheme of ['light', 'dark']) {
  for (const [device, width] of Object.entries(WIDTHS)) {
    test(`every page is accessible and fits: ${colorScheme}, ${device}`, async () => {
      const page = await open(browser, { viewport: { width, height: width < 500 ? 780 : 900 }, colorScheme, bypassCSP: true });
      await page.goto(BOARD);
      await page.getByLabel('Token').waitFor();
      const problems = [];
      const look = async (name) => {
        if (!(await fits(page))) problems.push(`${name}: wider than the window`);
        for (const barrier of await barriers(page)) problems.push(`${name}: ${barrier}`);
        await page.screenshot({ path: `${OUT}/${name}-${device}-${colorScheme}.png` });
      };
      await look('sign-in');
      await signIn(page);
      for (const [name, route] of Object.entries(ROUTES)) {
        await page.goto(BOARD + route);
        await page.locator('tbody tr').first().waitFor();
        await look(name);
      }
      assert.deepEqual(problems, []);
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });
  }
}

test('at 200 % zoom nothing is cut off', async () => {
  // A window of 1280 pixels at 200 % has 640 CSS pixels, two device pixels each.
  const page = await open(browser, { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2 });
  await signIn(page);
  for (const route of Object.values(ROUTES)) {
    await page.goto(BOARD + route);
    await page.locator('tbody tr').first().waitFor();
    assert.ok(await fits(page), route);
  }
});

test('the keyboard alone reaches everything', async () => {
  const page = await open(browser);
  await signIn(page);
  await row(page, LONG).waitFor();
  await page.getByRole('link', { name: 'Skip to the content' }).focus();
  const reached = ['Skip to the content'];
  for (let n = 0; n < 40; n += 1) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => document.activeElement.textContent || document.activeElement.tagName));
  }
  for (const name of ['Repositories', 'Issues', 'Passes', 'Sign out', 'INPUT']) assert.ok(reached.includes(name), `${name}: ${reached}`);
  assert.ok(reached.some((text) => /^\d+ agents$/.test(text)), 'the filters');
  assert.ok(reached.includes('fixer'), 'the agents');
  await page.goto(BOARD);
  await page.getByRole('link', { name: 'Repositories' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Repositories' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Repositories', 'the heading has the focus');
});

test('times have their instant, and pictures a text', async () => {
  const page = await open(browser);
  await signIn(page);
  const heard = row(page, LONG).locator('time').first();
  assert.ok(Math.abs(Date.parse(await heard.getAttribute('datetime')) - Date.now()) < 600_000);
  assert.match(await heard.getAttribute('title'), /\d{4}.*\d\d:\d\d:\d\d/);
  const bars = row(page, LONG).locator('svg title');
  assert.match(await bars.textContent(), /^Heartbeats: 1 in the last 24 hours, 1 in this hour, 23 hours without any$/);
  await page.goto(`${BOARD}#/passes`);
  for (const title of ['Passes per hour', 'Greatest age of the copy']) {
    assert.match(await page.locator('svg title').filter({ hasText: title }).textContent(), /in .*the last 24 hours/);
  }
});

test('nothing moves', async () => {
  const page = await open(browser, { reducedMotion: 'reduce' });
  await signIn(page);
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
});

test('filters are part of the address, and find what they say', async () => {
  const page = await open(browser);
  await signIn(page, '#/issues');
  await page.getByLabel('Repository').fill('acme/api');
  await page.getByLabel('Repository').press('Enter');
  await page.waitForURL('**#/issues?repository=acme%2Fapi');
  await page.getByText('acme/web#', { exact: false }).first().waitFor({ state: 'detached' });
  await page.getByLabel('Status').selectOption('ready');
  await page.waitForURL('**status=ready');
  await page.reload();
  await page.locator('tbody tr').first().waitFor();
  assert.equal(await page.getByLabel('Repository').inputValue(), 'acme/api');
  for (const status of await page.getByRole('row').locator('td:nth-child(2)').allTextContents()) assert.match(status, /ready/);
  await page.getByRole('link', { name: 'Clear' }).click();
  await page.getByText('acme/web#', { exact: false }).first().waitFor();
  assert.equal(await page.getByLabel('Status').inputValue(), '', 'what is chosen is what filters');
  await page.getByLabel('Repository').fill('nonsense');
  await page.getByLabel('Repository').press('Enter');
  await page.getByText(/Refused/).waitFor();
  assert.equal(await page.getByRole('row').count(), 0, 'no rows of another filter');
  await page.getByRole('link', { name: 'Clear' }).click();
  await page.getByText('acme/web#', { exact: false }).first().waitFor();
});

test('text is searched as it is typed', async () => {
  const page = await open(browser);
  await signIn(page);
  const field = page.getByLabel('Find an agent or an issue');
  await field.fill('ci-2');
  await page.keyboard.press('Home');
  await page.keyboard.type('  a');
  assert.equal(await field.inputValue(), '  aci-2');
});

test('rows keep their focus when others go', async () => {
  const page = await open(browser);
  await signIn(page);
  await row(page, LONG).getByRole('link', { name: LONG }).focus();
  const lost = await page.evaluate(() => new Promise((done) => {
    const { activeElement } = document;
    activeElement.addEventListener('blur', () => done(true));
    setTimeout(() => done(false), 1000);
    const field = document.querySelector('input');
    field.value = 'very';
    field.dispatchEvent(new Event('input'));
  }));
  assert.equal(await page.getByRole('row').count(), 2);
  assert.equal(lost, false);
});

test('any address leads to a page', async () => {
  const page = await open(browser);
  await signIn(page);
  for (const route of ['#/constructor', '#/__proto__', '#/toString', '#/agents/%00', '#/agents/..', '#/agents/%E0%A4%A', `#/agents/${'x'.repeat(65)}`, '#', '#/nowhere?state=down']) {
    await page.goto(BOARD + route);
    await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor();
  }
  await page.goto(`${BOARD.replace('/api/board', '')}//other.example/api/board`);
  await page.getByRole('heading', { level: 1, name: 'Agents' }).waitFor();
  assert.deepEqual([page.reports, page.faults], [[], []]);
});

test('an agent that does not exist is named as such', async () => {
  const page = await open(browser);
  await signIn(page, '#/agents/nobody');
  await page.getByText('this agent has never sent a heartbeat.').waitFor();
  await page.getByRole('link', { name: 'Show all agents' }).click();
  await row(page, LONG).waitFor();
  assert.deepEqual([page.reports, page.faults], [[], []]);
});
