import {
  askContract,
  ByteWriter,
  gapContract,
  gateContract,
  itemContract,
  loadContract,
  moveContract,
  operateContract,
  type Operation,
  presenceContract,
  pushContract,
  receiptContract,
  reportContract,
  revocationContract,
  sessionContract,
  standstillContract,
  streamContract,
  topicContract,
  turnContract,
  watchContract,
} from '@nestgate/link/internal';
import { BodyKind, NO_BODY } from '@nestgate/protocol';
import fc from 'fast-check';
import { type Mutation, mutateAll, mutations } from './fuzz-support.js';

/** Everything that one node may ask of another. */
export const OPERATIONS = [
  askContract,
  gapContract,
  gateContract,
  itemContract,
  loadContract,
  moveContract,
  operateContract,
  presenceContract,
  pushContract,
  receiptContract,
  reportContract,
  revocationContract,
  sessionContract,
  standstillContract,
  streamContract,
  topicContract,
  turnContract,
  watchContract,
].flatMap(contract => Object.values(contract) as Operation<unknown, unknown>[]);

/** Stands for the id of a client that the sender is welcome to do anything to. */
const VICTIM = '<victim>';

/** The kinds of messages, as they stand on the wire, and one that does not exist. */
export const KIND = {
  request: 1,
  response: 2,
  mark: 3,
  taken: 4,
  missed: 5,
  cast: 6,
  digest: 7,
  counted: 8,
  unknown: 99,
} as const;

/** One message of a batch before it is bytes. */
interface Message {
  readonly kind: keyof typeof KIND;
  readonly operation: number;
  readonly key: readonly [series: number, generation: number, slot: number];
  readonly timeLeft: number;
  readonly isOk: boolean;
  readonly position: number;
  readonly args: Record<string, unknown>;
  /** What is changed in it. Its length is told rightly all the same, so that what reads it gets to see that. */
  readonly changes: readonly Mutation[];
}

/** A batch before it is bytes. */
export interface Batch {
  readonly sequence: number;
  readonly sentAt: number;
  readonly messages: readonly Message[];
  /** What is changed in its bytes. */
  readonly changes: readonly Mutation[];
}

const NAMES = ['ada', 'lobby', '', '*', '>', 'a..b', '$SYS', '_INBOX', '{x}', '__proto__', 'x'.repeat(129), 'a\nb'];
const name = fc.oneof(fc.constantFrom(...NAMES), fc.string({ unit: 'binary', maxLength: 6 }));
const clientId = fc.oneof(
  { weight: 3, arbitrary: fc.constant(VICTIM) },
  fc.constantFrom('', 'g1', 'g1.x.1', 'a.b.c.d'),
);
const clientIds = fc.array(clientId, { maxLength: 4 });
const names = fc.array(name, { maxLength: 4 });
const maybe = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(values, { nil: undefined });
/** JSON of any shape where an object of settings, a session or a list belongs. */
const shape = fc.oneof(
  fc.dictionary(name, fc.jsonValue({ maxDepth: 2 }), { maxKeys: 4 }),
  fc.constantFrom<unknown>(null, 1, 'text', [], [null], [1], { '': 1 }, { a: { __proto__: null, b: 1 } }),
);
const number = fc.oneof(
  fc.constantFrom(0, 1, -1, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 - 1, -(2 ** 53), 1e300),
  fc.double(),
);
const topic = fc.constantFrom('fuzz/push', 'fuzz/push', 'echo/echo', '$connect', '$gate/hello', 'a"b', 'é', '', 'a b');
const body = fc.oneof(
  fc.constant(NO_BODY),
  fc.jsonValue({ maxDepth: 2 }).map(value => ({ kind: BodyKind.json, bytes: Buffer.from(JSON.stringify(value)) })),
  fc.uint8Array({ maxLength: 40 }).map(bytes => ({ kind: BodyKind.bytes, bytes: Buffer.from(bytes) })),
);

/** Arguments for whatever operation: each takes those that it knows. */
const args: fc.Arbitrary<Record<string, unknown>> = fc.record({
  clientId,
  clientIds,
  except: maybe(clientIds),
  userId: name,
  uids: names,
  group: name,
  groups: names,
  key: name,
  value: fc.jsonValue({ maxDepth: 2 }),
  settings: shape,
  session: shape,
  deep: maybe(fc.boolean()),
  topic,
  body,
  message: maybe(fc.record({ topic, body })),
  after: name,
  limit: number,
  serial: number,
  clock: number,
  issuedAt: maybe(number),
  expiresAt: maybe(number),
  before: maybe(number),
  forMs: maybe(number),
  isOn: fc.boolean(),
  kind: fc.constantFrom('reset', 'ready', 'online', 'offline', 'join', 'leave'),
  wantsResult: fc.boolean(),
  gate: name,
  perSecond: number,
  cursor: maybe(name),
  waitMs: number,
  ticket: name,
  seen: number,
  wire: name,
  isHandOver: fc.boolean(),
  sessions: fc.array(fc.record({ clientId, serial: number, generation: number, from: name }), { maxLength: 4 }),
  to: name,
  isLate: fc.boolean(),
  frames: fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.record({ n: number, why: name })), { maxLength: 4 }),
  number,
  end: shape,
  stream: number,
  items: number,
  isMarked: fc.boolean(),
  id: number,
  from: name,
  fromStream: number,
  streams: fc.array(number, { maxLength: 4 }),
  clients: fc.array(number, { maxLength: 4 }),
  isNew: fc.boolean(),
});

