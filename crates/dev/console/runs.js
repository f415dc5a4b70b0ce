// The runs of the fleet commands (`cargo ops migrate` and others), from their ledgers.

import { byId, element } from './dom.js';
import { on, store } from './store.js';
import { count, time } from './words.js';

const opened = new Set();

/** Starts the panel. */
export function start() {
  on('runs', show);
}

function show() {
  const panel = byId('runs');
  if (!store.runs.length) {
    panel.replaceChildren(element('p', { class: 'empty' }, 'There is none yet. A command such as ', element('code', {}, 'cargo ops migrate'), ' or ', element('code', {}, 'cargo dev simulate --watch'), ' that runs in this directory appears here.'));
    return;
  }
  const focused = panel.contains(document.activeElement) ? document.activeElement.closest('details')?.dataset.id : null;
  panel.replaceChildren(...store.runs.map(run));
  if (focused) panel.querySelector(`[data-id="${CSS.escape(focused)}"] summary`)?.focus();
}

function run({ id, verb, started_at: at, done = 0, failed = 0, started = 0, total, lines = [] }) {
  const under = Math.max(0, started);
  const bar = element('progress', { max: total ?? Math.max(1, done + failed + under), value: done + failed, 'aria-label': `${verb}: ${done + failed} of ${total ?? done + failed + under}` });
  return element('details', { 'data-id': id, open: opened.has(id), ontoggle: (event) => opened[event.target.open ? 'add' : 'delete'](id) },
    element('summary', {}, element('strong', {}, verb), ` ${time(at)} `, bar, ` ${count(done)} done, `, element('span', { 'data-tone': failed ? 'bad' : 'quiet' }, `${count(failed)} failed`), `, ${count(under)} under way${total ? `, of ${count(total)}` : ''}`),
    element('pre', { tabindex: '0' }, lines.map((line) => JSON.stringify(line)).join('\n')));
}
