import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { GatewayCluster } from './support/gateway-cluster-support.js';
import { type Operation, operation } from './support/gateway-operations-support.js';
import { finish, run } from './support/gateway-run-support.js';
import { GATES, GatewayStage } from './support/gateway-stage-support.js';
import { LINKS, type LinkName, LinkSupply } from '../support/links.js';

/** More of them, and another seed, look further. */
const OPERATIONS = Number(process.env['GATEWAY_OPERATIONS'] ?? 800);
/** Runs with the same seed are the same. */
const SEED = Number(process.env['GATEWAY_SEED'] ?? 20_261_122);
/** How long a run that has failed may be made smaller, in milliseconds. */
const SHRINK_MS = 60_000;

describe.each(LINKS)('GatewayApi over %s', (name: LinkName) => {
  let links: LinkSupply;
  let cluster: GatewayCluster;

  beforeAll(async () => {
    links = await LinkSupply.open(name);
    cluster = await GatewayCluster.open(links, { gates: GATES });
  });
  afterAll(async () => {
    await cluster.close();
    await links.close();
  });

  it('does what a few maps would do, whatever is asked of it', async () => {
    const seed = SEED + LINKS.indexOf(name);
    const operations = fc.sample(operation, { seed, numRuns: OPERATIONS });
    const stage = new GatewayStage(cluster);
    const failure = await attempt(stage, operations);
    if (!failure) {
      expect(stage.steps).toBe(OPERATIONS);
      return;
    }
    const { failed, error } = await shrink(stage, failure);
    throw new Error(
      `With GATEWAY_SEED=${seed}, after\n${failed.map(each => JSON.stringify(each)).join('\n')}\n${error.message}`,
      {
        cause: error.cause ?? error,
      },
    );
  }, 240_000);
});

/** The operations of a run up to the one that has failed, and how. */
interface Failure {
  readonly failed: readonly Operation[];
  readonly error: Error;
}

async function attempt(stage: GatewayStage, operations: readonly Operation[]): Promise<Failure | undefined> {
  let step = 0;
  try {
    for (; step < operations.length; step++) await run(stage, operations[step] as Operation);
    await finish(stage);
    return undefined;
  } catch (error) {
    return { failed: operations.slice(0, step + 1), error: error as Error };
  }
}

/** Leaves out what is not needed for it to fail, as long as there is time. */
async function shrink(stage: GatewayStage, found: Failure): Promise<Failure> {
  const end = Date.now() + SHRINK_MS;
  let smallest = found;
  for (let size = Math.ceil(found.failed.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < smallest.failed.length && Date.now() < end;) {
      const { failed } = smallest;
      await stage.reset();
      const smaller = await attempt(stage, [...failed.slice(0, at), ...failed.slice(at + size)]);
      if (smaller) smallest = smaller;
      else at += size;
    }
  }
  return smallest;
}