/** Anything that fits into 32 bits. */
const word = fc.oneof(fc.nat(5), fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.constant(2 ** 20));

const message: fc.Arbitrary<Message> = fc.record({
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant<keyof typeof KIND>('request') },
    {
      weight: 3,
      arbitrary: fc.constantFrom<keyof typeof KIND>(
        'response',
        'mark',
        'taken',
        'missed',
        'cast',
        'digest',
        'counted',
        'unknown',
      ),
    },
  ),
  operation: fc.oneof(
    { weight: 12, arbitrary: fc.nat(OPERATIONS.length - 1) },
    { weight: 1, arbitrary: fc.constant(OPERATIONS.length) },
  ),
  key: fc.tuple(word, word, word),
  timeLeft: fc.constantFrom(0, 1, 5_000, 2 ** 32 - 1),
  isOk: fc.boolean(),
  position: number,
  args,
  changes: mutations(2),
});

export const batch: fc.Arbitrary<Batch> = fc.record({
  sequence: fc.oneof(fc.nat(5), fc.constantFrom(2 ** 31, 2 ** 32 - 1)),
  sentAt: fc.oneof(fc.constant(Date.now()), number),
  messages: fc.array(message, { maxLength: 6 }),
  changes: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: mutations(2) }),
});

/** The bytes of a batch, with a client that is connected in the place of the victim. */
export function bytesOf({ sequence, sentAt, messages, changes }: Batch, victim: string): Buffer {
  const head = new ByteWriter();
  head.u8(2);
  head.u32(sequence);
  head.f64(sentAt);
  const content = messages.map(each => {
    const bytes = mutateAll(contentOf(each, victim), each.changes);
    const length = new ByteWriter();
    length.u32(bytes.length);
    return Buffer.concat([length.take(), bytes]);
  });
  return mutateAll(Buffer.concat([head.take(), ...content]), changes);
}

/** In the form that this operation takes. */
function argumentsOf({ id }: Operation<unknown, unknown>, given: Record<string, unknown>): unknown {
  if (id === moveContract.tail.id) return { ...given, items: given['frames'] };
  if (id === operateContract.tapTopic.id) return { ...given, id: given['key'] };
  if (id === operateContract.move.id) return { ...given, clients: given['number'] };
  if (id === moveContract.offer.id) return [given];
  if (id === streamContract.begin.id) return { stream: given['stream'], message: given };
  return given;
}

function contentOf({ kind, operation, key, timeLeft, isOk, position, args: given }: Message, victim: string): Buffer {
  const writer = new ByteWriter();
  writer.u8(KIND[kind]);
  const asked = OPERATIONS[operation];
  if (kind === 'request') {
    writer.u16(asked?.id ?? 9_999);
    for (const part of key) writer.u32(part);
    writer.u32(timeLeft);
    asked?.args.write(writer, argumentsOf(asked, put(given, victim)));
  } else if (kind === 'response') {
    writer.u16(asked?.id ?? 9_999);
    for (const part of key) writer.u32(part);
    writer.u8(isOk ? 0 : 1);
    for (const text of ['CODE', 'a message', '{"details":1}']) writer.str(text);
  } else {
    // As much as the longest of them has.
    for (let i = 0; i < 4; i++) writer.f64(position);
  }
  return writer.take();
}

/** Arguments with the victim's id in its places. */
function put(given: Record<string, unknown>, victim: string): Record<string, unknown> {
  const one = (id: unknown): unknown => (id === VICTIM ? victim : id);
  const all = (ids: unknown): unknown => (Array.isArray(ids) ? ids.map(one) : ids);
  return {
    ...given,
    clientId: one(given['clientId']),
    clientIds: all(given['clientIds']),
    except: all(given['except']),
  };
}

/** A message of a batch as it lies there: its kind, and what stands behind that. */
export interface Laid {
  readonly kind: number;
  readonly rest: Buffer;
}

/**
 * The messages of a batch as its framing says, written down a second time; and whether the batch itself is malformed, in its
 * head or behind these messages.
 */
export function framing(bytes: Buffer): { readonly laid: readonly Laid[]; readonly isBroken: boolean } {
  const laid: Laid[] = [];
  if (bytes.length < 13 || bytes[0] !== 2) return { laid, isBroken: true };
  let at = 13;
  while (at < bytes.length) {
    if (bytes.length - at < 4) return { laid, isBroken: true };
    const end = at + 4 + bytes.readUInt32LE(at);
    if (end > bytes.length) return { laid, isBroken: true };
    laid.push({ kind: bytes[at + 4] ?? -1, rest: bytes.subarray(at + 5, end) });
    // One without even a kind is malformed itself, and nothing behind it.
    if (end === at + 4) laid[laid.length - 1] = { kind: -1, rest: Buffer.alloc(0) };
    at = end;
  }
  return { laid, isBroken: false };
}
