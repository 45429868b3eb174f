/** Longest page that is made, whatever is asked for. */
const MAX_LIMIT = 10_000;

/**
 * The first `limit` items after `after`, in order. The order is that of the code units of the items, so that it is the same
 * on every gate, and stable when items are added or removed.
 */
export function pageOf(items: Iterable<string>, after: string, limit: number): string[] {
  const wanted = Math.min(limit, MAX_LIMIT);
  let page: string[] = [];
  // An item after the last one of a full page is skipped, so that most items are compared only once.
  let last: string | undefined;
  for (const item of items) {
    if (item <= after || (last !== undefined && item >= last)) continue;
    page.push(item);
    if (page.length < 2 * wanted) continue;
    page = page.sort(byCodeUnits).slice(0, wanted);
    last = page.at(-1);
  }
  return page.sort(byCodeUnits).slice(0, wanted);
}

export function byCodeUnits(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
