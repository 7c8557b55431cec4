// "Check the connection": every way to the server is tried, the best is measured, and what it means is said in plain
// words with what to do.

import { h, keyed, setText, sheet } from '../dom.js';
import { t } from '../i18n/checkup.js';
import { openDialog } from '../menu.js';
import { toast } from '../notices.js';
import { preferences } from '../preferences.js';
import { PATHS, pathsOf } from '../checkup/paths.js';
import { Probe } from '../checkup/probe.js';
import { bestOf, findingsOf } from '../checkup/verdict.js';
import { wordsFor } from './form.js';

/** @typedef {import('../checkup/paths.js').Path} Path */
/** @typedef {import('../checkup/paths.js').PathId} PathId */
/** @typedef {import('../checkup/verdict.js').Outcome} Outcome */
/** @typedef {import('../checkup/verdict.js').Measured} Measured */
/** @typedef {import('../checkup/verdict.js').Finding} Finding */

/**
 * What is known so far.
 * @typedef {object} Check
 * @property {Map<PathId, Outcome>} outcomes in order of preference
 * @property {Map<PathId, number>} trips milliseconds
 * @property {Measured | null} measured
 * @property {Finding[]} findings
 * @property {string} where the server's UDP addresses
 */

/**
 * @param {import('../main.js').App} app
 * @param {import('../checkup/probe.js').Place} place
 */
export async function openCheckup(app, place) {
  await sheet('checkup');
  const step = h('p', { class: 'quiet', role: 'status' });
  const rows = h('tbody', null);
  const table = h('table', { class: 'checkup-table' }, h('caption', null, t('checkup.paths')), rows);
  const numbers = h('tbody', null);
  const caption = h('caption', null);
  const measured = h('table', { class: 'checkup-table', hidden: true }, caption, numbers);
  const findings = h('div', { class: 'checkup-findings', 'aria-live': 'polite' });
  const again = h('button', { type: 'button', class: 'button', data: { action: 'checkup-again' } }, t('checkup.again'));
  const copy = h('button', { type: 'button', class: 'button primary', data: { action: 'checkup-copy' } }, t('checkup.copy'));
  const report = h('textarea', { class: 'input checkup-report', readonly: true, rows: 8, hidden: true, 'aria-label': t('checkup.report') });
  const body = h('div', { class: 'form' }, h('p', { class: 'quiet' }, t('checkup.text')), step, findings, table, measured, report, h('div', { class: 'row ends' }, again, copy));
  const dialog = openDialog(t('checkup.title'), body);
  dialog.dataset.dialog = 'checkup';

  let stopping = new AbortController();
  dialog.addEventListener('close', () => stopping.abort());

  /** @param {Check} check */
  const draw = (check) => {
    keyed(rows, [...PATHS], {
      key: (id) => id,
      create: (id) => h('tr', { data: { path: id } }, h('th', { scope: 'row' }, t(`checkup.path.${id}`)), h('td', null)),
      update: (row, id) => {
        const outcome = check.outcomes.get(id) ?? 'trying';
        row.dataset.outcome = outcome;
        const trip = check.trips.get(id);
        const words = t(`checkup.outcome.${outcome}`);
        setText(/** @type {Element} */ (row.lastElementChild), trip === undefined ? words : `${words}, ${millis(trip)}`);
      },
    });
    const best = bestOf(check.outcomes);
    measured.hidden = check.measured === null;
    if (check.measured && best) {
      setText(caption, t('checkup.numbers', { path: t(`checkup.path.${best}`) }));
      keyed(numbers, numberRows(check.measured), {
        key: ([key]) => key,
        create: ([key]) => h('tr', { data: { number: key } }, h('th', { scope: 'row' }), h('td', null)),
        update: (row, [, label, value]) => {
          setText(/** @type {Element} */ (row.firstElementChild), label);
          setText(/** @type {Element} */ (row.lastElementChild), value);
        },
      });
    }
    findings.replaceChildren(...check.findings.map((finding) => h('p', { class: `note ${finding.level}`, data: { finding: finding.key } }, wordsOf(finding, check))));
  };

  /** @type {Check} */
  let check = fresh();
  const run = async () => {
    stopping.abort();
    stopping = new AbortController();
    const { signal } = stopping;
    check = fresh();
    again.disabled = true;
    copy.disabled = true;
    report.hidden = true;
    draw(check);
    const tell = (/** @type {'asking' | 'connecting' | 'measuring'} */ now) => {
      setText(step, t(`checkup.${now}`));
      draw(check);
    };
    try {
      await examine(app, place, check, tell, signal);
      if (signal.aborted) return;
      setText(step, t('checkup.done'));
    } catch (error) {
      if (signal.aborted) return;
      setText(step, t('checkup.failed', { why: wordsFor(error) }));
    }
    draw(check);
    dialog.dataset.state = 'done';
    again.disabled = false;
    copy.disabled = check.findings.length === 0;
  };
  again.addEventListener('click', () => {
    delete dialog.dataset.state;
    void run();
  });
  copy.addEventListener('click', async () => {
    report.value = reportOf(app, check);
    try {
      await navigator.clipboard.writeText(report.value);
      toast(t('checkup.copied'));
    } catch {
      // No clipboard without https or permission: it is shown, so that it can be copied by hand.
      report.hidden = false;
      report.select();
    }
  });
  await run();
}

