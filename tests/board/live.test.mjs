import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Front, beat, invokeSchedule, launch, later, open, pass, read, row, scene, signIn, silence, until } from './support.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const issue = (number, repository = 'acme/api') => `https://github.com/${repository}/issues/${number}`;

/** When a value becomes the wanted one, in milliseconds since 1970. */
async function becomes(what, value, wanted) {
  await until(`${what} is ${wanted}`, async () => (await value()) === wanted);
  return Date.now();
}

test('an agent becomes late and down in the page at the second at which the API says so', async () => {
  await invokeSchedule({});
  await scene('date-back', { pk: 'FLEET', sk: 'WATCH', field: 'since', seconds: 3600 });
  await beat('punctual', { intervalSeconds: 30, graceSeconds: 6 });
  await silence('punctual', 23);
  const page = await open(browser);
  await signIn(page, '#/agents?q=punctual');
  await row(page, 'punctual').getByText('up').waitFor();
  const shown = async () => (await row(page, 'punctual').locator('.badge').first().textContent()).slice(2);
  const said = async () => (await read('/agents/punctual')).state;
  for (const state of ['late', 'down']) {
    const [inPage, inApi] = await Promise.all([becomes('the page', shown, state), becomes('the API', said, state)]);
    assert.ok(Math.abs(inPage - inApi) < 1500, `${state}: ${inPage - inApi} ms apart`);
  }
  assert.match(await page.locator('#live').textContent(), /punctual now down/);
  assert.match(await page.title(), /^\(\d+ down\) /);
  await page.getByRole('link', { name: 'punctual' }).click();
  await page.getByText(/Promised a heartbeat every 30 s, silent since \d\d:\d\d:\d\d, down since/).waitFor();
  assert.deepEqual([page.reports, page.faults], [[], []]);
});

