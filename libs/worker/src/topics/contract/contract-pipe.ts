import { Inject, Injectable, type PipeTransform, type Type } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { RpcException } from '@nestjs/microservices';
import { type AnySchema, defaultMessage } from '@nestgate/protocol';
import { metadataOf, PARAM_ARGS_METADATA, RpcParamtype } from '../../internals/nest.js';
import { contractChecks, type ContractOptions } from '../../contract/contract-options.js';
import { NODE_OPTIONS } from '../../node/node-options.js';
import { type IssueDetail, validated } from '../../contract/schema-issues.js';

/** Validates a body by the schema of its entry: after the guards and the pipes of app, class and method, and before other pipes of the parameter. */
export abstract class ContractPipe implements PipeTransform {
  private off: boolean | undefined;

  constructor(
    private readonly schema: AnySchema,
    private readonly moduleRef: ModuleRef,
  ) {}

  /** Whether the app has turned validation off. */
  get isOff(): boolean {
    return (this.off ??= !contractChecks(this.options()).bodies);
  }

  transform(value: unknown): unknown {
    return this.isOff ? value : validated(this.schema, value, badRequest);
  }

  /** Those of the app, from wherever its module is. A controller without one, in a test, has its bodies validated too. */
  private options(): ContractOptions {
    try {
      return this.moduleRef.get<ContractOptions>(NODE_OPTIONS, { strict: false });
    } catch {
      return {};
    }
  }
}

function badRequest(issues: readonly IssueDetail[]): RpcException {
  return new RpcException({ code: 'BAD_REQUEST', message: defaultMessage('BAD_REQUEST'), details: issues });
}

/** A class for each schema: Nest makes one instance of it for each app. */
export function contractPipe(schema: AnySchema): Type<PipeTransform> {
  @Injectable()
  class SchemaPipe extends ContractPipe {
    constructor(@Inject(ModuleRef) moduleRef: ModuleRef) {
      super(schema, moduleRef);
    }
  }
  return SchemaPipe;
}

interface ParameterArgs {
  readonly index: number;
  readonly data?: unknown;
  readonly pipes?: readonly unknown[];
}

/**
 * Makes sure that a handler has a parameter for the payload, which is the first one unless another has `@Payload()`, and gives it the
 * pipe of the schema.
 * @throws {Error} when `@Payload(key)` takes a part of the body.
 */
export function takePayload(target: object, key: string | symbol, name: string, schema: AnySchema | undefined): void {
  const { constructor } = target;
  const args = metadataOf<Record<string, ParameterArgs>>(PARAM_ARGS_METADATA, constructor, key) ?? {};
  const payloads = Object.entries(args).filter(([id]) => id.startsWith(`${RpcParamtype.PAYLOAD}:`));
  if (payloads.some(([, { data }]) => data !== undefined)) {
    throw new Error(`${name}: @Payload(key) takes a part of the body; a handler of a contract's entry takes all of it`);
  }
  const taken = Object.values(args).map(({ index }) => index);
  const index = taken.includes(0) ? Math.max(...taken) + 1 : 0;
  const wanted: [string, ParameterArgs][] =
    payloads.length > 0 ? payloads : [[`${RpcParamtype.PAYLOAD}:${index}`, { index, data: undefined, pipes: [] }]];
  const pipe = schema && contractPipe(schema);
  // Before other pipes of the parameter: those work on what the schema has let through.
  const piped = wanted.map(([id, each]) => [id, pipe ? { ...each, pipes: [pipe, ...(each.pipes ?? [])] } : each]);
  Reflect.defineMetadata(PARAM_ARGS_METADATA, { ...args, ...Object.fromEntries(piped) }, constructor, key);
}