/** @returns {Check} */
const fresh = () => ({ outcomes: new Map(), trips: new Map(), measured: null, findings: [], where: '' });

/**
 * @param {import('../main.js').App} app
 * @param {import('../checkup/probe.js').Place} place
 * @param {Check} check filled in as it goes
 * @param {(now: 'asking' | 'connecting' | 'measuring') => void} tell
 * @param {AbortSignal} signal
 */
async function examine(app, place, check, tell, signal) {
  tell('asking');
  if (!app.api.user) await app.api.becomeSomebody(preferences().name || t('checkup.guest'));
  const asking = new Probe(app.api, place, null, { isWhole: false }, signal);
  const [sdp, { ice_servers: iceServers }] = await Promise.all([asking.begin(), app.api.iceServers(place.slug)]);
  asking.close();
  const paths = pathsOf(sdp, iceServers);
  check.where = paths.filter(({ id, where }) => id.startsWith('udp') && where).map(({ where }) => where).join(', ');
  tell('connecting');
  /** @type {Map<PathId, Outcome>} */
  const outcomes = new Map();
  await Promise.all(paths.map(async (path) => {
    outcomes.set(path.id, path.isOffered ? await attempt(app, place, path, check, signal) : 'not_offered');
    // In order of preference, whichever was first.
    check.outcomes = new Map(PATHS.flatMap((id) => { const outcome = outcomes.get(id); return outcome ? [[id, outcome]] : []; }));
    tell('connecting');
  }));
  const best = paths.find(({ id }) => id === bestOf(check.outcomes));
  if (best && !signal.aborted) {
    tell('measuring');
    const probe = new Probe(app.api, place, best, { isWhole: true }, signal);
    await probe.begin();
    if (await probe.isConnected()) check.measured = await probe.measure();
    probe.close();
  }
  check.findings = findingsOf(check.outcomes, check.measured);
}

/**
 * @param {import('../main.js').App} app
 * @param {import('../checkup/probe.js').Place} place
 * @param {Path} path
 * @param {Check} check
 * @param {AbortSignal} signal
 * @returns {Promise<Outcome>}
 */
async function attempt(app, place, path, check, signal) {
  const probe = new Probe(app.api, place, path, { isWhole: false }, signal);
  try {
    await probe.begin();
    if (!(await probe.isConnected())) return 'blocked';
    const trip = await probe.roundTripMs();
    if (trip !== null) check.trips.set(path.id, trip);
    return 'works';
  } finally {
    probe.close();
  }
}

/**
 * @param {Measured} m
 * @returns {[key: string, label: string, value: string][]}
 */
function numberRows(m) {
  return [
    ['trip', t('checkup.trip'), m.rttMs === null ? t('checkup.unknown') : millis(m.rttMs)],
    ['jitter', t('checkup.jitter'), millis(m.jitterMs)],
    ['loss_up', t('checkup.loss_up'), percent(m.lossUp)],
    ['loss_down', t('checkup.loss_down'), percent(m.lossDown)],
    ['up', t('checkup.up'), rate(m.upBps)],
    ['down', t('checkup.down'), rate(m.downBps)],
    ['large', t('checkup.large'), t(m.largeLost > 0.3 ? 'checkup.large.lost' : 'checkup.large.ok')],
  ];
}

/**
 * @param {Finding} finding
 * @param {Check} check
 */
function wordsOf({ key }, { measured, where }) {
  const loss = Math.round(Math.max(measured?.lossUp ?? 0, measured?.lossDown ?? 0) * 100);
  return t(`checkup.find.${key}`, {
    where,
    loss,
    trip: Math.round(measured?.rttMs ?? 0),
    jitter: Math.round(measured?.jitterMs ?? 0),
    up: rate(measured?.upBps ?? 0),
    down: rate(measured?.downBps ?? 0),
  });
}

/**
 * What can be sent to whoever runs the server: nothing in it opens anything.
 * @param {import('../main.js').App} app
 * @param {Check} check
 */
function reportOf(app, check) {
  const best = bestOf(check.outcomes);
  const lines = [
    `${t('checkup.title')}: ${location.host}, Veche ${app.config.version}, ${new Date().toISOString()}`,
    navigator.userAgent,
    '',
    ...[...check.outcomes].map(([id, outcome]) => {
      const trip = check.trips.get(id);
      return `${t(`checkup.path.${id}`)}: ${t(`checkup.outcome.${outcome}`)}${trip === undefined ? '' : `, ${millis(trip)}`}`;
    }),
    '',
    ...(check.measured && best ? [t('checkup.numbers', { path: t(`checkup.path.${best}`) }), ...numberRows(check.measured).map(([, label, value]) => `${label}: ${value}`), ''] : []),
    ...check.findings.map((finding) => `- ${wordsOf(finding, check)}`),
  ];
  return lines.join('\n');
}

/** @param {number} ms */
const millis = (ms) => t('checkup.ms', { n: Math.round(ms) });
/** @param {number} part */
const percent = (part) => t('checkup.percent', { n: Math.round(part * 1000) / 10 });
/** @param {number} bps */
const rate = (bps) => (bps < 1_000_000 ? t('checkup.kbps', { n: Math.round(bps / 1000) }) : t('checkup.mbps', { n: Math.round(bps / 100_000) / 10 }));
