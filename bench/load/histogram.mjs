/** Steps per power of two: a value is known to 0.8 %. */
const STEPS = 128;
const STEP_BITS = 7;
/** Values are kept in tenths of a microsecond. */
const UNITS_PER_MS = 10_000;
const MAX_UNITS = 2 ** 31 - 1;

/** @param {number} units */
function bucketOf(units) {
  if (units < STEPS) return units;
  const exponent = 31 - Math.clz32(units);
  return (exponent - STEP_BITS + 1) * STEPS + ((units >> (exponent - STEP_BITS)) & (STEPS - 1));
}

/** @param {number} bucket */
function unitsOf(bucket) {
  if (bucket < STEPS) return bucket;
  const shift = Math.floor(bucket / STEPS) - 1;
  return (STEPS + (bucket % STEPS) + 0.5) * 2 ** shift;
}

/** Latencies, counted in buckets that grow with the value. */
export class Histogram {
  constructor() {
    this.counts = new Uint32Array(26 * STEPS);
    this.total = 0;
  }

  /** @param {number} ms */
  add(ms) {
    const units = ms * UNITS_PER_MS;
    this.counts[bucketOf(units > MAX_UNITS ? MAX_UNITS : units > 0 ? units | 0 : 0)]++;
    this.total++;
  }

  clear() {
    this.counts.fill(0);
    this.total = 0;
  }

  /**
   * The latency that a share of all do not exceed, in milliseconds; 0 when there are none.
   * @param {number} share 0 to 1
   */
  quantile(share) {
    const wanted = share * this.total;
    let seen = 0;
    for (let bucket = 0; bucket < this.counts.length; bucket++) {
      seen += this.counts[bucket];
      if (seen > 0 && seen >= wanted) return unitsOf(bucket) / UNITS_PER_MS;
    }
    return 0;
  }

  /** As pairs of bucket and count, to be sent to another process. */
  toPairs() {
    /** @type {[number, number][]} */
    const pairs = [];
    for (let bucket = 0; bucket < this.counts.length; bucket++) {
      if (this.counts[bucket] > 0) pairs.push([bucket, this.counts[bucket]]);
    }
    return pairs;
  }

  /** @param {readonly (readonly [number, number])[]} pairs */
  addPairs(pairs) {
    for (const [bucket, count] of pairs) {
      this.counts[bucket] += count;
      this.total += count;
    }
  }
}
