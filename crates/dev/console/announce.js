// What a screen reader hears: new deliveries and their outcomes, at most one announcement every three seconds.

import { byId } from './dom.js';
import { count, describe, phase, plural, regionName, title } from './words.js';
import { rowListeners } from './store.js';

const EVERY_MS = 3000;
let news = [];
let timer = null;

/** Follows the rows from now on. */
export function start() {
  rowListeners.push((row, before) => {
    const isOutcome = phase(row) !== 'waiting' && (!before || phase(before) === 'waiting');
    const isRetry = row.next_at != null && before?.next_at !== row.next_at && row.attempts > 0;
    if (!before || isOutcome || isRetry) say(row, !before);
  });
}

function say(row, isNew) {
  news.push({ row, isNew });
  timer ??= setTimeout(speak, 500);
}

function speak() {
  const latest = new Map(news.map(({ row }) => [row.id, row]));
  byId('announcer').textContent = latest.size <= 2 ? [...latest.values()].map(one).join(' ') : many(latest);
  news = [];
  timer = setTimeout(() => {
    timer = null;
    if (news.length) speak();
  }, EVERY_MS);
}

function one(row) {
  const { words, waits } = describe(row);
  const place = row.region ? ` in ${regionName(row.region)}` : '';
  return waits ? `${title(row)}: ${row.http_status ?? 'no answer'}, Hookdeck will retry.` : `${title(row)}: ${words}${place}.`;
}

function many(latest) {
  const isNew = new Set(news.filter((each) => each.isNew).map((each) => each.row.id)).size;
  const phases = { done: 0, waiting: 0, failed: 0 };
  for (const row of latest.values()) phases[phase(row)] += 1;
  const parts = Object.entries(phases).filter(([, n]) => n).map(([word, n]) => `${count(n)} ${word}`);
  return `${isNew ? `${plural(isNew, 'new delivery', 'new deliveries')}. ` : ''}${parts.join(', ')}.`;
}