test('rows change in place: scroll, focus, filter and open details stay', async () => {
  await beat('closer', { intervalSeconds: 300, activeIssueUrls: [issue(2)], progress: 'at work' });
  const page = await open(browser, { viewport: { width: 900, height: 400 } });
  await page.clock.install();
  await signIn(page, '#/agents');
  await page.getByLabel('Find an agent or an issue').fill('c');
  const closer = row(page, 'closer');
  await closer.getByText('go').waitFor();
  await closer.getByRole('link', { name: 'closer' }).focus();
  await page.evaluate(() => scrollTo(0, 150));
  const before = await page.evaluate(() => ({ y: scrollY, row: document.activeElement.closest('tr') !== null }));
  await page.evaluate(() => { window.rowBefore = document.activeElement.closest('tr'); });
  await scene('close', { repository: 'acme/api', number: 2 });
  await pass();
  await beat('closer');
  await page.clock.fastForward(16_000);
  await closer.getByText('stop').waitFor();
  const now = await page.evaluate(() => ({ y: scrollY, row: document.activeElement.closest('tr') === window.rowBefore }));
  assert.deepEqual(now, { y: before.y, row: true }, 'the row is the same element, and has the focus');
  assert.equal(await page.getByLabel('Find an agent or an issue').inputValue(), 'c');

  await page.goto(page.url().replace(/#.*/, '#/passes'));
  const details = page.locator('details').first();
  await details.locator('summary').click();
  await scene('close', { repository: 'acme/web', number: 2 });
  await pass();
  const rows = await page.getByRole('row').count();
  await page.clock.fastForward(16_000);
  await until('another pass', async () => (await page.getByRole('row').count()) > rows);
  const opened = await page.locator('details[open]').count();
  assert.ok(opened >= 1, 'what was open is open');
  assert.deepEqual([page.reports, page.faults], [[], []]);
});

test('a fleet in which a heartbeat is always due is not read more often than every 5 s', async () => {
  const front = await new Front('').start();
  for (let n = 0; n < 20; n += 1) {
    await beat(`due-${n}`, { intervalSeconds: 300 });
    await silence(`due-${n}`, 295 - n);
  }
  const page = await open(browser);
  await page.clock.install();
  await signIn(page, '#/agents', front.board);
  const asked = () => front.requests.filter((url) => url.startsWith('/api/agents')).length;
  const before = asked();
  for (let n = 0; n < 20; n += 1) {
    await page.clock.fastForward(1000);
    await later(100);
  }
  assert.ok(asked() - before <= 5, `${asked() - before} reads in 20 s`);
  await page.close();
  await front.stop();
});

test('an agent that the service could not hear is not down yet, and the page says so', async () => {
  await beat('unheard', { intervalSeconds: 30, graceSeconds: 60 });
  await silence('unheard', 200);
  // The item says since when agents could be heard: since now.
  const heardFor = (Date.now() - Date.parse((await scene('item', { pk: 'FLEET', sk: 'WATCH' })).since)) / 1000;
  await scene('date-back', { pk: 'FLEET', sk: 'WATCH', field: 'since', seconds: -Math.floor(heardFor) });
  const page = await open(browser);
  await signIn(page, '#/agents/unheard');
  const { watch, state } = await read('/agents/unheard');
  assert.equal(state, 'late');
  assert.ok(Date.parse(watch.downAt) > Date.now());
  await page.getByText(/It was due at .* and is down at/).waitFor();
  await scene('date-back', { pk: 'FLEET', sk: 'WATCH', field: 'since', seconds: Math.floor(heardFor) });
});

test('two agents on one issue are marked', async () => {
  for (const agent of ['twin-1', 'twin-2']) await beat(agent, { activeIssueUrls: [issue(6)] });
  const page = await open(browser);
  await signIn(page, '#/agents?q=twin');
  await row(page, 'twin-1').getByText('also twin-2').waitFor();
  await row(page, 'twin-2').getByText('also twin-1').waitFor();
});

test('a hold appears with its reason and the way to release it', async () => {
  await beat('held-1', { activeIssueUrls: [issue(6)] });
  await invokeSchedule({ hold: 'held-*', why: 'a <b>freeze</b>' });
  const page = await open(browser);
  await signIn(page, '#/agents?q=held-1');
  await page.getByText('held-* must stop everything since').waitFor();
  await page.getByText('a <b>freeze</b>').first().waitFor();
  await page.getByText("make release AGENT='held-*'").waitFor();
  await row(page, 'held-1').getByText('on hold').waitFor();
  await row(page, 'held-1').getByText('■ stop').waitFor();
  await invokeSchedule({ release: 'held-*' });
  await page.reload();
  await row(page, 'held-1').waitFor();
  assert.equal(await page.getByText('must stop everything').count(), 0);
});

test('the first line says what failed, since when and what to do', async () => {
  await pass();
  const page = await open(browser);
  await signIn(page);
  const line = page.getByRole('region', { name: 'State of the copy' });
  await line.getByText('Partly current').waitFor();
  await line.getByText('acme/legacy:').waitFor();
  await line.getByText('issues are disabled in this repository (410)').waitFor();
  const { problems } = await read('/problems');
  const { wayOut } = problems.find(({ code }) => code === 'issues_disabled');
  await line.getByText(wayOut.replaceAll('`', '')).waitFor();
});

test('an audit on hold says what is missing, and how to confirm it', async () => {
  const many = { repository: 'acme/docs', count: 25 };
  const { last } = await scene('open-many', many);
  await pass();
  await scene('delete-many', { ...many, last });
  const { id } = await read('/repositories/acme/docs');
  await scene('date-back', { pk: 'FLEET', sk: `REPO#${id}`, field: 'auditedAt', seconds: 86_400 });
  await until('the audit is on hold', async () => {
    await pass();
    return (await read('/repositories/acme/docs')).auditOnHold;
  }, 60);
  const page = await open(browser);
  await signIn(page, '#/repositories');
  const line = page.getByRole('region', { name: 'State of the copy' });
  await line.getByText(/audit on hold: \d+ of \d+ cached open issues/).waitFor();
  await line.getByText('make confirm-audit REPOSITORY=acme/docs').waitFor();
  await page.getByRole('row').nth(1).getByText('audit on hold').waitFor();
  const confirmed = await invokeSchedule({ confirmAudit: 'acme/docs' });
  assert.ok(confirmed, 'the schedule answers');
});

test('a service that does not answer is named, nothing vanishes, and the page recovers', async () => {
  const front = await new Front('').start();
  const page = await open(browser);
  await page.clock.install();
  await signIn(page, '#/agents', front.board);
  const rows = await page.getByRole('row').count();
  assert.ok(rows > 3);
  await front.stop();
  await page.clock.fastForward(16_000);
  await page.getByText('the service does not answer').first().waitFor();
  await page.getByText(/Shown as of \d\d:\d\d/).waitFor();
  assert.equal(await page.getByRole('row').count(), rows, 'the rows stay');
  await page.clock.fastForward(16_000);
  await page.getByText(/Next try in \d+ s/).waitFor();
  await front.start();
  await page.clock.fastForward(130_000);
  await page.getByText('the service does not answer').first().waitFor({ state: 'detached' });
  assert.equal(await page.locator('#live').textContent(), 'The service answers again.');
  assert.ok((await page.getByRole('row').count()) >= rows);

  // A hidden tab asks nothing, and asks at once when it is shown again.
  const hide = (isHidden) => page.evaluate((is) => {
    Object.defineProperty(document, 'hidden', { value: is, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, isHidden);
  await hide(true);
  await later(300);
  const asked = front.requests.length;
  await page.clock.fastForward(600_000);
  await later(300);
  assert.equal(front.requests.length, asked);
  await hide(false);
  await until('it asks again', () => front.requests.length > asked);
  await page.close();
  await front.stop();
});
