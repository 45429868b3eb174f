import { median } from './summary.mjs';

const BYTES_PER_MB = 2 ** 20;
/** The share of the samples that is warm-up. */
const WARM_SHARE = 0.25;

/**
 * What a growth may be and still be noise: the larger of the two.
 * @typedef {object} Allowance
 * @property {number} bytes
 * @property {number} share of what there is
 */

/** @type {Readonly<Record<'heapUsed' | 'rss', Allowance>>} */
export const ALLOWED = {
  // After a collection little is left to chance.
  heapUsed: { bytes: 3 * BYTES_PER_MB, share: 0.08 },
  // What the allocator keeps comes and goes.
  rss: { bytes: 16 * BYTES_PER_MB, share: 0.15 },
};

/**
 * How much samples, taken at equal distances, grow from the end of the warm-up to the last: the median slope of all pairs, which
 * no single sample bends.
 * @param {readonly number[]} samples
 * @returns {number} 0 when there are too few
 */
export function growthOf(samples) {
  const warm = samples.slice(Math.ceil(samples.length * WARM_SHARE));
  if (warm.length < 3) return 0;
  const slopes = warm.flatMap((from, i) => warm.slice(i + 1).map((to, j) => (to - from) / (j + 1)));
  return median(slopes) * (warm.length - 1);
}

/**
 * Whether samples grow by more than is allowed.
 * @param {readonly number[]} samples
 * @param {Allowance} allowance
 */
export function grows(samples, { bytes, share }) {
  return growthOf(samples) > Math.max(bytes, share * median(samples));
}
