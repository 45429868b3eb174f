/** What the servers of these measurements share: the pushes, and their pace. */

/** As many pushes come at once, and as often, as from a busy room: 10,000 in a second. */
const BURST = 100;
const EVERY_MS = 10;
const TEXT = 'A line that a member of the room has typed, of about the usual length, with an end.';

/**
 * The body of a push.
 * @typedef {{ from: string, text: string, n: number }} Said
 */

/**
 * Calls `push` with the bodies of each burst, until there were as many as this.
 * @param {number} count
 * @param {(bodies: readonly Said[]) => unknown} push
 * @returns {() => void} stops it
 */
export function paced(count, push) {
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    // A late timer sends several bursts, each as long as the others.
    const due = Math.min(count, (Math.floor((performance.now() - startedAt) / EVERY_MS) + 1) * BURST);
    for (let first = sent + 1; first <= due; first += BURST) {
      const size = Math.min(BURST, due - first + 1);
      push(Array.from({ length: size }, (_, i) => ({ from: 'ada', text: TEXT, n: first + i })));
    }
    sent = due;
    if (sent >= count) clearInterval(timer);
  }, EVERY_MS);
  return () => clearInterval(timer);
}

/**
 * Tells the bench where a peer listens.
 * @param {import('node:http').Server} server
 * @param {string} path
 */
export function listen(server, path) {
  server.listen(0, '127.0.0.1', () => {
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
    process.stdout.write(`listening on ${port} ${path}\n`);
  });
}
