import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { toJsonSchema } from '@valibot/to-json-schema';
import { type AsyncApiDocument, compareContracts, type JsonSchema, toAsyncApi } from '@nestgate/contract/asyncapi';
import { chat } from './chat.contract.js';

describe('the contract of the chat', () => {
  const committed = JSON.parse(readFileSync('apps/handlers/chat.asyncapi.json', 'utf8')) as AsyncApiDocument;

  it('is the document that is committed: npm run contract -- --write', () => {
    const document = toAsyncApi(chat, committed.info, {
      toJsonSchema: schema => toJsonSchema(schema as never, { target: 'draft-07' }) as JsonSchema,
    });
    expect(compareContracts(committed, document)).toEqual([]);
    expect(document).toEqual(committed);
  });

  it('has a schema for each message', () => {
    const payloads = Object.values(committed.channels).flatMap(({ messages }) => Object.values(messages));
    expect(payloads.length).toBeGreaterThanOrEqual(15);
    expect(payloads.filter(({ payload }) => payload['x-nestgate-unknown'])).toEqual([]);
  });
});
