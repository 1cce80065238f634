import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { BOARD, Front, VIEWER_TOKEN, AGENT_TOKEN, SERVICE, launch, later, open, scene, signIn, until } from './support.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const form = (page) => page.getByLabel('Token');

test('a wrong token is refused with the reason, and a right one leads to the page that was asked for', async () => {
  const page = await open(browser);
  await page.goto(`${BOARD}#/passes`);
  await form(page).fill('a-wrong-token-not-a-secret-0123456789');
  await page.keyboard.press('Enter');
  await page.getByText('Not signed in: this token is not valid: check that it is complete').waitFor();
  await page.getByLabel('Token').fill(VIEWER_TOKEN);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Passes' }).waitFor();
  await page.getByText('Passes per hour', { exact: true }).waitFor();
  assert.equal(new URL(page.url()).hash, '#/passes');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1', 'a screen reader starts at the heading');

  const [cookie, ...others] = await page.context().cookies();
  assert.deepEqual(others, []);
  const { name, httpOnly, secure, sameSite, path } = cookie;
  assert.deepEqual({ name, httpOnly, secure, sameSite, path }, { name: '__Host-board', httpOnly: true, secure: true, sameSite: 'Strict', path: '/' });
  assert.ok(Math.abs(cookie.expires - Date.now() / 1000 - 12 * 3600) < 120, 'it lasts 12 hours');
  const kept = await page.evaluate(() => JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.href, document.documentElement.outerHTML]));
  assert.ok(!kept.includes(VIEWER_TOKEN) && !cookie.value.includes(VIEWER_TOKEN), 'the page keeps no token');
  assert.ok(!kept.includes(cookie.value), 'the page cannot read the cookie');
  assert.deepEqual([page.reports, page.faults], [[], []]);
});

test('a token without the right to read is refused with the way out', async () => {
  const page = await open(browser);
  await page.goto(BOARD);
  await form(page).fill('local-release-token-not-a-secret-012345678');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('this token may not read the fleet').waitFor();
  assert.deepEqual(await page.context().cookies(), []);
});

test('after signing out nothing is left, and Back shows nothing', async () => {
  const page = await open(browser);
  await signIn(page, '#/agents');
  await page.getByRole('row').first().waitFor();
  await page.getByRole('link', { name: 'Issues' }).click();
  await page.getByRole('heading', { name: 'Issues' }).waitFor();
  const text = () => page.evaluate(() => document.body.textContent);
  await until('issues', async () => (await text()).includes('acme/'));
  const other = await page.context().newPage();
  await other.goto(`${BOARD}#/agents`);
  await other.getByRole('row').first().waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await form(page).waitFor();
  await form(other).waitFor();
  assert.ok(!(await other.evaluate(() => document.body.textContent)).includes('nightly'), 'the other tab forgets, too');
  await other.close();
  await until('the cookie is removed', async () => (await page.context().cookies()).length === 0);
  assert.ok(!(await text()).includes('acme/'), 'nothing that was read is in the page');
  await page.goBack();
  await later(300);
  assert.ok(!(await text()).includes('acme/') && (await form(page).isVisible()));
  await page.reload();
  await form(page).waitFor();
  assert.ok(!(await text()).includes('acme/'));
});

test('the page works under a base path and with a slash at the end', async () => {
  const front = await new Front('/heartbeat/v1').start();
  for (const slash of ['', '/']) {
    const page = await open(browser);
    await signIn(page, '#/repositories', front.board + slash);
    await page.getByRole('cell', { name: 'acme/api' }).waitFor();
    assert.deepEqual([page.reports, page.faults], [[], []]);
    await page.context().close();
  }
  await front.stop();
});

test('the session ends with its token, and the page keeps its route', async () => {
  const page = await open(browser);
  await signIn(page, '#/issues?state=all');
  await scene('remove-viewer');
  try {
    // A refused token lets the service read the secret again, at most every few seconds.
    await until('the service has read the secret', async () => {
      await fetch(`${SERVICE}/api/status`, { headers: { Authorization: 'Bearer a-wrong-token-not-a-secret-0123456789' } });
      return (await fetch(`${SERVICE}/api/status`, { headers: { Authorization: `Bearer ${VIEWER_TOKEN}` } })).status === 401;
    }, 70);
    await until('the page asks for a token', () => form(page).isVisible());
    await page.getByText('the session has ended; sign in again.').waitFor();
    assert.equal(new URL(page.url()).hash, '#/issues?state=all');
    assert.ok(!(await page.evaluate(() => document.body.textContent)).includes('acme/'));
  } finally {
    await scene('add-viewer');
  }
  await page.getByLabel('Token').fill(AGENT_TOKEN);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Issues' }).waitFor();
});
