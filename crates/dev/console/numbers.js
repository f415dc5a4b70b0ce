// How long a sign-up takes, how many calls it costs, and how the last ten minutes went.

import { byId, element, svg } from './dom.js';
import { on, store } from './store.js';
import { count, duration, plural, time } from './words.js';

const WIDTH = 400;
const HEIGHT = 130;
const FLOOR = 108;
const TOP = 18;
/** Buckets of the histogram, at least. */
const FEWEST = 8;
let drawn = '';

/** Starts the charts. */
export function start() {
  on('counts', draw);
}

function draw() {
  const { latency = [], minutes = [], outcomes = {}, calls_per_sign_up: calls } = store.counts;
  const key = JSON.stringify([latency, minutes, outcomes, calls]);
  if (key === drawn) return;
  drawn = key;
  byId('numbers').replaceChildren(latencyChart(latency), minutesChart(minutes), outcomeList(outcomes, calls));
}

/** A figure: its title, its picture, and the same in words. */
function figure(title, text, ...children) {
  return element('figure', {}, element('figcaption', {}, element('h3', {}, title), element('p', { class: 'note' }, text)), ...children);
}

function picture(label, ...children) {
  return svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label }, svg('path', { class: 'axis', d: `M0 ${FLOOR + 0.5}H${WIDTH}` }), ...children);
}

const label = (x, y, text, anchor = 'middle') => svg('text', { x, y, 'text-anchor': anchor }, text);

/** The buckets from the first to the last that is not empty, and some beside them. */
function inUse(latency) {
  const used = latency.map(([, n]) => n > 0);
  const first = Math.max(0, used.indexOf(true));
  const last = Math.max(used.lastIndexOf(true), first);
  const from = Math.max(0, Math.min(first, latency.length - FEWEST));
  return latency.slice(from, Math.max(last + 1, from + FEWEST));
}

function latencyChart(all) {
  const latency = inUse(all);
  const total = latency.reduce((sum, [, n]) => sum + n, 0);
  const most = Math.max(1, ...latency.map(([, n]) => n));
  const step = WIDTH / Math.max(1, latency.length);
  const upTo = (upper) => (upper == null ? 'longer' : upper < 100 ? `${upper} ms` : upper < 60_000 ? `${upper / 1000} s` : duration(upper));
  const bars = latency.flatMap(([upper, n], index) => {
    const height = ((FLOOR - TOP) * n) / most;
    const middle = (index + 0.5) * step;
    return [
      svg('rect', { class: 'bar ok', x: index * step + 2, y: FLOOR - height, width: Math.max(1, step - 4), height, rx: 2 }),
      n ? label(middle, FLOOR - height - 4, count(n)) : '',
      latency.length <= FEWEST || index % 2 === 0 ? label(middle, FLOOR + 15, upTo(upper)) : '',
    ];
  });
  const text = total ? `${plural(total, 'sign-up')}. Half took at most ${upTo(median(latency, total))}.` : 'No sign-up yet.';
  const words = latency.filter(([, n]) => n).map(([upper, n]) => `${count(n)} up to ${upTo(upper)}`).join(', ');
  return figure('From the sign-up to the database', text, picture(`Histogram of the time from the sign-up to the database: ${words || 'none yet'}`, ...bars));
}

function median(latency, total) {
  let seen = 0;
  for (const [upper, n] of latency) {
    seen += n;
    if (seen * 2 >= total) return upper;
  }
  return null;
}

function minutesChart(minutes) {
  const sum = (kind) => minutes.reduce((total, minute) => total + (minute[kind] ?? 0), 0);
  const most = Math.max(1, ...minutes.map(({ ok, retry, failed }) => (ok ?? 0) + (retry ?? 0) + (failed ?? 0)));
  const step = WIDTH / Math.max(10, minutes.length);
  const bars = minutes.flatMap((minute, index) => {
    let y = FLOOR;
    const x = index * step + 3;
    const parts = ['ok', 'retry', 'failed'].filter((kind) => minute[kind]).map((kind) => {
      const height = ((FLOOR - TOP) * minute[kind]) / most;
      y -= height;
      return svg('rect', { class: `bar ${kind}`, x, y, width: step - 6, height, rx: 2 });
    });
    const n = (minute.ok ?? 0) + (minute.retry ?? 0) + (minute.failed ?? 0);
    return [...parts, n ? label(x + step / 2 - 3, y - 4, count(n)) : '', index % 3 === 0 ? label(x + step / 2 - 3, FLOOR + 15, time(minute.at).slice(0, 5)) : ''];
  });
  const words = `${count(sum('ok'))} acknowledged, ${count(sum('retry'))} to be retried, ${count(sum('failed'))} failed`;
  const key = element('ul', { class: 'key' }, ...[['ok', 'acknowledged'], ['retry', 'to be retried'], ['failed', 'failed']].map(([kind, name]) => element('li', { class: kind }, name)));
  return figure('Deliveries of the last ten minutes', `${words}.`, picture(`Deliveries in each of the last ten minutes, in all ${words}`, ...bars), key);
}

function outcomeList(outcomes, calls) {
  const rows = Object.entries(outcomes).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  const most = Math.max(1, ...rows.map(([, n]) => n));
  const text = calls == null ? 'Calls to Xata and Clerk: not known yet.' : `A sign-up costs ${calls.toFixed(1)} calls to Xata and Clerk on average.`;
  return figure('Outcomes', text, element('ul', { class: 'outcomes' }, ...rows.map(([outcome, n]) => {
    const bar = element('i', { 'aria-hidden': 'true' });
    bar.style.width = `${(100 * n) / most}%`;
    return element('li', {}, element('span', {}, outcome), bar, element('b', {}, count(n)));
  })));
}
