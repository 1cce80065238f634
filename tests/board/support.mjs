// What the tests of the board share: a browser, the running service (`make board` starts it), and the world around it.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';

const variable = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is required: run \`make board\``);
  return value;
};

const require = createRequire(`${variable('BOARD_TOOLS')}/package.json`);
const { chromium } = require('playwright-core');
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const SERVICE = variable('SERVICE_URL');
export const BOARD = `${SERVICE}/api/board`;
export const AGENT_TOKEN = variable('AGENT_TOKEN');
export const VIEWER_TOKEN = variable('VIEWER_TOKEN');

/** Starts the browser. Chromium's sandbox needs a user other than root. */
export const launch = () =>
  chromium.launch({ executablePath: variable('CHROMIUM'), args: process.getuid() === 0 ? ['--no-sandbox'] : [] });

/** A page of its own session. Its `reports` are the violations of the board's policy, its `faults` uncaught errors. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.reports = [];
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  await page.exposeFunction('reportViolation', (text) => page.reports.push(text));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  return page;
}

export async function signIn(page, route = '', board = BOARD) {
  await page.goto(`${board}${route}`);
  await page.getByLabel('Token').fill(VIEWER_TOKEN);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).waitFor();
  await page.getByText('Reading…').waitFor({ state: 'detached' });
  // Otherwise each failure takes half a minute.
  page.setDefaultTimeout(10_000);
}

/** The row of an agent in the list of agents. */
export const row = (page, agent) => page.getByRole('row').filter({ has: page.getByRole('link', { name: agent, exact: true }) });

async function json(response) {
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Sends a heartbeat. */
export const beat = (agent, body = {}) =>
  fetch(`${SERVICE}/api/agents/${agent}/heartbeat`, { method: 'POST', headers: { Authorization: `Bearer ${AGENT_TOKEN}` }, body: JSON.stringify(body) }).then(json);

/** Sends heartbeats until one of them runs a pass: a pass serves heartbeats for some seconds. */
export async function pass() {
  for (;;) {
    const answer = await beat('passer');
    if (!answer.coalesced) return answer;
    await later(300);
  }
}

/** Reads as the viewer, without the board. */
export const read = (path) => fetch(`${SERVICE}/api${path}`, { headers: { Authorization: `Bearer ${VIEWER_TOKEN}` } }).then(json);

/** Changes the world: see tests/test-world/src/demo/scenes.rs. */
export const scene = (name, given = {}) =>
  fetch(`${variable('SCENES_URL')}/${name}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(given) }).then(json);

/** Lets an agent's last heartbeat be that much earlier. */
export const silence = (agent, seconds) => scene('date-back', { pk: 'AGENTS', sk: agent, field: 'lastBeatAt', seconds });

/** Invokes the schedule function. */
export const invokeSchedule = (event) =>
  fetch(`http://127.0.0.1:${variable('INVOKE_PORT')}/2015-03-31/functions/schedule/invocations`, { method: 'POST', body: JSON.stringify(event) }).then(json);

export const later = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Waits until a condition holds, and returns its value. */
export async function until(what, condition, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await later(50);
  }
}

/** Mistakes that keep people out, as axe finds them. The page needs `bypassCSP`. */
export async function barriers(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  return serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html).join(' ')}`);
}

/** A server in front of the service, under a base path, as a custom domain has one. It can stop and return. */
export class Front {
  constructor(base) {
    this.base = base;
    this.requests = [];
  }

  async start() {
    this.server = http.createServer((request, response) => this.pass(request, response));
    await new Promise((done) => this.server.listen(this.port ?? 0, '127.0.0.1', done));
    this.port = this.server.address().port;
    this.board = `http://127.0.0.1:${this.port}${this.base}/api/board`;
    return this;
  }

  async stop() {
    const closed = new Promise((done) => this.server.close(done));
    this.server.closeAllConnections();
    await closed;
  }

  pass(request, response) {
    this.requests.push(request.url);
    const target = new URL(SERVICE);
    const path = target.pathname + request.url;
    const options = { host: target.hostname, port: target.port, path, method: request.method, headers: request.headers };
    const onward = http.request(options, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  }
}

/** Where pictures and measurements go. */
export const OUT = variable('BOARD_OUT');
