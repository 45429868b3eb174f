import { Injectable } from '@nestjs/common';
import { kindOf } from '@nestgate/link/internal';
import { GateError } from '@nestgate/protocol';
import { GatewayApi } from '../gateway/gateway-api.js';
import { BoundedLog } from '../log/bounded-log.js';
import { ClusterApi } from '../operate/cluster-api.js';
import { failure, type HttpAnswer, refusal } from './http-answer.js';
import { HttpMetrics } from './http-counters.js';
import {
  HTTP_FIELDS,
  HTTP_OPERATIONS,
  type HttpField,
  type HttpOperation,
  type HttpOperationName,
  type HttpScope,
  isHttpOperation,
} from './http-operations.js';

/** Most calls of one batch. */
export const MAX_BATCH = 1_000;
/** Longest wait for gates that a caller may ask for, in milliseconds. */
const MAX_DEADLINE_MS = 60_000;
/** Characters of a name from a request that an error shows. */
const MAX_SHOWN = 64;
/** Lines of the audit log in a second. */
const AUDIT_LINES = 100;

type Method = (...args: unknown[]) => Promise<unknown>;

/** Who makes a request. */
export interface HttpCaller {
  /** For the audit log. */
  readonly name: string;
  readonly scopes: readonly HttpScope[];
}

/** Runs the operations of the HTTP API. */
@Injectable()
export class HttpApi {
  private readonly log = new BoundedLog('GatewayHttp');
  private readonly audit = new BoundedLog('GatewayHttpAudit', AUDIT_LINES);

  constructor(
    private readonly gateway: GatewayApi,
    private readonly cluster: ClusterApi,
    private readonly metrics: HttpMetrics,
  ) {}

  /** Runs one operation. Never rejects. */
  async run(name: HttpOperationName, input: unknown, caller: HttpCaller): Promise<HttpAnswer> {
    this.metrics.operations++;
    const operation = HTTP_OPERATIONS[name];
    const shape = (result: unknown): object => shapeOf(operation, result);
    let answer: HttpAnswer;
    try {
      answer = caller.scopes.includes(operation.scope)
        ? await callOperation(this.gateway, this.cluster, name, input)
        : refusal('FORBIDDEN', `${name} needs the scope "${operation.scope}"`);
    } catch (error) {
      answer = failure(error, shape);
      if (answer.status === 500) this.log.error(error, name);
    }
    this.note(name, operation, caller, answer);
    return answer;
  }

  /** Runs the calls of a batch: pushes leave in the order of the list, and nothing waits for the call before it. */
  async runBatch(input: unknown, caller: HttpCaller): Promise<HttpAnswer> {
    const calls: unknown = (input as { calls?: unknown } | null)?.calls;
    if (!Array.isArray(calls)) {
      return refusal('BAD_ARGUMENT', 'batch: calls must be an array of {"operation": …, "args": {…}}');
    }
    if (calls.length > MAX_BATCH) {
      return refusal('BAD_ARGUMENT', `batch: ${calls.length} calls are over the limit of ${MAX_BATCH}`);
    }
    const answers = await Promise.all(calls.map(call => this.runCall(call, caller)));
    return { status: 200, body: { results: answers.map(({ status, body }) => Object.assign({ status }, body)) } };
  }

  private async runCall(call: unknown, caller: HttpCaller): Promise<HttpAnswer> {
    const { operation, args = {}, ...others } = isRecord(call) ? call : {};
    const [other] = Object.keys(others);
    if (other !== undefined) {
      return this.refused(refusal('BAD_ARGUMENT', `batch: a call has no ${JSON.stringify(other.slice(0, MAX_SHOWN))}`));
    }
    if (!isHttpOperation(operation)) {
      const shown = typeof operation === 'string' ? JSON.stringify(operation.slice(0, MAX_SHOWN)) : kindOf(operation);
      return this.refused(refusal('UNKNOWN_OPERATION', `batch: ${shown} is not an operation`));
    }
    return this.run(operation, args, caller);
  }

  /** Changes of sessions, and what was refused for lack of a scope, are audited. */
  private note(name: string, { scope }: HttpOperation, caller: HttpCaller, answer: HttpAnswer): void {
    if (answer.status >= 400) this.refused(answer);
    if (answer.status === 403) this.audit.warn(`${caller.name}: ${name}: refused`);
    else if (scope === 'manage') this.audit.log(`${caller.name}: ${name}: ${answer.status}`);
  }

