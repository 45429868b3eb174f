/**
 * One client in a process of its own: `driver.mjs <adapter> <host>`. It does what its parent asks for in messages, and reports each time
 * that it is online.
 */
/** @typedef {import('./contenders.mjs').Line} Line */

const [adapter, host] = process.argv.slice(2);
/** @type {{ open: (host: string, events: import('./contenders.mjs').Events) => Line }} */
const { open } = await import(`./adapters/${adapter}.mjs`);
/** How long anything may take that is asked for here, in milliseconds. */
const PATIENCE_MS = 60_000;

/** @param {object} message */
const tell = message => process.send?.(message);

/**
 * @template T
 * @param {string} what
 * @param {(resolve: (value: T) => void) => void} start
 * @returns {Promise<T>}
 */
function within(what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${adapter}: ${what} takes too long`)), PATIENCE_MS);
    start(value => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** Milliseconds from the call that connects to the first `online`. The first of all compiles the code, and is not among them. */
async function connects(/** @type {number} */ count) {
  const times = [];
  for (let i = 0; i <= count; i++) {
    const startedAt = performance.now();
    /** @type {Line | undefined} */
    let line;
    await within('to connect', online => {
      line = open(host, { online: () => online(undefined), said: () => undefined });
    });
    if (i > 0) times.push(performance.now() - startedAt);
    line?.close();
  }
  return times;
}

/** CPU of this process for a number of pushes, in microseconds, after others that warm it up. */
async function pushes(/** @type {number} */ count, /** @type {number} */ warm) {
  let last = 0;
  let due = 0;
  /** @type {(value: unknown) => void} */
  let done = () => undefined;
  /** @type {Line | undefined} */
  let line;
  await within('to connect', online => {
    line = open(host, {
      online: () => online(undefined),
      said({ n }) {
        if (n !== ++last) throw new Error(`${adapter}: push ${n} comes as number ${last}`);
        if (n === due) done(undefined);
      },
    });
  });
  /** @param {number} n */
  const receive = async n => {
    [last, due] = [0, n];
    await within('the pushes', resolve => {
      done = resolve;
      line?.push(n);
    });
  };
  await receive(warm);
  const before = process.cpuUsage();
  await receive(count);
  const { user, system } = process.cpuUsage(before);
  line?.close();
  return user + system;
}

process.on('message', async (/** @type {{ what: string, count: number, warm: number }} */ { what, count, warm }) => {
  try {
    if (what === 'connects') tell({ result: await connects(count) });
    else if (what === 'pushes') tell({ result: await pushes(count, warm) });
    else if (what === 'stay') open(host, { online: () => tell({ online: true }), said: () => undefined });
  } catch (error) {
    tell({ error: String(error) });
  }
});
tell({ ready: true });
