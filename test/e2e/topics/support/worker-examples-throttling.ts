/** The example of `docs/worker.md` about throttling. See `worker-examples.ts`. */
import { type ExecutionContext, Injectable, Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import type { TopicContext } from '@nestgate/worker';

// example: throttling
@Injectable()
export class GateThrottlerGuard extends ThrottlerGuard {
  protected override getRequestResponse(context: ExecutionContext) {
    if (context.getType() !== 'rpc') return super.getRequestResponse(context);
    const { session } = context.switchToRpc().getContext<TopicContext>();
    return { req: { ip: session.ip, headers: {} }, res: {} };
  }
}

@Module({
  imports: [ThrottlerModule.forRoot([{ ttl: 60_000, limit: 100 }])],
  providers: [{ provide: APP_GUARD, useClass: GateThrottlerGuard }],
})
export class ThrottlingModule {}
// end