  private refused(answer: HttpAnswer): HttpAnswer {
    this.metrics.refuse((answer.body as { error?: { code?: string } }).error?.code ?? 'INTERNAL');
    return answer;
  }
}

/** Runs one operation with arguments as the HTTP API takes them. Rejects as the method does. */
export async function callOperation(
  gateway: GatewayApi,
  cluster: ClusterApi,
  name: HttpOperationName,
  input: unknown,
): Promise<HttpAnswer> {
  const operation = HTTP_OPERATIONS[name];
  const args = argumentsOf(name, operation, input);
  const target = (name in gateway ? gateway : cluster) as unknown as Record<string, Method>;
  const outcome: unknown = await target[name]?.(...args);
  const shape = (result: unknown): object => shapeOf(operation, result);
  return { status: 200, body: bodyOf(operation, input as Record<string, unknown>, outcome, shape) };
}

function argumentsOf(name: string, operation: HttpOperation, input: unknown): unknown[] {
  if (!isRecord(input)) {
    throw new GateError('BAD_ARGUMENT', `${name}: the request must be an object, but ${kindOf(input)} was given`);
  }
  const { args, optional = [], options = [] } = operation;
  for (const key of Object.keys(input)) {
    if (isOneOf(args, key) || isOneOf(options, key)) continue;
    const known = [...args, ...options].join(', ') || 'nothing';
    throw new GateError(
      'BAD_ARGUMENT',
      `${name}: it does not take ${JSON.stringify(key.slice(0, MAX_SHOWN))}, but ${known}`,
    );
  }
  const values = args.map(arg => {
    const value = input[arg];
    if (value !== undefined || optional.includes(arg)) return value;
    throw new GateError('BAD_ARGUMENT', `${name}: ${arg} is missing`);
  });
  if (options.length === 0) return values;
  const given: Record<string, unknown> = {};
  for (const option of options) {
    const value = input[option];
    if (value === undefined) continue;
    checkOption(name, option, value);
    given[option] = value;
  }
  // No options are `undefined`: a push to one client without options takes the fast path.
  return Object.keys(given).length === 0 ? values : [...values, given];
}

/** Options whose kind `GatewayApi` leaves to the compiler. */
function checkOption(name: string, option: HttpField, value: unknown): void {
  const schema = HTTP_FIELDS[option] as { readonly type?: unknown; readonly enum?: readonly unknown[] };
  if (schema.type === 'boolean' && typeof value !== 'boolean') {
    throw new GateError('BAD_ARGUMENT', `${name}: ${option} must be true or false, but ${kindOf(value)} was given`);
  }
  if (schema.enum && !schema.enum.includes(value)) {
    throw new GateError('BAD_ARGUMENT', `${name}: ${option} must be one of ${schema.enum.join(', ')}`);
  }
  if (schema.type === 'number' && !(typeof value === 'number' && Number.isFinite(value))) {
    throw new GateError('BAD_ARGUMENT', `${name}: ${option} must be a number, but ${kindOf(value)} was given`);
  }
  if (option === 'deadlineMs' && Number(value) > MAX_DEADLINE_MS) {
    throw new GateError('BAD_ARGUMENT', `${name}: deadlineMs must be at most ${MAX_DEADLINE_MS}`);
  }
}

function bodyOf(
  { result }: HttpOperation,
  input: Record<string, unknown>,
  outcome: unknown,
  shape: (result: unknown) => object,
): object {
  if (result === 'nothing' || (result === 'delivery' && !input['confirm'])) return {};
  if (input['partial'] !== 'allow') return shape(outcome);
  const partial = outcome as { readonly result?: unknown; readonly missing: readonly string[] };
  return { ...shape('result' in partial ? partial.result : partial), missing: partial.missing };
}

/** The result of an operation under the name that it has in a body. */
function shapeOf({ result: kind }: HttpOperation, result: unknown): object {
  if (kind !== 'delivery') return { result: result ?? null };
  if (typeof result === 'object' && result !== null && 'received' in result) {
    const { delivered, received } = result as { readonly delivered: number; readonly received: number };
    return { delivered, received };
  }
  // To one client, `GatewayApi` says whether it was there.
  return { delivered: typeof result === 'boolean' ? Number(result) : (result as { delivered: number }).delivered };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOneOf(fields: readonly HttpField[], key: string): boolean {
  return (fields as readonly string[]).includes(key);
}
