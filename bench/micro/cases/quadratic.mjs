/**
 * What costs more for each item the more items there are. Each case does the same with n, 8 n and 64 n items. Linear work costs as
 * much for each item as before, quadratic work 8 times as much, in both steps; what no longer fits into the processor's cache grows in
 * one of them. Sizes are those that a client or a peer can bring about, or a step beyond.
 */
const FACTOR = 8;
/** A third size that would take longer than this is left out. */
const MAX_MS = 1_500;
/** The least disturbed of so many runs counts, unless they take long. */
const RUNS = 5;
const LONG_MS = 400;

/** @typedef {import('../target.mjs').Target} Target */
/** @typedef {() => unknown} Run */

/**
 * Makes a run with so many items; what it takes to prepare does not count. A run that returns a promise counts until it settles.
 * @callback Make
 * @param {number} items
 * @returns {Run | Promise<Run>}
 */

/**
 * @typedef {object} Growth
 * @property {string} name
 * @property {number} items in the smallest run
 * @property {number} [operations] what a run does, when that is not something for each item
 * @property {(target: Target) => Promise<Make>} load
 */

/**
 * @param {Make} make
 * @param {number} items
 * @param {number} [operations] what counts, when that is not the items
 * @returns {Promise<number>} nanoseconds for one operation
 */
async function timeOf(make, items, operations = items) {
  let best = Infinity;
  for (let i = 0; i < RUNS; i++) {
    const run = await make(items);
    const startedAt = performance.now();
    const result = run();
    if (result instanceof Promise) await result;
    const ms = performance.now() - startedAt;
    best = Math.min(best, ms);
    if (ms > LONG_MS) break;
  }
  return (best * 1e6) / operations;
}

/** @param {number} length @param {number} fill */
const bytesOf = (length, fill = 0x78) => Buffer.alloc(length, fill);

/** Hands over a stream in pieces. @param {Buffer} bytes @param {number} size @param {(chunk: Buffer) => void} take */
function inChunks(bytes, size, take) {
  for (let at = 0; at < bytes.length; at += size) take(bytes.subarray(at, at + size));
}

/** A socket that takes one write at a time. */
class SlowSocket {
  writableLength = 0;
  takenBytes = 0;
  written = 0;

  /** @param {Uint8Array} data */
  write(data) {
    this.writableLength = data.length;
    this.written += data.length;
  }

  awaitDrain() {}

  destroy() {}
}

/** @param {object} limits */
const queueLimits = limits => ({
  sendPackBuffNum: 1e9,
  sendBuffBytes: 1e12,
  slowClientPolicy: 'disconnect',
  ...limits,
});

/** @param {Target} target */
async function outboxOf(target) {
  /** @type {any} */
  const { Outbox } = await target.load('libs/gate/dist/client/outbox.js');
  /** @type {any} */
  const { DrainQueue } = await target.load('libs/gate/dist/client/drain-queue.js');
  return (/** @type {object} */ limits, /** @type {any} */ socket, /** @type {any} */ bursts) =>
    new Outbox(socket, new DrainQueue(), queueLimits(limits), bursts);
}

/** @param {Target} target */
async function tableOf(target) {
  const { RequestTable } = await target.load('libs/link/dist/peer/request-table.js');
  const { RequestPool } = await target.load('libs/link/dist/peer/pending.js');
  const { Pending } = await target.load('libs/link/dist/peer/pending.js');
  class Waiting extends Pending {
    succeed() {}

    fail() {}
  }
  return (/** @type {number} */ items) => {
    const pool = new RequestPool(() => {});
    const table = new RequestTable(pool);
    const deadline = performance.now() + 60_000;
    for (let i = 1; i <= items; i++) {
      const pending = new Waiting();
      table.add(pending, 1, deadline);
      pending.batch = i;
    }
    return { pool, table };
  };
}

