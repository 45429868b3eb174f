/** Attributes and listeners of an element. Text is set as text: nothing that comes from clients is ever parsed as HTML. */
export interface Parts {
  readonly text?: string;
  readonly className?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly onClick?: () => unknown;
}

/** Makes an element with its children. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  parts: Parts = {},
  ...children: readonly (Node | undefined)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  if (parts.text !== undefined) made.textContent = parts.text;
  if (parts.className !== undefined) made.className = parts.className;
  for (const [key, value] of Object.entries(parts.attributes ?? {})) made.setAttribute(key, value);
  const { onClick } = parts;
  if (onClick) made.addEventListener('click', () => void onClick());
  for (const child of children) if (child) made.append(child);
  return made;
}

export function button(text: string, onClick: () => unknown, className = ''): HTMLButtonElement {
  return element('button', { text, onClick, className, attributes: { type: 'button' } });
}

/** A cell: text, or something to click. */
export type Cell = string | number | undefined | Node;

/** A table. On small screens each row is a list, whose lines are named by `data-head`. */
export function table(heads: readonly string[], rows: readonly (readonly Cell[])[], empty: string): HTMLElement {
  if (rows.length === 0) return element('p', { text: empty });
  const head = element('tr', {}, ...heads.map(text => element('th', { text, attributes: { scope: 'col' } })));
  const body = rows.map(cells =>
    element(
      'tr',
      {},
      ...cells.map((cell, i) => {
        const attributes = { 'data-head': heads[i] ?? '' };
        return cell instanceof Node
          ? element('td', { attributes }, cell)
          : element('td', { attributes, text: cell === undefined ? '' : String(cell) });
      }),
    ),
  );
  return element(
    'div',
    { className: 'table' },
    element('table', {}, element('thead', {}, head), element('tbody', {}, ...body)),
  );
}

/** An input with its label. */
export function field(
  label: string,
  name: string,
  value = '',
): { readonly root: HTMLElement; readonly input: HTMLInputElement } {
  const input = element('input', {
    attributes: { name, autocomplete: 'off', spellcheck: 'false', 'data-testid': name },
  });
  input.value = value;
  return { root: element('label', { text: label }, input), input };
}

/** The element with this id, which the page has. */
export function byId<T extends HTMLElement>(id: string): T {
  return document.querySelector(`#${id}`) as unknown as T;
}

/** Asks in a dialog of its own. Resolves with whether it was confirmed. */
export function confirmed(text: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>('confirm');
  return new Promise(resolve => {
    dialog.replaceChildren(
      element('p', { text, attributes: { id: 'confirm-text' } }),
      element(
        'div',
        { className: 'row' },
        button('Yes', () => dialog.close('yes'), 'danger'),
        button('Cancel', () => dialog.close('')),
      ),
    );
    dialog.returnValue = '';
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
    dialog.showModal();
  });
}
