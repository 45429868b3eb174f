/** An element the page's own HTML promises to have. */
export function pick<T extends HTMLElement>(id: string, type: new () => T): T {
  const node = document.getElementById(id);
  if (!(node instanceof type)) throw new Error(`#${id} is missing from the page`);
  return node;
}

interface Traits {
  class?: string;
  /** Always set as text: whatever a person has typed can never become markup. */
  text?: string;
  testId?: string;
  /** For what people typed: lets a right-to-left name be one without turning its neighbours around. */
  typed?: boolean;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  traits: Traits = {},
  ...children: Node[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  if (traits.class !== undefined) node.className = traits.class;
  if (traits.text !== undefined) node.textContent = traits.text;
  if (traits.testId !== undefined) node.dataset['testid'] = traits.testId;
  if (traits.typed === true) node.dir = 'auto';
  node.append(...children);
  return node;
}

export function setText(node: Element | null | undefined, text: string): void {
  // Writing the same text again would make a live region repeat itself.
  if (node !== null && node !== undefined && node.textContent !== text) node.textContent = text;
}

interface ListPlan<T> {
  key(item: T): string;
  create(item: T): HTMLElement;
  update(node: HTMLElement, item: T): void;
}

/** Brings a list's children in line with `items`, keeping the nodes that stay: focus and hover live on them. */
export function syncList<T>(list: HTMLElement, items: readonly T[], plan: ListPlan<T>): void {
  const before = new Map<string, HTMLElement>();
  for (const child of list.children) {
    if (child instanceof HTMLElement) before.set(child.dataset['key'] ?? '', child);
  }
  let cursor = list.firstElementChild;
  for (const item of items) {
    const key = plan.key(item);
    let node = before.get(key);
    before.delete(key);
    if (node === undefined) {
      node = plan.create(item);
      node.dataset['key'] = key;
    }
    plan.update(node, item);
    if (node === cursor) cursor = cursor.nextElementSibling;
    else list.insertBefore(node, cursor);
  }
  for (const node of before.values()) node.remove();
}

/** Touch screens answer a focused field with a keyboard over half the page, so there focus is the user's choice. */
export function focusIfKeyboard(node: HTMLElement): void {
  if (window.matchMedia('(hover: hover) and (pointer: fine)').matches) node.focus();
}