/** @type {readonly Growth[]} */
const GROWTHS = [
  {
    name: 'TCP client, an unfinished frame in chunks of 16 bytes, for each byte',
    items: 16 * 1024,
    load: async target => {
      const { StreamSplitter, FRAME_STREAM } = await target.load('libs/gate/dist/codec/stream-splitter.js');
      return items => {
        const bytes = bytesOf(items - 1);
        bytes.writeUInt32LE(items, 0);
        return () => {
          const splitter = new StreamSplitter(FRAME_STREAM, 2 * items, () => {});
          inChunks(bytes, 16, chunk => splitter.push(chunk));
        };
      };
    },
  },
  {
    name: 'WebSocket client, an unfinished frame in chunks of 16 bytes, for each byte',
    items: 16 * 1024,
    load: async target => {
      const { readAhead } = await target.load('libs/gate/dist/websocket/ws-read-ahead.js');
      /** @type {any} */
      const { Receiver } = await import('ws');
      return items => {
        const bytes = bytesOf(items);
        bytes[0] = 0x81;
        bytes[1] = 0xff;
        bytes.writeBigUInt64BE(BigInt(items), 2);
        const receiver = new Receiver({ isServer: true, maxPayload: 2 * items });
        const fail = (/** @type {unknown} */ error) => {
          throw error;
        };
        readAhead({ _receiver: receiver }, false, { onFrame: () => {}, onDefect: fail });
        return () => inChunks(bytes, 16, chunk => receiver.write(chunk));
      };
    },
  },
  {
    name: 'TCP link, an unfinished message in chunks of 64 bytes, for each byte',
    items: 128 * 1024,
    load: async target => {
      const { TcpSplitter } = await target.load('libs/link/dist/drivers/tcp/tcp-splitter.js');
      return items => {
        const bytes = bytesOf(items);
        bytes.writeUInt32LE(items, 0);
        return () => {
          const splitter = new TcpSplitter(2 * items, () => {});
          inChunks(bytes, 64, chunk => splitter.push(chunk));
        };
      };
    },
  },
  {
    name: 'NATS link, a frame in many parts, for each part',
    items: 500,
    load: async target => {
      const { NatsFragments, partHead, readPart } = await target.load('libs/link/dist/drivers/nats/nats-fragments.js');
      return items => {
        const fragments = new NatsFragments();
        const head = partHead({ id: 'gate', epoch: 'epoch' }, 1, 1);
        const size = 1_024;
        const parts = fragments.split(head, bytesOf(items * size), head.length + 6 + size).map(readPart);
        return () => {
          for (const part of parts) fragments.add(part);
        };
      };
    },
  },
  {
    name: 'JSON frame, a text with many escapes, for each byte',
    items: 8 * 1024,
    load: async target => {
      const { JsonFrameDecoder } = await target.load('libs/protocol/dist/frames/json-decoder.js');
      return items => {
        const frame = Buffer.from(`{"topic":"a/b","body":${JSON.stringify('"\n'.repeat(items / 4))}}`);
        const decoder = new JsonFrameDecoder();
        return () => {
          if (decoder.decode(frame) !== undefined) throw new Error('Refused');
        };
      };
    },
  },
  {
    name: 'JSON frame, an object with many fields, for each field',
    items: 500,
    load: async target => {
      const { JsonFrameDecoder } = await target.load('libs/protocol/dist/frames/json-decoder.js');
      return items => {
        const fields = Object.fromEntries(Array.from({ length: items }, (_, i) => [`field${i}`, i]));
        const frame = Buffer.from(`{"topic":"a/b","body":${JSON.stringify(fields)}}`);
        const decoder = new JsonFrameDecoder();
        return () => {
          if (decoder.decode(frame) !== undefined) throw new Error('Refused');
        };
      };
    },
  },
  {
    name: 'a client leaves many groups at once, for each group',
    items: 1_000,
    load: async target => {
      const { Memberships } = await target.load('libs/gate/dist/hub/memberships.js');
      return items => {
        const groups = new Memberships();
        const member = {};
        for (let i = 0; i < items; i++) groups.add(`group-${i}`, member);
        return () => groups.removeMember(member);
      };
    },
  },
  {
    name: 'many clients of one uid or group go, the oldest first, for each client',
    items: 1_000,
    load: async target => {
      const { Memberships } = await target.load('libs/gate/dist/hub/memberships.js');
      return items => {
        const uids = new Memberships();
        const members = Array.from({ length: items }, () => ({}));
        for (const member of members) uids.add('ada', member);
        return () => {
          for (const member of members) uids.removeMember(member);
        };
      };
    },
  },
  {
    name: 'all clients of a gate in pages of 1000 (each looks at all), for each client',
    items: 2_000,
    load: async target => {
      const { pageOf } = await target.load('libs/gate/dist/hub/page.js');
      return items => {
        const ids = Array.from({ length: items }, (_, i) => `client-${(i * 7_919) % items}`);
        return () => {
          let after = '';
          for (let page = pageOf(ids, after, 1_000); page.length > 0; page = pageOf(ids, after, 1_000)) {
            after = page.at(-1);
          }
        };
      };
    },
  },
  {
    name: 'a long send queue drained in writes of 64 KiB, for each frame',
    items: 2_000,
    load: async target => {
      const create = await outboxOf(target);
      const frame = bytesOf(64);
      return items => {
        const socket = new SlowSocket();
        const outbox = create({}, socket, undefined);
        for (let i = 0; i < items; i++) outbox.add(frame);
        return () => {
          while (!outbox.isEmpty) {
            socket.writableLength = 0;
            outbox.drain();
          }
          if (socket.written !== items * frame.length) throw new Error(`${socket.written} bytes were written`);
        };
      };
    },
  },
  {
    name: 'a full send queue that drops the oldest, for each frame',
    items: 250,
    load: async target => {
      const create = await outboxOf(target);
      const frame = bytesOf(64);
      return items => {
        const socket = new SlowSocket();
        socket.writableLength = 1;
        const limits = { sendPackBuffNum: items, slowClientPolicy: 'drop-oldest' };
        const outbox = create(limits, socket, undefined);
        for (let i = 0; i < items; i++) outbox.add(frame);
        return () => {
          for (let i = 0; i < items; i++) outbox.add(frame);
        };
      };
    },
  },
  {
    name: 'slow clients while the budget for bursts is used up, for each client',
    items: 125,
    load: async target => {
      const { BurstBudget } = await target.load('libs/gate/dist/client/burst-budget.js');
      const { GateCounters } = await target.load('libs/gate/dist/gate-counters.js');
      return items => {
        const limits = { sendBuffBytes: 1, sendBurstBytes: 1e6, sendBurstTotalBytes: items, slowClientTimeout: 60_000 };
        const budget = new BurstBudget(limits, new GateCounters());
        const queueOf = () => {
          /** @type {any} */
          const queue = { burst: undefined, slowAt: -1, heldBytes: 0, isAboveSoftBound: true, takenBytes: 0 };
          return queue;
        };
        const queues = Array.from({ length: items }, queueOf);
        for (const queue of queues) budget.admits(queue, 1);
        return () => {
          for (const queue of queues) budget.admits(queue, 2);
          for (const queue of queues) budget.end(queue.burst);
        };
      };
    },
  },
  {
    name: 'messages that are still being made, for each message',
    items: 500,
    load: async target => {
      const { DeferredSends } = await target.load('libs/gate/dist/client/deferred-sends.js');
      const frame = bytesOf(64);
      return items => async () => {
        /** @type {(value?: unknown) => void} */
        let finish = () => {};
        const done = new Promise(resolve => (finish = resolve));
        const sends = new DeferredSends(() => {}, finish);
        for (let i = 0; i < items; i++) sends.defer(Promise.resolve(frame), 64);
        await done;
      };
    },
  },
  {
    name: 'frames that wait for credit, for each frame',
    items: 2_000,
    load: async target => {
      const { FrameHold } = await target.load('libs/gate/dist/client/frame-hold.js');
      const frame = bytesOf(64);
      return items => () => {
        const hold = new FrameHold();
        for (let i = 0; i < items; i++) hold.push(frame);
        while (!hold.isEmpty) hold.shift();
      };
    },
  },
  {
    name: 'a queue of a worker, for each task',
    items: 2_000,
    load: async target => {
      const { Fifo } = await target.load('libs/link/dist/common/fifo.js');
      return items => () => {
        const fifo = new Fifo();
        for (let i = 0; i < items; i++) fifo.push(i);
        while (fifo.length > 0) fifo.shift();
      };
    },
  },
  {
    name: 'batches that wait for a peer, for each batch',
    items: 1_000,
    load: async target => {
      const { Backlog } = await target.load('libs/link/dist/peer/flow-window.js');
      const batch = { frame: bytesOf(64), messages: 1, lastRequest: undefined };
      return items => () => {
        const backlog = new Backlog();
        for (let i = 0; i < items; i++) backlog.push(batch);
        while (backlog.shift());
      };
    },
  },
  {
    name: 'requests that are answered, for each request',
    items: 1_000,
    load: async target => {
      const fill = await tableOf(target);
      return items => {
        const { pool, table } = fill(items);
        return () => {
          for (const pending of table.slots.slice()) table.remove(pending);
          pool.close();
        };
      };
    },
  },
  {
    name: 'batches of one request that a peer has missed, for each batch',
    items: 250,
    load: async target => {
      const fill = await tableOf(target);
      return items => {
        const { pool, table } = fill(items);
        return () => {
          for (let i = 1; i <= items; i++) table.abortBatches(i, i, new Error('lost'));
          pool.close();
        };
      };
    },
  },
  {
    name: 'deadlines at one moment, added and removed, for each',
    items: 1_000,
    load: async target => {
      const { DeadlineWheel, Deadline } = await target.load('libs/link/dist/common/deadline-wheel.js');
      class Item extends Deadline {
        expire() {}
      }
      return items => {
        const wheel = new DeadlineWheel();
        const deadline = performance.now() + 60_000;
        const all = Array.from({ length: items }, () => new Item());
        return () => {
          for (const item of all) wheel.add(item, deadline);
          for (const item of all) wheel.remove(item);
          wheel.stop();
        };
      };
    },
  },
  {
    name: 'users whose settings are stored again, the oldest first, for each user',
    items: 500,
    load: async target => {
      const { MemoryStorage } = await target.load('libs/gate/dist/storage/memory-storage.js');
      return async items => {
        const storage = new MemoryStorage();
        const change = { set: { a: 1 }, deleted: [] };
        const users = Array.from({ length: items }, (_, i) => ({ userId: `user-${i}` }));
        for (const user of users) await storage.storage(user, change);
        return async () => {
          for (const user of users) await storage.storage(user, change);
        };
      };
    },
  },
  {
    name: 'one revocation more when so many are remembered (50,000 at most)',
    items: 6_250,
    operations: 200,
    load: async target => {
      const { Revocations } = await target.load('libs/gate/dist/auth/revocations.js');
      const { GateCounters } = await target.load('libs/gate/dist/gate-counters.js');
      return items => {
        const revocations = new Revocations(new GateCounters());
        const noticeOf = (/** @type {number} */ i) => ({ userId: `user-${i}`, before: 1, leftMs: 60_000 });
        for (let i = 0; i < items; i++) revocations.add(noticeOf(i));
        return () => {
          for (let i = 0; i < 200; i++) revocations.add(noticeOf(items + i));
        };
      };
    },
  },
];

/** What a commit does not have yet is left out. @param {unknown} error */
const isMissing = error => error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND';

/**
 * @param {Target} target
 * @returns {Promise<import('../target.mjs').MicroCase[]>}
 */
export async function cases(target) {
  /** @type {import('../target.mjs').MicroCase[]} */
  const found = [];
  for (const { name, items, operations, load } of GROWTHS) {
    try {
      const make = await load(target);
      found.push({
        name,
        measure: async () => {
          // What is hot is compiled first.
          await timeOf(make, items, operations);
          const small = await timeOf(make, items, operations);
          const large = await timeOf(make, items * FACTOR, operations);
          const expectedMs = (large * (large / small) * (operations ?? items * FACTOR ** 2)) / 1e6;
          const huge = expectedMs > MAX_MS ? NaN : await timeOf(make, items * FACTOR ** 2, operations);
          return {
            n: items,
            'ns at n': small,
            'at 8 n': large,
            'at 64 n': huge,
            'n to 8 n': large / small,
            '8 n to 64 n': huge / large,
          };
        },
      });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return found;
}
