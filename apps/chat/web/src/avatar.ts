import { make } from './dom.js';

/** Up to two initials of a name, from its first and its final word. */
export function initials(name: string): string {
  const parts = name.split(/[\s_.\-:/@]+/u).filter(part => part !== '');
  const spoken = parts.filter(part => /^[\p{L}\p{N}]/u.test(part));
  const words = spoken.length > 0 ? spoken : parts;
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : [words[0] ?? name.trim()];
  const letters = chosen.map(word => firstLetter(word ?? '')).join('');
  return letters === '' ? '?' : letters.toLocaleUpperCase();
}

// A letter with its accents, or an emoji with its modifiers, is one thing to a reader but several code points.
const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

function firstLetter(word: string): string {
  for (const { segment } of segmenter.segment(word)) return segment;
  return '';
}

/** The same name has the same hue everywhere, without coordination (FNV-1a). */
export function hue(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  // FNV's low bits barely differ between short names; fold the high ones in.
  return ((hash ^ (hash >>> 15)) >>> 0) % 360;
}

/** A person is round, a room is an arch. Both are decoration: the name itself always stands next to them. */
export function avatar(name: string, shape: 'round' | 'arch', size = ''): HTMLElement {
  const node = make('span', { class: `avatar ${shape} ${size}`.trim() });
  node.setAttribute('aria-hidden', 'true');
  return dressAvatar(node, name);
}

export function dressAvatar(node: HTMLElement, name: string): HTMLElement {
  node.textContent = initials(name);
  tint(node, name);
  return node;
}

/** Through the CSSOM, because the page's content security policy forbids style attributes in markup. */
export function tint(node: HTMLElement, name: string): void {
  node.style.setProperty('--hue', String(hue(name)));
}
