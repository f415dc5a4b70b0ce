// Dialogs: the focus stays inside, Escape closes, and the focus returns to where it was.

import { byId } from './dom.js';

const FOCUSABLE = 'button, input, select, textarea, a[href], summary, [tabindex="0"]';

/** Prepares a dialog: its close buttons, and Tab that goes round. */
export function prepare(dialog) {
  for (const button of dialog.querySelectorAll('[data-close]')) button.addEventListener('click', () => dialog.close());
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener('keydown', (event) => {
    if (event.key !== 'Tab') return;
    const all = [...dialog.querySelectorAll(FOCUSABLE)].filter((each) => !each.disabled && each.checkVisibility());
    const [from, to] = event.shiftKey ? [all[0], all.at(-1)] : [all.at(-1), all[0]];
    if (document.activeElement === from || !dialog.contains(document.activeElement)) {
      event.preventDefault();
      to?.focus();
    }
  });
}

/** Opens a dialog, and gives the focus back when it closes. */
export function open(dialog, back = document.activeElement) {
  if (dialog.open) return;
  dialog.showModal();
  dialog.addEventListener('close', () => back?.isConnected && back.focus(), { once: true });
}

/** Asks; true where the reader agrees. */
export function confirm(text, verb) {
  const dialog = byId('confirm');
  byId('confirm-text').textContent = text;
  const yes = byId('confirm-yes');
  yes.textContent = verb;
  return new Promise((resolve) => {
    let agreed = false;
    const agree = () => {
      agreed = true;
      dialog.close();
    };
    yes.addEventListener('click', agree);
    dialog.addEventListener('close', () => {
      yes.removeEventListener('click', agree);
      resolve(agreed);
    }, { once: true });
    open(dialog);
  });
}
