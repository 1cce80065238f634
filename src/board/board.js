// The board: a client of the reading API. A page is a function from what was read to a tree of elements (`h`), and
// `patch` changes only what differs in the document. Texts become text nodes and are never parsed as HTML.

// ---- Elements ----

const SVG = 'http://www.w3.org/2000/svg';

/** An element: its tag, attributes (`on…` are listeners, `key` finds it again) and children. */
const h = (tag, attributes, ...children) => ({ tag, attributes: attributes ?? {}, children: children.flat(Infinity) });

function create(wanted, parent) {
  if (typeof wanted !== 'object') return document.createTextNode(wanted);
  const isSvg = wanted.tag === 'svg' || parent.namespaceURI === SVG;
  const node = isSvg ? document.createElementNS(SVG, wanted.tag) : document.createElement(wanted.tag);
  node.board = {};
  update(node, wanted);
  return node;
}

function update(node, { attributes, children }) {
  const before = node.board;
  for (const name of Object.keys(before)) if (!(name in attributes)) set(node, name, null);
  for (const [name, value] of Object.entries(attributes)) if (before[name] !== value) set(node, name, value);
  node.board = attributes;
  patch(node, children);
}

function set(node, name, value) {
  if (name === 'key') return;
  if (name.startsWith('on') || name === 'value' || name === 'selected') node[name] = value;
  else if (!value) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? '' : value);
}

