import { MAX_BATCH } from './http-api.js';
import {
  HTTP_FIELDS,
  HTTP_OPERATIONS,
  type HttpField,
  type HttpOperation,
  type HttpOperationName,
  type JsonSchema,
} from './http-operations.js';

const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: JsonSchema): JsonSchema => ({ 'application/json': { schema } });
const ERRORS = {
  '400': 'An argument is not valid.',
  '401': 'The key is missing, unknown or expired.',
  '403': 'The key lacks the scope, or the operation is not allowed.',
  '404': 'The client is gone, or there is no such operation.',
  '413': 'The request is larger than 1 MiB.',
  '422': 'The Idempotency-Key belongs to another request, or a limit was exceeded.',
  '429': 'Too many requests at once.',
  '503': 'The gates, or the session storage, are unreachable; see Retry-After.',
  '504': 'The gate has not answered in time.',
} as const;

/** The OpenAPI 3.1 document of the HTTP API. */
export function openApiDocument(path: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'nestgate',
      version: '1',
      description: 'Pushes to clients of the cluster, queries, and changes of sessions.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: path }],
    security: [{ key: [] }],
    tags: [
      { name: 'push', description: 'Sends messages. Scope `push`.' },
      { name: 'query', description: 'Asks the gates. Scope `query`.' },
      { name: 'manage', description: 'Changes sessions. Scope `manage`.' },
      { name: 'batch', description: 'Several calls in one request.' },
    ],
    paths: {
      ...Object.fromEntries(Object.entries(HTTP_OPERATIONS).map(([name, entry]) => [`/${name}`, pathOf(name, entry)])),
      '/batch': BATCH,
    },
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: { ...HTTP_FIELDS, Error: ERROR },
      parameters: {
        IdempotencyKey: {
          name: 'Idempotency-Key',
          in: 'header',
          description: 'The same key with the same request has the same answer, for 5 minutes.',
          schema: { type: 'string', minLength: 1, maxLength: 256 },
        },
      },
    },
  };
}

const ERROR: JsonSchema = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'string' }, message: { type: 'string' }, details: {} },
    },
  },
};
const IDEMPOTENCY = [{ $ref: '#/components/parameters/IdempotencyKey' }];

function errorResponses(): Record<string, object> {
  return Object.fromEntries(
    Object.entries(ERRORS).map(([status, description]) => [status, { description, content: json(ref('Error')) }]),
  );
}

function pathOf(name: string, { scope, summary, args, optional = [], options = [], result }: HttpOperation): object {
  const fields = [...args, ...options];
  const required = args.filter(arg => !optional.includes(arg));
  return {
    post: {
      operationId: name,
      summary,
      tags: [scope],
      parameters: IDEMPOTENCY,
      requestBody: { required: required.length > 0, content: json(objectOf(fields, required)) },
      responses: {
        '200': { description: 'Done.', content: json(resultSchema(result)) },
        ...(options.includes('partial') && {
          '207': { description: 'Some gates have not answered: they are missing.', content: json(PARTIAL) },
        }),
        ...errorResponses(),
      },
    },
  };
}

function objectOf(fields: readonly HttpField[], required: readonly HttpField[]): JsonSchema {
  return {
    type: 'object',
    additionalProperties: false,
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(fields.map(field => [field, ref(field)])),
  };
}

const MISSING: JsonSchema = { type: 'array', items: { type: 'string' }, description: 'Gates that did not answer.' };

function resultSchema(result: HttpOperation['result']): JsonSchema {
  if (result === 'nothing') return { type: 'object' };
  const properties =
    result === 'delivery'
      ? { delivered: { type: 'integer', minimum: 0 }, received: { type: 'integer', minimum: 0 }, missing: MISSING }
      : { result, missing: MISSING };
  return { type: 'object', properties };
}

const PARTIAL: JsonSchema = {
  type: 'object',
  required: ['missing', 'error'],
  properties: {
    result: {},
    delivered: { type: 'integer' },
    received: { type: 'integer' },
    missing: MISSING,
    error: { type: 'object' },
  },
};

const BATCH = {
  post: {
    operationId: 'batch',
    summary: 'Runs several calls. Pushes leave in the order of the list.',
    tags: ['batch'],
    parameters: IDEMPOTENCY,
    requestBody: {
      required: true,
      content: json({
        type: 'object',
        required: ['calls'],
        additionalProperties: false,
        properties: {
          calls: {
            type: 'array',
            maxItems: MAX_BATCH,
            items: {
              type: 'object',
              required: ['operation'],
              additionalProperties: false,
              properties: {
                operation: { enum: Object.keys(HTTP_OPERATIONS) satisfies string[] as readonly HttpOperationName[] },
                args: { type: 'object' },
              },
            },
          },
        },
      }),
    },
    responses: {
      '200': {
        description: 'The answer of each call, in the order of the list, with the status that it would have alone.',
        content: json({
          type: 'object',
          required: ['results'],
          properties: {
            results: {
              type: 'array',
              items: { type: 'object', required: ['status'], properties: { status: { type: 'integer' } } },
            },
          },
        }),
      },
      ...errorResponses(),
    },
  },
};
