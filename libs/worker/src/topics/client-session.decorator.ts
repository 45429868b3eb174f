import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Session } from '../session/session.js';
import type { TopicContext } from './topic-context.js';

/** The session of the client whose frame is handled. */
export const ClientSession: () => ParameterDecorator = createParamDecorator(
  (_data: unknown, context: ExecutionContext): Session => context.switchToRpc().getContext<TopicContext>().session,
);
