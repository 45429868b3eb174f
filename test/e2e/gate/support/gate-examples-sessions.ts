/** Examples of `docs/gate.md` about sessions of the HTTP app. See `gate-examples.ts`; `test/outside` runs them with the real modules. */
import { promisify } from 'node:util';
import {
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { GateModule, HandshakeHandler, HandshakeRequest } from '@nestgate/gate';

// example: express sessions
export const HANDSHAKE_MIDDLEWARE = Symbol('handshake middleware');
type Middleware = (request: never, response: never, next: (error?: unknown) => void) => void;

/** Runs middleware of Express on handshakes. */
@Injectable()
export class HandshakeMiddleware implements CanActivate {
  constructor(@Inject(HANDSHAKE_MIDDLEWARE) private readonly middleware: readonly Middleware[]) {}

  async canActivate(context: ExecutionContext) {
    const http = context.switchToHttp();
    for (const run of this.middleware) await promisify(run)(http.getRequest<never>(), http.getResponse<never>());
    return true;
  }
}

@Injectable()
@UseGuards(HandshakeMiddleware) // before guards that read `session` or `user`
export class SessionHandshake extends HandshakeHandler {
  handshake(request: HandshakeRequest) {
    const user = request.user as { id: string } | undefined;
    if (!user) throw new UnauthorizedException();
    return { userId: user.id };
  }
}

/** With what `app.use` gets too: `sessionGate(sessions, passport.initialize(), passport.session())`. */
export function sessionGate(...middleware: readonly Middleware[]) {
  return GateModule.forRoot({
    providers: [
      { provide: HANDSHAKE_MIDDLEWARE, useValue: middleware },
      { provide: HandshakeHandler, useClass: SessionHandshake },
    ],
  });
}
// end

// example: fastify sessions
interface Sessions {
  decryptSession(cookie: string, request: object, done: (error?: unknown) => void): void;
}

@Injectable()
export class FastifySessionHandshake extends HandshakeHandler {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {
    super();
  }

  async handshake(request: HandshakeRequest & { session?: { user?: { id: string } } }) {
    const fastify = this.host.httpAdapter.getInstance<Sessions>();
    await promisify(fastify.decryptSession)(request.cookies['sessionId'] ?? '', request);
    const user = request.session?.user; // what the login has put there
    if (!user) throw new UnauthorizedException();
    return { userId: user.id };
  }
}
// end
