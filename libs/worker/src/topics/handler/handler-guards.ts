import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { FORBIDDEN_MESSAGE } from '../../internals/nest.js';
import { RpcException } from '@nestjs/microservices';
import { isObservable, lastValueFrom } from 'rxjs';

/**
 * Asks the guards of a handler, as Nest's `GuardsConsumer` does, but without a promise while they answer with booleans.
 * @returns a promise as soon as one of them answers otherwise.
 * @throws {RpcException} when one says no; with a promise, it rejects.
 */
export function askGuards(guards: readonly CanActivate[], context: ExecutionContext): Promise<void> | undefined {
  for (let i = 0; i < guards.length; i++) {
    const answer = guards[i]?.canActivate(context);
    if (answer === true) continue;
    if (answer === false) throw refusal();
    return askRest(guards, i, answer, context);
  }
  return undefined;
}

async function askRest(
  guards: readonly CanActivate[],
  first: number,
  pending: unknown,
  context: ExecutionContext,
): Promise<void> {
  let answer: unknown = pending;
  for (let i = first; ; answer = guards[i]?.canActivate(context)) {
    const accepted = typeof answer === 'boolean' ? answer : await settled(answer);
    if (!accepted) throw refusal();
    if (++i === guards.length) return;
  }
}

async function settled(answer: unknown): Promise<unknown> {
  const value = await answer;
  return isObservable(value) ? lastValueFrom(value) : value;
}

function refusal(): RpcException {
  return new RpcException(FORBIDDEN_MESSAGE);
}
