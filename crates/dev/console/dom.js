// Small helpers to make elements. Text of others only ever becomes text, never markup.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** A new element with attributes and children; a child that is a string becomes text. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** A new SVG element, likewise. */
export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child != null && child !== false));
  return node;
}

/** Sets the text of a node, only where it differs: a write costs a layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets an attribute, only where it differs. */
export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/**
 * The rows of a list, of which Tab reaches one; the arrow keys, Home, End and the page keys go to the others.
 * `show(nodes)` makes the rows exactly these, with as few moves as possible, and keeps the focus in the list.
 */
export function roving(list) {
  let current = null;
  const controls = (row) => [...(row?.querySelectorAll('button, input') ?? [])];
  const choose = (row) => {
    for (const control of controls(current)) control.tabIndex = -1;
    for (const control of controls(row)) control.tabIndex = 0;
    current = row;
  };
  const rowOf = (node) => [...list.children].find((row) => row.contains(node));
  list.addEventListener('focusin', (event) => choose(rowOf(event.target)));
  list.addEventListener('keydown', (event) => {
    const at = [...list.children].indexOf(current);
    const last = list.children.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last, PageDown: at + 10, PageUp: at - 10 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const column = controls(current).indexOf(event.target);
    controls(list.children[Math.max(0, Math.min(last, to))])[column]?.focus();
  });
  const show = (nodes) => {
    const hadFocus = list.contains(document.activeElement);
    const wanted = new Set(nodes);
    for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
    let next = list.firstElementChild;
    for (const node of nodes) {
      if (node === next) next = next.nextElementSibling;
      else list.insertBefore(node, next);
    }
    if (!wanted.has(current)) choose(nodes[0]);
    if (hadFocus && !list.contains(document.activeElement)) controls(current)[0]?.focus();
  };
  return { show };
}

/** Whether the reader asks for less motion. */
const motion = matchMedia('(prefers-reduced-motion: reduce)');
export const calm = () => motion.matches;
