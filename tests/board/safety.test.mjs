import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { BOARD, SERVICE, beat, launch, open, pass, row, scene, signIn, until } from './support.mjs';

const HOSTILE = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>"\' &amp; javascript:alert(1)';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

test('words of other people stay words', async () => {
  const { number } = await scene('open', { repository: 'acme/web', title: HOSTILE, labels: ['<b>bold</b>', 'a"onclick="x'] });
  await pass();
  const progress = '<script>window.stolen=1</script><a href=javascript:1>x</a>';
  await beat('hostile', { progress, client: '<svg onload=window.stolen=1>', activeIssueUrls: [`https://github.com/acme/web/issues/${number}`] });
  const page = await open(browser);
  await signIn(page, '#/issues?repository=acme/web');
  await page.getByText(HOSTILE, { exact: true }).waitFor();
  await page.getByText('<b>bold</b>', { exact: true }).waitFor();
  await page.goto(`${BOARD}#/agents?q=hostile`);
  await row(page, 'hostile').getByText(progress, { exact: true }).waitFor();
  await row(page, 'hostile').getByRole('link', { name: 'hostile' }).click();
  await page.getByText('<svg onload=window.stolen=1>', { exact: true }).waitFor();
  const found = await page.evaluate(() => ({
    stolen: window.stolen,
    scripts: document.querySelectorAll('script:not([src="board.js"]), img, iframe, b').length,
    links: [...document.links].map(({ href }) => href).filter((href) => !href.startsWith('https://github.com/') && !href.startsWith(location.href.replace(/#.*/, '#'))),
  }));
  assert.deepEqual(found, { stolen: undefined, scripts: 0, links: [] });
  assert.deepEqual([page.reports, page.faults], [[], []]);
});

test('the policy refuses markup from text, foreign scripts and inline ones', async () => {
  const page = await open(browser);
  await signIn(page);
  const refused = await page.evaluate(async () => {
    const attempt = (what) => { try { what(); return 'done'; } catch (error) { return error.name; } };
    const results = [
      attempt(() => { document.body.innerHTML = '<p>'; }),
      attempt(() => trustedTypes.createPolicy('any', {})),
    ];
    const load = (script) => new Promise((done) => { script.onload = () => done('done'); script.onerror = () => done('refused'); document.head.append(script); });
    const foreign = document.createElement('script');
    results.push(attempt(() => { foreign.src = 'http://localhost:9/x.js'; }));
    results.push(await fetch('http://localhost:9/').then(() => 'done', (error) => error.name));
    const image = new Image();
    image.src = 'http://localhost:9/x.png';
    results.push(await load(image));
    return results;
  });
  assert.deepEqual(refused, ['TypeError', 'TypeError', 'TypeError', 'TypeError', 'refused']);
  assert.ok(page.reports.length >= 4, 'the browser reports them');
});

test('the cookie counts for reads of the page alone', async () => {
  const page = await open(browser);
  await signIn(page);
  const statuses = await page.evaluate(async (api) => {
    const status = async (path, method, body) => (await fetch(api + path, { method, body })).status;
    return [await status('/status', 'GET'), await status('/status', 'HEAD'), await status('/agents/alpha/heartbeat', 'POST', '{}')];
  }, `${SERVICE}/api`);
  assert.deepEqual(statuses, [200, 200, 401]);
  const [{ name, value }] = await page.context().cookies();
  const withCookie = (headers) => fetch(`${SERVICE}/api/status`, { headers: { Cookie: `${name}=${value}`, ...headers } });
  assert.equal((await withCookie({})).status, 401, 'a program cannot use it without what a browser sets');
  assert.equal((await withCookie({ 'Sec-Fetch-Site': 'cross-site' })).status, 401);
});

test('a page of another origin gets nothing by form, fetch or frame', async () => {
  const html = `<!doctype html><title>Other</title><body>
    <form method=post action="${SERVICE}/api/session" enctype="text/plain"><input name='{"token":"' value='x"}'></form>`;
  const server = http.createServer((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end(html));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  // Another site than 127.0.0.1.
  const other = `http://localhost:${server.address().port}`;
  const page = await open(browser);
  await signIn(page);
  const before = await page.context().cookies();
  const tab = await page.context().newPage();
  await tab.goto(other);
  const results = await tab.evaluate(async ({ service, board }) => {
    const attempt = (url, options) => fetch(url, { credentials: 'include', ...options }).then((response) => `${response.type} ${response.status}`, () => 'refused');
    const fetched = [
      await attempt(`${service}/api/status`),
      await attempt(`${service}/api/agents`, { mode: 'no-cors' }),
      await attempt(`${service}/api/session`, { method: 'POST', body: '{"token":"x"}', headers: { 'Content-Type': 'application/json' } }),
      await attempt(`${service}/api/session`, { method: 'DELETE' }),
    ];
    const frame = document.createElement('iframe');
    frame.src = board;
    const loaded = new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
    document.body.append(frame);
    await loaded;
    let inside;
    try { inside = frame.contentDocument?.body?.textContent ?? null; } catch { inside = null; }
    const script = document.createElement('script');
    script.src = `${service}/api/openapi.json`;
    const ran = await new Promise((done) => { script.onload = () => done('loaded'); script.onerror = () => done('refused'); document.body.append(script); });
    return { fetched, inside, ran };
  }, { service: SERVICE, board: BOARD });
  // API Gateway sends no CORS headers, so there the browser refuses all of these. cargo-lambda allows every origin.
  for (const result of results.fetched) assert.match(result, /^(refused|cors 401|cors 403)$/);
  assert.deepEqual({ inside: results.inside, ran: results.ran }, { inside: null, ran: 'refused' });
  await tab.evaluate(() => document.forms[0].submit());
  await until('the form was sent', () => tab.url().includes('/api/session'));
  await tab.getByText('403').first().waitFor();
  assert.deepEqual(await page.context().cookies(), before, 'no session began or ended');
  await page.getByRole('link', { name: 'Issues' }).click();
  await page.getByRole('heading', { name: 'Issues' }).waitFor();
  server.close();
  server.closeAllConnections();
});
