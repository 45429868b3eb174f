import { basename } from 'node:path';
import Sequencer from '@jest/test-sequencer';

/** Specs that take longest, for heartbeats and deadlines: one that began last would keep a whole run waiting. */
const LONG = new Set([
  'clocks',
  'silence-nats-cluster',
  'sigterm',
  'login-probe',
  'gateway-parity',
  'client-events',
  'silence-worker-restart',
  'churn-clients',
  'gate-restart',
  'gateway-lost',
  'nats-outage',
  'process',
  'link-nats-outage',
  'security-secrets',
  'silence-nats-outage',
]);

/** Jest's order, by how long each file took the last time, with the long ones first also where that is not known. */
export default class extends Sequencer {
  async sort(tests) {
    const isLong = ({ path }) => LONG.has(basename(path).split('.')[0]);
    const sorted = await super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter(test => !isLong(test))];
  }
}
