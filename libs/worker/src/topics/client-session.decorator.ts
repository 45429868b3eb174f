import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Session } from '../session/session.js';
import type { TopicContext } from './topic-context.js';

/** What {@link ClientSession} gives a parameter. Named, so that it is known where no execution context is needed for it. */
export function sessionOf(_data: unknown, context: ExecutionContext): Session {
  return context.switchToRpc().getContext<TopicContext>().session;
}

/** The session of the client whose frame is handled. */
export const ClientSession: () => ParameterDecorator = createParamDecorator(sessionOf);
