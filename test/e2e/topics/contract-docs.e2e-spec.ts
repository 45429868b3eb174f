import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ContractChangeCode } from '@nestgate/contract/asyncapi';
import { createTestCluster, type FakeClient, type TestCluster } from '@nestgate/testing';
import { examplesOf, fencesOf, read } from '../support/docs-support.js';
import { breaking, chat, ChatApp, ChatTopics, document, dtoChat, SayDto } from './support/contract-examples.js';

const page = read('docs/contract.md');

describe('docs/contract.md', () => {
  it('shows all examples that the tests run, and no other code', () => {
    const examples = examplesOf(read('test/e2e/topics/support/contract-examples.ts'));
    const shown = fencesOf(page).filter(({ language }) => language === 'ts');
    expect(shown.map(({ code }) => code).toSorted()).toEqual([...examples.values()].toSorted());
  });

  it('names every code of a breaking change', () => {
    // One that is not here does not compile.
    const codes: Record<ContractChangeCode, true> = {
      'topic-removed': true,
      'kind-changed': true,
      'error-added': true,
      'field-required': true,
      'field-refused': true,
      'field-removed': true,
      'field-optional': true,
      'value-refused': true,
      'value-added': true,
      'limit-narrowed': true,
      'type-changed': true,
      'schema-changed': true,
    };
    expect(Object.keys(codes).filter(code => !page.includes(`\`${code}\``))).toEqual([]);
  });
});

describe('the examples of docs/contract.md', () => {
  let cluster: TestCluster;
  let client: FakeClient;

  beforeAll(async () => {
    cluster = await createTestCluster({ workers: 1, workerModule: ChatApp });
    client = await cluster.connect();
  });
  afterAll(() => cluster.close());

  it('handle what clients send', async () => {
    const body = { room: 'lobby', text: 'hi' };
    expect((await client.exchange('chat/say', body)).error).toEqual({
      code: 'NOT_MEMBER',
      message: 'Join the room first',
    });
    await cluster.api.updateSession(client.clientId, { member: true });
    await cluster.api.joinGroup(client.clientId, 'lobby');
    expect(await client.request('chat/say', body)).toEqual({ delivered: 1 });
    expect((await client.push('chat/said')).body).toMatchObject(body);
    expect(await client.request('chat/ask', { prompt: 'one two' })).toBe('two');
    expect(await client.request('legacy/rooms')).toEqual(['lobby']);
    expect((await client.exchange('chat/say', { room: 1 })).error).toMatchObject({
      code: 'BAD_REQUEST',
      details: [{ path: 'room' }, { path: 'text' }],
    });
    expect(new ChatTopics(cluster.api).rooms()).toEqual(['lobby']);
  });

  it('make a schema of a class', async () => {
    const body = { room: 'lobby', text: 'hi', more: 1 };
    const result = await dtoChat.say.body?.['~standard'].validate(body);
    expect(result).toEqual({ value: Object.assign(new SayDto(), { room: 'lobby', text: 'hi' }) });
  });

  it('are written as AsyncAPI, and compared', () => {
    expect(Object.keys(document.operations).toSorted()).toEqual(
      Object.values(chat)
        .map(({ topic }) => topic)
        .toSorted(),
    );
    expect(breaking(document)).toEqual([]);
  });
});