/** Makes the children of a node the wanted ones, and reuses those that are there. */
function patch(parent, wanted) {
  const keyed = new Map();
  const keys = new Set(wanted.map((child) => child?.attributes?.key));
  for (const node of [...parent.childNodes]) {
    const key = node.board?.key;
    // At first, so that the others need not move: what moves loses focus and selection.
    if (!keys.has(key)) node.remove();
    else if (key !== undefined) keyed.set(key, node);
  }
  let place = parent.firstChild;
  for (const child of wanted) {
    if (!child) continue;
    const key = child.attributes?.key;
    let node = key === undefined ? place : keyed.get(key);
    keyed.delete(key);
    if (typeof child !== 'object') {
      if (node?.nodeType === Node.TEXT_NODE) { if (node.data !== String(child)) node.data = child; } else node = create(child, parent);
    } else if (node?.board && node.board.key === key && node.localName === child.tag) update(node, child);
    else node = create(child, parent);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

// ---- The API ----

/** The address of the API, behind whatever stage or base path the page was found. */
const API = location.origin + location.pathname.replace(/\/board\/*$/, '');

/** The server's clock minus this machine's, in ms: all times are the server's. */
let clockOffset = 0;
const now = () => Date.now() + clockOffset;

/** What was last read from each address, with its tag, and which addresses the page needs. */
const known = new Map();
const needed = new Set();

/** Why a request has no answer: an HTTP status, or 0. */
const refusal = (status, detail, retryAfter) => Object.assign(new Error(detail), { status, retryAfter });

async function request(path, options) {
  let response;
  try {
    response = await fetch(API + path, { cache: 'no-store', signal: AbortSignal.timeout(35_000), ...options });
  } catch {
    throw refusal(0, 'the service does not answer');
  }
  const date = Date.parse(response.headers.get('date'));
  // A date has whole seconds.
  if (date && Math.abs(date + 500 - now()) > 1500) clockOffset = date + 500 - Date.now();
  if (response.ok || response.status === 304) return response;
  const problem = await response.json().catch(() => ({}));
  const detail = problem.detail ?? `the service answered ${response.status}`;
  throw refusal(response.status, detail, Number(response.headers.get('retry-after')));
}

async function read(path) {
  const mine = turn;
  needed.add(path);
  const before = known.get(path);
  const response = await request(path, { headers: before ? { 'If-None-Match': before.tag } : {} });
  if (response.status === 304) return before.body;
  const body = await response.json().catch(() => { throw refusal(0, 'the answer was cut off'); });
  if (mine === turn) known.set(path, { tag: response.headers.get('etag'), body });
  return body;
}

/** Reads at most this many pages of a list. */
async function readPages(path, name, pages) {
  let page = await read(path);
  const list = { ...page, [name]: [...page[name]] };
  for (let n = 1; n < pages && page.nextCursor; n += 1) {
    page = await read(`${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(page.nextCursor)}`);
    list[name].push(...page[name]);
    list.nextCursor = page.nextCursor;
  }
  return list;
}

const query = (parameters) => {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return given.length ? `?${new URLSearchParams(given)}` : '';
};

// ---- Texts ----

const TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const DAY_TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
const FULL = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' });
const HOUR = 3_600_000;

function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

/** A time that somebody chose, exactly. */
const exact = (seconds) => (seconds % 60 ? `${seconds} s` : seconds % 3600 ? `${seconds / 60} min` : `${seconds / 3600} h`);

const time = (instant, text) => h('time', { datetime: instant, title: FULL.format(Date.parse(instant)) }, text);

const ago = (instant) => {
  const age = now() - Date.parse(instant);
  return time(instant, age < 5000 ? 'just now' : `${span(age)} ago`);
};
const at = (instant) => {
  const when = Date.parse(instant);
  return time(instant, (Math.abs(now() - when) < 18 * HOUR ? TIME : DAY_TIME).format(when));
};

const counted = (n, one, many = `${one}s`) => `${n.toLocaleString('en-GB')} ${n === 1 ? one : many}`;

/** The first few of a list, and how many more there are. */
const few = (list, show = (one) => one) =>
  [list.slice(0, 4).map((one, n) => [n && ', ', show(one)]), list.length > 4 && ` and ${list.length - 4} more`];

const reading = () => note(board.failure ? '' : 'Reading…');
const note = (text) => h('p', { class: 'faint' }, text);
const faint = (...children) => h('span', { class: 'faint' }, children);
const strong = (text) => h('strong', null, text);
const code = (text) => h('code', null, text);
const agoOrNever = (instant) => (instant ? ago(instant) : faint('not yet'));

/** A sentence in which `backticks` enclose code. */
const sentence = (text) => text.split('`').map((part, n) => (n % 2 ? code(part) : part));

/** Words of other people, in their own direction. */
const foreign = (text) => h('bdi', null, text);

const button = (text, onclick) => h('button', { type: 'button', onclick }, text);
const link = (href, text) => h('a', { href }, text);

const command = (line) =>
  h('div', { class: 'command' }, code(line),
    button('Copy', (event) => copy(event.currentTarget, line)));

async function copy(button, line) {
  await navigator.clipboard.writeText(line).then(() => say('Copied'), () => getSelection().selectAllChildren(button.previousSibling));
}

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A link to GitHub, or the text alone if it leads elsewhere. */
function github(url, text) {
  const web = board.data?.status.githubServerUrl;
  const isThere = web && typeof url === 'string' && url.startsWith(`${web}/`) && /^https?:/.test(url);
  return isThere ? h('a', { href: url, rel: 'noreferrer', target: '_blank' }, text) : h('span', null, text);
}

/** `acme/api#1` for an issue's page. */
function issueName(url) {
  const parts = /([^/]+\/[^/]+)\/issues\/(\d+)$/.exec(url ?? '');
  return parts ? `${parts[1]}#${parts[2]}` : url ?? 'an issue of an untracked repository';
}

/** A word with a shape, so that colour is not needed. */
const badge = (kind, shape, word) =>
  h('span', { class: `badge ${kind}` }, h('span', { 'aria-hidden': 'true' }, shape), ` ${word}`);

const bad = (word) => badge('bad', '■', word);
const warn = (word) => badge('warn', '◆', word);

const STATES = {
  down: ['bad', '■', 'down'],
  late: ['warn', '◐', 'late'],
  up: ['good', '●', 'up'],
  unwatched: ['faint', '○', 'unwatched'],
  new: ['faint', '+', 'new'],
  left: ['faint', '–', 'left'],
};
const WORK = {
  ignores_stop: ['bad', '▲', 'ignores stop'],
  stalled: ['warn', '▬', 'stalled'],
};
const VERDICTS = { go: ['good', '●', 'go'], check: ['warn', '◆', 'check'], stop: ['bad', '■', 'stop'] };
const STATUSES = {
  ok: ['good', '●', 'ok'], warning: ['warn', '◆', 'warning'], error: ['bad', '■', 'error'],
  running: ['faint', '○', 'running'], died: ['bad', '■', 'died'],
};
const REPOSITORY_STATES = {
  failing: ['bad', '■', 'failing'],
  drifted: ['warn', '◆', 'drifted'],
  catching_up: ['warn', '◐', 'catching up'],
  backfilling: ['warn', '◐', 'first listing'],
  waiting: ['faint', '○', 'waiting'],
  in_sync: ['good', '●', 'in sync'],
};
/** The badge for a word of the API; a word of a later version is shown as it is. */
const badgeOf = (all, word) => badge(...(all[word] ?? ['faint', '○', word]));

// ---- Charts ----

const SMALL = { width: 96, height: 22, className: 'small' };
const LARGE = { width: 480, height: 60, className: 'large' };

/** Bars, one an hour, the last one for this hour: `{value, kind}`, or null for an hour without any. */
function bars(hours, label, { width, height, className }) {
  const step = width / 24;
  const top = Math.max(1, ...hours.map((hour) => hour?.value ?? 0));
  const shapes = {};
  hours.forEach((hour, n) => {
    const high = hour?.value ? Math.max(2, (hour.value / top) * height) : 1;
    const kind = hour?.value ? hour.kind : 'none';
    shapes[kind] = `${shapes[kind] ?? ''}M${(n * step).toFixed(1)} ${height}v${(-high).toFixed(1)}h${(step * 0.75).toFixed(1)}v${high.toFixed(1)}z`;
  });
  return h('svg', { class: `bars ${className}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img' },
    h('title', null, label),
    Object.entries(shapes).map(([kind, d]) => h('path', { key: kind, class: kind, d })));
}

const hourOf = (instant) => Math.floor(Date.parse(instant) / HOUR);

/** An agent's heartbeats in each of the last 24 hours, the oldest first. */
function lastDay({ heartbeatsPerHour: beats }) {
  const hours = Array(24).fill(0);
  if (beats) {
    const behind = Math.max(0, Math.floor(now() / HOUR) - hourOf(beats.lastHour));
    beats.counts.forEach((count, n) => { if (n - behind >= 0) hours[n - behind] = count; });
  }
  return hours;
}

function beatText(hours) {
  const total = hours.reduce((sum, count) => sum + count, 0);
  const silent = hours.filter((count) => !count).length;
  if (!total) return 'none in the last 24 hours';
  return `${total}${hours.some((count) => count > 34) ? ' or more' : ''} in the last 24 hours, ${hours[23]} in this hour, ${counted(silent, 'hour')} without any`;
}

const beatsOf = (hours) => hours.map((value) => ({ value, kind: 'beat' }));

function beatBars(agent) {
  const hours = lastDay(agent);
  return bars(beatsOf(hours), `Heartbeats: ${beatText(hours)}`, SMALL);
}

const AXIS = h('div', { class: 'axis', 'aria-hidden': 'true' }, ['24 h ago', '12 h ago', 'now'].map((text) => h('span', null, text)));

/** A large chart under its text, which is also its alternative. */
const chart = (title, text, hours) =>
  h('figure', null, h('figcaption', null, strong(title), ` ${text}`), bars(hours, `${title}: ${text}`, LARGE), AXIS);

/** Passes per hour by their worst outcome, and how old the copy became. */
function passCharts({ hours }) {
  const last = Math.floor(now() / HOUR);
  const day = Array.from({ length: 24 }, (_, n) => hours.find(({ hour }) => hourOf(hour) === last - 23 + n));
  const found = day.filter(Boolean);
  const total = found.reduce((sum, { passes: n }) => sum + n, 0);
  const poor = found.filter(({ worstStatus }) => worstStatus !== 'ok').length;
  return h('div', { class: 'charts' },
    chart('Passes per hour', `${counted(total, 'pass', 'passes')}${found.some(({ passes: n }) => n > 430) ? ' or more' : ''} in the last 24 hours, ${poor ? `${counted(poor, 'hour')} with problems` : 'no problems'} (green ok, amber warning, red error)`,
      day.map((hour) => hour && { value: hour.passes, kind: hour.worstStatus })),
    chart('Greatest age of the copy', `in each of the last 24 hours, at most ${span(1000 * Math.max(0, ...found.map(({ maxAgeSeconds }) => maxAgeSeconds ?? 0)))}`,
      day.map((hour) => hour && { value: hour.maxAgeSeconds ?? 0, kind: 'age' })));
}

// ---- Problems ----

const wayOut = (words) => words && [strong('What to do: '), sentence(words.wayOut)];

/** A problem, and the way out. */
function problem({ code: kind, severity, repository, owners, message, retryable }) {
  const of = repository ?? (owners?.length ? owners.join(', ') : null);
  return h('li', { key: `${kind} ${of}` },
    h('p', null, badgeOf(STATUSES, severity), ' ', of && strong(`${of}: `), sentence(message)),
    h('p', { class: 'faint' }, wayOut(board.words?.get(kind)), retryable && ' The next passes try again by themselves.'),
    kind === 'audit_held' && command(`make confirm-audit REPOSITORY=${repository}`));
}

const problems = (list) => list.length && h('ul', { class: 'problems' }, list.map(problem));

const folded = (list, text) => list.length && h('details', null, h('summary', null, text), problems(list));

/** The first line: can the copy be relied on, and if not, since when, why, and what to do. */
function firstLine({ status }) {
  const { lastPass, freshAt, staleAt } = status;
  const [ended, fresh, stale] = [lastPass?.endedAt, freshAt, staleAt].map(Date.parse);
  let kind = 'good';
  let line;
  if (!lastPass) {
    kind = 'warn';
    line = [badge('warn', '○', 'No copy yet'), ' No pass has ended, so nothing was read from GitHub. A heartbeat runs the first one:',
      command(heartbeatLine('alpha'))];
  } else if (stale <= now()) {
    kind = 'bad';
    line = [bad('Not current'), ' No pass has ended since ', at(lastPass.endedAt), ' (', ago(lastPass.endedAt), '). ',
      ...(freshAt ? ['The copy is as of ', at(freshAt), '.'] : ['The copy was never complete.']), ' Check that the schedule is on and succeeds; any heartbeat runs a pass.'];
  } else if (status.problems.length || lastPass.status !== 'ok' || !(ended - fresh < stale - ended)) {
    kind = status.problems.some(({ severity }) => severity === 'error') ? 'bad' : 'warn';
    line = [badge(kind, '◆', freshAt ? 'Partly current' : 'Incomplete'),
      freshAt ? [' Complete up to ', at(freshAt), ' (', ago(freshAt), '). Later changes may be missing.'] : ' Not every repository has been read yet.', ' ', link('#/repositories', 'See which')];
  } else {
    line = [badge('good', '●', 'Current'), ' The copy has everything that GitHub showed ', ago(freshAt), '.'];
  }
  return h('section', { key: 'copy', class: `first ${kind}`, 'aria-label': 'State of the copy' },
    h('div', { class: 'line' }, line),
    problems(status.problems.slice(0, 3)),
    folded(status.problems.slice(3), `${counted(status.problems.length - 3, 'more problem')}`),
    status.holds.map(({ pattern, since, why }) => h('div', { class: 'line', key: `hold ${pattern}` },
      bad('On hold'), ' ', code(pattern), ' must stop everything since ', at(since), ': ', foreign(why),
      faint(' Release: ', code(`make release AGENT=${shell(pattern)}`)))));
}

const heartbeatLine = (agent) =>
  `curl -X POST ${API}/agents/${agent}/heartbeat -H "Authorization: Bearer $TOKEN"`;

// ---- Tables that become cards ----

/** A table. `columns` are `[heading, cell]`; on a narrow page each row is a card. */
const table = (caption, columns, rows, keyOf) =>
  h('table', { role: 'table' }, h('caption', { class: 'hidden' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(([heading]) => h('th', { role: 'columnheader', scope: 'col' }, heading)))),
    h('tbody', { role: 'rowgroup' }, rows.map((row) => h('tr', { role: 'row', key: keyOf(row) },
      columns.map(([heading, cell]) => h('td', { role: 'cell', 'data-heading': heading }, h('div', null, cell(row))))))));

const empty = (text, ...more) => h('div', { class: 'empty' }, h('p', null, text), more);

const more = (list) => list.nextCursor && h('p', null, button('Show more', () => { board.pages += 1; refresh(); }));

// ---- Agents ----

const worst = (agent) => [
  agent.state === 'down', agent.work === 'ignores_stop', agent.state === 'late', agent.stopSince !== null, agent.work === 'stalled', agent.hold !== null,
  agent.isQuiet, agent.state === 'up', agent.state === 'unwatched', agent.state === 'new', true,
].indexOf(true);

/** Which agents work on each issue. */
function workers(agents) {
  const of = new Map();
  for (const agent of agents) for (const { url } of agent.activeIssues) if (url && agent.state !== 'left') of.set(url, [...(of.get(url) ?? []), agent.name]);
  return of;
}

const agentLink = (name) => link(`#/agents/${name}`, name);

function agentBadges(agent) {
  return [badgeOf(STATES, agent.state), WORK[agent.work] && [' ', badgeOf(WORK, agent.work)],
    agent.isQuiet && [' ', badge('warn', '◌', 'quiet')],
    agent.hold && [' ', bad('on hold')]];
}

function promise({ watch, state }) {
  if (!watch) return state === 'unwatched' && faint('nothing');
  const left = Date.parse(watch.dueAt) - now();
  return [`every ${exact(watch.intervalSeconds)}, `, faint(left > 0 ? ['due ', time(watch.dueAt, `in ${span(left)}`)] : ['was due ', ago(watch.dueAt)])];
}

const issueChips = (agent, of) => agent.activeIssues.map(({ url, verdict }, n) => {
  const others = (of?.get(url) ?? []).filter((name) => name !== agent.name);
  return h('div', { key: url ?? n, class: 'chip' }, badgeOf(VERDICTS, agent.hold ? 'stop' : verdict), ' ', github(url, issueName(url)),
    others.length && h('span', { class: 'badge warn' }, h('span', { 'aria-hidden': 'true' }, '⚑ '), 'also ', few(others, agentLink)));
});

const agents = {
  title: 'Agents',
  load: async () => ({ agents: (await readPages('/agents?limit=500', 'agents', 20)).agents }),
  view({ agents: all }, { parameters }) {
    if (!all.length) {
      return empty('No agent has sent a heartbeat yet. The first one creates the agent:', command(heartbeatLine('alpha')));
    }
    const of = workers(all);
    const counts = new Map();
    const groups = (agent) => [agent.state, WORK[agent.work] && agent.work, agent.isQuiet && 'quiet', agent.hold && 'on hold'].filter(Boolean);
    for (const agent of all) for (const group of groups(agent)) counts.set(group, (counts.get(group) ?? 0) + 1);
    const wanted = (parameters.q ?? '').trim().toLowerCase();
    const shown = all.filter((agent) => (!parameters.state || groups(agent).includes(parameters.state))
      && (!wanted || agent.name.toLowerCase().includes(wanted) || agent.activeIssues.some(({ url }) => issueName(url).toLowerCase().includes(wanted))));
    shown.sort((one, other) => worst(one) - worst(other) || (one.name < other.name ? -1 : 1));
    const filter = (group, text) => h('a', { key: group, class: 'filter', href: `#/agents${query({ ...parameters, state: group })}`, 'aria-current': (parameters.state ?? '') === group ? 'true' : null }, text);
    return [
      h('div', { class: 'filters' },
        filter('', counted(all.length, 'agent')),
        ['down', 'ignores_stop', 'late', 'stalled', 'on hold', 'quiet', 'up', 'unwatched', 'new', 'left'].filter((group) => counts.has(group) || parameters.state === group)
          .map((group) => filter(group, `${counts.get(group) ?? 0} ${group.replace('_', ' ')}`)),
        search('Find an agent or an issue', 'q')),
      shown.length ? table('Agents, the worst first', [
        ['State', agentBadges],
        ['Agent', (agent) => agentLink(agent.name)],
        ['Last heartbeat', (agent) => agoOrNever(agent.lastHeartbeatAt)],
        ['Promised', promise],
        ['Last 24 hours', (agent) => beatBars(agent)],
        ['Works on', (agent) => issueChips(agent, of)],
        ['Progress', (agent) => agent.progress && [foreign(agent.progress), ' ', agent.progressAt && faint(ago(agent.progressAt))]],
      ], shown, (agent) => agent.name)
        : empty('No agent matches.', link('#/agents', 'Show all')),
    ];
  },
};

/** Why an agent is in its state, in a sentence. */
function why(agent) {
  const { state, watch, lastHeartbeatAt: last } = agent;
  const every = watch && `Promised a heartbeat every ${exact(watch.intervalSeconds)}`;
  switch (state) {
    case 'new': return ['A token names this agent, and it has sent no heartbeat yet:', command(heartbeatLine(agent.name))];
    case 'up': return [`${every}. The last one came `, ago(last), ', the next is due at ', at(watch.dueAt), '.'];
    case 'late': return [`${every}, silent since `, at(last), '. It was due at ', at(watch.dueAt),
      ...(Date.parse(watch.downAt) > now() ? [' and is down at ', at(watch.downAt), '.'] : [', but the service could not hear it all the time.'])];
    case 'down': return [`${every}, silent since `, at(last), ', down since ', at(watch.downAt), '.'];
    case 'left': return ['It said that it leaves, or has been silent for very long. The last heartbeat came ', ago(last), '.'];
    default: return ['It has promised no interval, so nobody is alerted if it goes silent. ', 'The last heartbeat came ', ago(last), '.'];
  }
}

function whyWork(agent) {
  if (agent.work === 'ignores_stop') return ['Each heartbeat since ', at(agent.stopSince), ' got the answer stop, and the agent still works on that issue.'];
  if (agent.work === 'stalled') return ['Neither its progress nor its issues have changed since ', at(agent.progressAt), '.'];
  return null;
}

const fact = (name, ...value) => [h('dt', null, name), h('dd', null, value)];

const agent = {
  load: async ({ name }, pages) => {
    const path = `/agents/${name}`;
    const [one, runs] = await Promise.all([read(path), readPages(`${path}/runs?limit=50`, 'runs', pages)]);
    return { agent: one, runs };
  },
  view({ agent: one, runs }) {
    return [
      h('p', null, agentBadges(one), ' ', why(one)),
      whyWork(one) && h('p', null, whyWork(one)),
      one.hold && h('p', null, 'An operator holds ', code(one.hold.pattern), ' since ', at(one.hold.since), ': ', foreign(one.hold.why)),
      h('dl', null,
        fact('Works on', one.activeIssues.length ? issueChips(one) : 'nothing'),
        one.progress && fact('Progress', foreign(one.progress), ' ', one.progressAt && ago(one.progressAt)),
        one.watch && fact('Grace', exact(one.watch.graceSeconds)),
        one.lastStatus && fact('Last status', badgeOf(STATUSES, one.lastStatus)),
        one.login && fact('Login', foreign(one.login)),
        one.client && fact('Client', foreign(one.client)),
        one.tokenFingerprint && fact('Token fingerprint', code(one.tokenFingerprint))),
      chart('Heartbeats per hour', beatText(lastDay(one)), beatsOf(lastDay(one))),
      h('h2', null, 'Runs'),
      runs.runs.length ? table('Runs, the newest first', [
        ['Status', ({ status }) => badgeOf(STATUSES, status)],
        ['Started', ({ startedAt }) => ago(startedAt)],
        ['Summary', (run) => [run.summary, lines(run)]],
      ], runs.runs, ({ runId }) => runId) : empty('No run is recorded, or all have expired.'),
      more(runs),
    ];
  },
};

function lines({ warnings, errors, touchedIssueUrls, touchedCount, stopIssueUrls }) {
  const problemLines = [...errors, ...warnings];
  const heading = [problemLines.length && counted(problemLines.length, 'problem'), touchedCount && counted(touchedCount, 'issue'), stopIssueUrls.length && `${stopIssueUrls.length} to stop`].filter(Boolean);
  return heading.length && h('details', null, h('summary', null, heading.join(', ')),
    h('ul', null, problemLines.map((line, n) => h('li', { key: `p${n}` }, sentence(line))),
      stopIssueUrls.map((url) => h('li', { key: `s${url}` }, badgeOf(VERDICTS, 'stop'), ' ', github(url, issueName(url)))),
      touchedIssueUrls.map((url) => h('li', { key: url }, github(url, issueName(url))))));
}

// ---- Repositories ----

const repositoryRank = ({ state, auditOnHold }) => (auditOnHold ? 0 : Object.keys(REPOSITORY_STATES).indexOf(state) + 1);

function repositoryTrouble({ name, failure, auditOnHold, unreadIssues }) {
  const words = failure && board.words?.get(failure.code);
  return [
    failure && h('div', null, code(failure.code), failure.since && [' since ', at(failure.since)], words && [': ', sentence(words.meaning), '. ', wayOut(words)]),
    auditOnHold && h('div', null, bad('audit on hold'), ` ${auditOnHold.absent} of ${auditOnHold.of} open issues are missing from GitHub's listing. Nothing was removed. If they are really gone:`,
      command(`make confirm-audit REPOSITORY=${name}`)),
    unreadIssues.length && h('div', null, `Cannot be read: ${unreadIssues.map((number) => `#${number}`).join(', ')}`),
  ];
}

const repositories = {
  title: 'Repositories',
  load: async () => ({ repositories: (await readPages('/repositories?limit=200', 'repositories', 20)).repositories }),
  view({ repositories: all, status }, { parameters }) {
    if (!all.length) return empty(['No repository is tracked. Name some in ', code('REPOSITORIES'), '.']);
    const wanted = (parameters.q ?? '').trim().toLowerCase();
    const shown = all.filter(({ name, configuredName }) => `${name} ${configuredName}`.toLowerCase().includes(wanted));
    shown.sort((one, other) => repositoryRank(one) - repositoryRank(other));
    return [
      h('div', { class: 'filters' }, h('span', null, counted(all.length, 'repository', 'repositories')), search('Find a repository', 'q')),
      shown.length ? table('Repositories, the worst first', [
        ['State', ({ state }) => badgeOf(REPOSITORY_STATES, state)],
        ['Repository', ({ name, configuredName }) => [github(`${status.githubServerUrl}/${name}`, name), name.toLowerCase() !== configuredName.toLowerCase() && h('div', { class: 'faint' }, `configured as ${configuredName}`)]],
        ['Open issues', ({ name, openIssues }) => link(`#/issues${query({ repository: name })}`, openIssues.toLocaleString('en-GB'))],
        ['Current as of', ({ freshAt }) => agoOrNever(freshAt)],
        ['Last audit', ({ auditedAt }) => agoOrNever(auditedAt)],
        ['What is wrong', repositoryTrouble],
      ], shown, ({ configuredName }) => configuredName)
        : empty('No repository matches.', link('#/repositories', 'Show all')),
    ];
  },
};

// ---- Issues ----

const ISSUE_FILTERS = ['repository', 'label', 'status', 'assignee', 'state'];
const ISSUE_STATUSES = ['in-progress', 'in-review', 'ready', 'backlog', 'done', 'none'];

const issueFilters = (parameters) => Object.fromEntries(ISSUE_FILTERS.map((name) => [name, parameters[name]?.trim()]));

const issues = {
  title: 'Issues',
  load: async ({ parameters }, pages) => {
    const filters = issueFilters(parameters);
    const of = query(filters);
    return { of, issues: await readPages(`/issues${query({ ...filters, limit: 200 })}`, 'issues', pages) };
  },
  view({ of, issues: list, status }, { parameters }) {
    const { incomplete, issues: shown } = list;
    const isOther = of !== query(issueFilters(parameters));
    return [
      h('div', { class: 'filters' },
        search('Repository', 'repository', 'owner/name'), search('Label', 'label'), search('Assignee', 'assignee', 'login, none or *'),
        choice('Status', 'status', ISSUE_STATUSES), choice('State', 'state', ['closed', 'all'], 'open'),
        ISSUE_FILTERS.some((name) => parameters[name]) && link('#/issues', 'Clear')),
      incomplete.length && h('p', null, warn('May lack issues'), ' of ',
        few(incomplete, ({ repository, state }) => `${repository} (${REPOSITORY_STATES[state]?.[2] ?? state})`), '. ', link('#/repositories', 'See why')),
      isOther ? reading() : shown.length ? [
        note(`${counted(shown.length, 'issue')}${list.nextCursor ? ', and there are more' : ''}`),
        table('Issues, by repository and number', [
          ['Issue', ({ url, title, repository, number }) => [github(url, foreign(title || 'without a title')), h('div', { class: 'faint' }, `${repository}#${number}`)]],
          ['Status', ({ state, status: work }) => [state === 'closed' && badge('faint', '–', 'closed'), work && [' ', h('span', { class: 'badge faint' }, work)]]],
          ['Labels', ({ labels }) => labels.map((label) => [h('span', { key: label, class: 'badge faint' }, foreign(label)), ' '])],
          ['Assignees', ({ assignees }) => few(assignees, foreign)],
          ['Changed', ({ updatedAt }) => ago(updatedAt)],
        ], shown, ({ url }) => url)]
        : empty(incomplete.length ? 'No issue that could be read matches.' : ['No issue matches. The copy is of ', agoOrNever(status.freshAt), '.']),
      !isOther && more(list),
    ];
  },
};

// ---- Passes ----

const passes = {
  title: 'Passes',
  load: async (_, pages) => ({ passes: await readPages('/passes?limit=50', 'passes', pages) }),
  view({ passes: list, status }) {
    return [
      passCharts(status),
      h('h2', null, 'Passes with changes or problems'),
      list.passes.length ? table('Passes, the newest first', [
        ['Status', ({ status: one }) => badgeOf(STATUSES, one)],
        ['Ended', ({ endedAt }) => ago(endedAt)],
        ['Took', ({ startedAt, endedAt }) => `${((Date.parse(endedAt) - Date.parse(startedAt)) / 1000).toFixed(2)} s`],
        ['Summary', (one) => [one.summary,
          one.deferred.length && h('div', { class: 'faint' }, 'Deferred: ', few(one.deferred)),
          folded(one.problems, counted(one.problems.length, 'problem'))]],
      ], list.passes, ({ passId }) => passId) : empty('No pass has changed anything or had a problem. Others leave no record.'),
      more(list),
    ];
  },
};

// ---- Filters: they are part of the address ----

const setParameter = (name, value) => {
  const { path, parameters } = board.route;
  history.replaceState(null, '', `#${path}${query({ ...parameters, [name]: value })}`);
  board.route = routeOf(location.hash);
  render();
  if (name !== 'q') {
    board.pages = 1;
    refresh();
  }
};

const search = (label, name, placeholder = '') =>
  h('label', { key: name }, `${label} `, h('input', { type: 'search', placeholder, autocomplete: 'off', value: board.route.parameters[name] ?? '',
    [name === 'q' ? 'oninput' : 'onchange']: (event) => setParameter(name, event.target.value) }));

const choice = (label, name, options, none = 'any') =>
  h('label', { key: name }, `${label} `, h('select', { onchange: (event) => setParameter(name, event.target.value) },
    [none, ...options].map((option, n) => h('option', { value: n ? option : '', selected: (board.route.parameters[name] ?? '') === (n ? option : '') }, option))));

// ---- Signing in ----

const signIn = () =>
  h('main', { class: 'sign-in' }, h('h1', null, 'agent-heartbeat'),
    h('form', { onsubmit: submit },
      h('label', { for: 'token' }, 'Token'),
      h('input', { id: 'token', type: 'password', autocomplete: 'current-password', required: true, 'aria-describedby': 'token-help', spellcheck: 'false' }),
      h('p', { id: 'token-help', class: 'faint' }, 'A token with the right ', code('read'), '. ', code('make token'), ' prints yours. It is sent once and not kept; the session lasts 12 hours.'),
      h('button', { type: 'submit', disabled: board.isSending }, board.isSending ? 'Signing in…' : 'Sign in'),
      h('p', { class: 'refused', role: 'alert' }, board.refusal)));

async function submit(event) {
  event.preventDefault();
  const input = document.getElementById('token');
  const token = input.value.trim();
  board.isSending = true;
  board.refusal = null;
  render();
  try {
    await request('/session', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token }) });
    input.value = '';
    board.isSignedIn = true;
  } catch (refused) {
    board.refusal = `Not signed in: ${refused.message}.`;
  }
  board.isSending = false;
  if (board.isSignedIn) {
    await refresh();
    if (!board.isSignedIn) board.refusal = 'Not signed in: the browser keeps no cookie of this site.';
  }
  if (!board.isSignedIn) {
    render();
    input.select();
  }
}

/** Other tabs of the board forget, too. */
const others = new BroadcastChannel('board');
others.onmessage = () => { forget(); render(); };

async function signOut() {
  forget();
  others.postMessage('');
  render();
  await request('/session', { method: 'DELETE' }).catch((refused) => {
    board.refusal = `The session may still be open in this browser: ${refused.message}.`;
    render();
  });
}

/** Removes everything that was read, from memory and from the page. */
function forget() {
  turn += 1;
  clearTimeout(timer);
  known.clear();
  Object.assign(board, { isSignedIn: false, data: null, failure: null, refusal: null });
}

// ---- What is shown ----

const PAGES = { agents, repositories, issues, passes };

/** All that the page depends on. `isSignedIn` is null until the first answer. */
const board = { isSignedIn: null, pages: 1, failures: 0 };

function routeOf(hash) {
  const [path, text = ''] = hash.replace(/^#/, '').split('?');
  const parameters = Object.fromEntries(new URLSearchParams(text));
  const [, page, name] = path.split('/');
  if (page === 'agents' && /^[A-Za-z0-9][\w.-]{0,63}$/.test(name ?? '')) return { page: agent, title: name, nav: page, path, name, parameters };
  const known = Object.hasOwn(PAGES, page) ? page : 'agents';
  return { page: PAGES[known], title: PAGES[known].title, nav: known, path: `/${known}`, parameters };
}

const header = () =>
  h('header', null,
    h('a', { class: 'skip', href: '#main', onclick: (event) => { event.preventDefault(); document.getElementById('main').focus(); } }, 'Skip to the content'),
    h('strong', { class: 'brand' }, 'agent-heartbeat'),
    h('nav', { 'aria-label': 'Pages' }, Object.entries(PAGES).map(([name, page]) => h('a', { key: name, href: `#/${name}`, 'aria-current': board.route.nav === name ? 'page' : null }, page.title))),
    button('Sign out', signOut));

function failureLine() {
  if (!board.failure) return null;
  const { status, message } = board.failure;
  return h('section', { key: 'failure', class: 'first bad' }, bad(status >= 400 && status < 500 ? 'Refused' : 'No answer'), ` ${message}. `,
    board.asOf && ['Shown as of ', at(board.asOf), '. '], `Next try in ${span(board.retryAt - Date.now())}. `, button('Try now', refresh));
}

function page() {
  const { route, data } = board;
  const down = data?.agents?.filter(({ state }) => state === 'down').length;
  document.title = `${down ? `(${down} down) ` : ''}${route.title} · agent-heartbeat`;
  return [
    header(),
    failureLine(),
    data && firstLine(data),
    h('main', { id: 'main', tabindex: '-1', key: route.path },
      h('h1', { tabindex: '-1' }, route.title),
      data?.missing ? empty(`${data.missing}.`, link('#/agents', 'Show all agents'))
        : data ? route.page.view(data, route) : reading()),
    h('footer', { class: 'faint' }, data && [`Version ${data.status.version}. Read `, ago(board.asOf), '.']),
  ];
}

function render() {
  const focused = document.activeElement;
  const isIn = board.isSignedIn !== false;
  patch(document.getElementById('board'), isIn ? (board.isSignedIn || board.failure ? page() : [reading()]) : [signIn()]);
  if (focused !== document.activeElement) (focused.isConnected ? focused : document.querySelector('h1'))?.focus({ preventScroll: true });
  if (!isIn && document.activeElement === document.body) document.getElementById('token').focus();
}

/** For screen readers. */
const say = (text) => { document.getElementById('live').textContent = text; };

function sayChanges(before, after) {
  const was = new Map(before?.agents?.map(({ name, state }) => [name, state]));
  const news = (state) => {
    const names = (after.agents ?? []).filter((one) => one.state === state && (was.get(one.name) ?? state) !== state).map(({ name }) => name);
    return names.length ? `${names.slice(0, 4).join(', ')} now ${state}. ` : '';
  };
  say(['down', 'late', 'up'].map(news).join(''));
}

// ---- Staying current ----

const POLL = 15_000;
let timer;
/** Counts the reads, so that a late answer to an earlier one is dropped. */
let turn = 0;

async function refresh() {
  clearTimeout(timer);
  turn += 1;
  const mine = turn;
  needed.clear();
  const { route, pages } = board;
  try {
    board.words ??= await read('/problems').then(({ problems: all }) => new Map(all.map((words) => [words.code, words])), () => null);
    const missing = (refused) => { if (refused.status === 404 || refused.status === 403) return { missing: refused.message }; throw refused; };
    // Alone at first: without a session, one request is refused and not three.
    if (!board.isSignedIn) await read('/status');
    const [status, data] = await Promise.all([read('/status'), route.page.load(route, pages).catch(missing)]);
    if (mine !== turn) return;
    sayChanges(board.data, data);
    if (board.failure) say('The service answers again.');
    for (const path of known.keys()) if (!needed.has(path)) known.delete(path);
    Object.assign(board, { isSignedIn: true, data: { status, ...data }, asOf: new Date(now()).toISOString(), failure: null, failures: 0 });
  } catch (error) {
    if (mine !== turn) return;
    const refused = error.status === undefined ? refusal(0, 'an answer cannot be read') : error;
    if (refused.status === 401 || refused.status === 403) {
      const wasIn = board.isSignedIn;
      forget();
      if (wasIn) board.refusal = `${refused.message}.`;
    } else {
      if (!board.failure) say(`No answer: ${refused.message}.`);
      Object.assign(board, { failure: refused, failures: board.failures + 1 });
    }
  }
  wait();
  render();
}

/** Plans the next read: in 15 s, when a state changes, or later while the service does not answer. */
function wait() {
  clearTimeout(timer);
  if (board.isSignedIn === false || document.hidden) return;
  let delay = POLL;
  if (board.failure) delay = Math.min(120_000, Math.max(POLL * 2 ** (board.failures - 1), (board.failure.retryAfter || 0) * 1000));
  else {
    // Not more often than every 5 s: in a large fleet some heartbeat is always due.
    const changes = (board.data?.agents ?? [board.data?.agent]).map((one) => Date.parse(one?.nextChangeAt)).filter((next) => next > now() - 2000);
    delay = Math.min(delay, Math.max(5000, Math.min(...changes) - now() + 50));
  }
  board.retryAt = Date.now() + delay;
  timer = setTimeout(refresh, delay);
}

async function navigate() {
  const before = board.route;
  board.route = routeOf(location.hash);
  const isOther = before?.path !== board.route.path;
  if (isOther) Object.assign(board, { pages: 1, data: null });
  render();
  if (isOther && before && board.isSignedIn) document.querySelector('h1').focus({ preventScroll: true });
  if (board.isSignedIn !== false) await refresh();
}

addEventListener('hashchange', navigate);
// A page from the browser's history may be of a session that has ended.
addEventListener('pageshow', ({ persisted }) => { if (persisted) { forget(); render(); location.reload(); } });
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    clearTimeout(timer);
    document.title = 'agent-heartbeat';
  } else if (board.isSignedIn !== false) refresh();
});
setInterval(() => { if (!document.hidden && board.data) render(); }, 5000);
navigate();
