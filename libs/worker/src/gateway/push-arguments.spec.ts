import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LinkNode, MemoryBus } from '@nestgate/link';
import { GatewayApi } from './gateway-api.js';

/** A call as plain JavaScript makes it: of any arguments. */
type Loose = Record<string, (...args: unknown[]) => Promise<unknown>>;

const node = new LinkNode({
  link: new MemoryBus().link(),
  self: { id: 'api', role: 'api', epoch: 'e', modules: [], draining: false },
});
const gateway = new GatewayApi(node) as unknown as Loose;

beforeAll(() => node.open());
afterAll(() => node.close());

describe('a push with a wrong kind of value in a position', () => {
  it.each<[method: string, args: unknown[], message: string]>([
    [
      'sendToClient',
      [5, 'a/b'],
      'sendToClient: argument 1 (clientIds) must be a string or an array of strings, but a number was given',
    ],
    [
      'sendToClient',
      ['id', 5],
      'sendToClient: argument 2 (topic) must be a string such as "chat/said", but a number was given',
    ],
    [
      'sendToClient',
      ['id', 5, 1, {}],
      'sendToClient: argument 2 (topic) must be a string such as "chat/said", but a number was given',
    ],
    [
      'sendToClient',
      ['id', 'a/b', 1, ['x']],
      'sendToClient: argument 4 (options) must be an object; clients that do not get the push are its option "exclude", but an array was given',
    ],
    [
      'sendToClient',
      ['id', 'a/b', 1, true],
      'sendToClient: argument 4 (options) must be an object, such as { confirm: true }, but a boolean was given',
    ],
    [
      'sendToCurrentClient',
      ['a/b', 1, 'id'],
      'sendToCurrentClient: argument 3 (options) must be an object, such as { confirm: true }, but a string was given',
    ],
    [
      'sendToAll',
      [{}, 1],
      'sendToAll: argument 1 (topic) must be a string such as "chat/said", but an object was given',
    ],
    [
      'sendToAll',
      ['a/b', 1, 5],
      'sendToAll: argument 3 (options, or clientIds) must be a string or an array of strings, but a number was given',
    ],
    [
      'sendToAll',
      ['a/b', 1, null],
      'sendToAll: argument 3 (options, or clientIds) must be a string or an array of strings, but null was given',
    ],
    [
      'sendToAll',
      ['a/b', 1, new Set(['id'])],
      'sendToAll: argument 3 (options, or clientIds) must be an object, such as { confirm: true }, but an object was given',
    ],
    [
      'sendToAll',
      ['a/b', 1, [], { confirm: true }],
      'sendToAll: argument 4 (excludeIds) must be a string or an array of strings, but an object was given',
    ],
    [
      'sendToAll',
      ['a/b', 1, { confirm: true }, ['id']],
      'sendToAll: argument 3 is the options, which stand last, but an array follows as argument 4',
    ],
    [
      'sendToAll',
      ['a/b', 1, { confirm: true }, undefined, {}],
      'sendToAll: argument 3 is the options, which stand last, but an object follows as argument 5',
    ],
    [
      'sendToAll',
      ['a/b', 1, ['id'], [], ['id']],
      'sendToAll: argument 5 (options) must be an object; clients that do not get the push are its option "exclude", but an array was given',
    ],
    [
      'sendToAll',
      ['a/b', 1, { clientIds: 5 }],
      'The option clientIds must be a string or an array of strings, but a number was given',
    ],
    [
      'sendToAll',
      ['a/b', 1, ['id'], [], { clientIds: ['id'] }],
      'sendToAll: argument 3 (clientIds) and the option clientIds say the same',
    ],
    [
      'sendToUid',
      [{}, 'a/b'],
      'sendToUid: argument 1 (uids) must be a string or an array of strings, but an object was given',
    ],
    [
      'sendToUid',
      ['ada', 'a/b', 1, []],
      'sendToUid: argument 4 (options) must be an object; clients that do not get the push are its option "exclude", but an array was given',
    ],
    [
      'sendToUid',
      ['ada', 'a/b', 1, { exclude: 5 }],
      'The option exclude must be a string or an array of strings, but a number was given',
    ],
    [
      'sendToUid',
      ['ada', 'a/b', 1, { excldue: 'id' }],
      'sendToUid: argument 4 (options): unknown option "excldue"; did you mean "exclude"?',
    ],
    [
      'sendToUid',
      ['ada', 'a/b', 1, { clientIds: ['id'] }],
      'sendToUid: argument 4 (options): unknown option "clientIds"; known: confirm, exclude, partial, deadlineMs',
    ],
    [
      'sendToGroup',
      [null, 'a/b'],
      'sendToGroup: argument 1 (groups) must be a string or an array of strings, but null was given',
    ],
    [
      'sendToGroup',
      ['lobby', ['a/b']],
      'sendToGroup: argument 2 (topic) must be a string such as "chat/said", but an array was given',
    ],
    [
      'sendToGroup',
      ['lobby', 'a/b', 1, 5],
      'sendToGroup: argument 4 (options, or excludeIds) must be a string or an array of strings, but a number was given',
    ],
    [
      'sendToGroup',
      ['lobby', 'a/b', 1, { confirm: true }, ['id']],
      'sendToGroup: argument 4 is the options, which stand last, but an array follows as argument 5',
    ],
    [
      'sendToGroup',
      ['lobby', 'a/b', 1, [], 'confirm'],
      'sendToGroup: argument 5 (options) must be an object, such as { confirm: true }, but a string was given',
    ],
  ])('%s(...%j): %s', async (method, args, message) => {
    const call = gateway[method]?.(...args);
    await expect(call).rejects.toMatchObject({ name: 'GateError', code: 'BAD_ARGUMENT', message });
  });
});
