/** An HTTP login with express-session and Passport, whose cookie lets WebSocket clients in. */
import {
  type ArgumentsHost,
  Catch,
  type CanActivate,
  Controller,
  type ExceptionFilter,
  type ExecutionContext,
  HttpException,
  Injectable,
  Module,
  Post,
  Req,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AuthGuard, PassportModule, PassportSerializer, PassportStrategy } from '@nestjs/passport';
import { GateModule, HandshakeHandler } from '@nestgate/gate';
import { ClientSession, GatewayApi, OnConnect, OnTopic, type Session } from '@nestgate/worker';
import session from 'express-session';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { HANDSHAKE_MIDDLEWARE, SessionHandshake } from './recipe.js';
import { serve } from './serve.js';

interface User {
  readonly id: string;
}

/** What Passport has put on a request. */
interface LoginRequest {
  readonly user: User;
  logIn(user: User, done: (error?: unknown) => void): void;
  logout(done: (error?: unknown) => void): void;
}

@Injectable()
class LocalStrategy extends PassportStrategy(Strategy) {
  validate(name: string, password: string): User {
    if (password !== 'secret') throw new UnauthorizedException();
    return { id: name };
  }
}

@Injectable()
class UserSerializer extends PassportSerializer {
  serializeUser(user: User, done: (error: null, id: string) => void): void {
    done(null, user.id);
  }

  deserializeUser(id: string, done: (error: null, user: User) => void): void {
    done(null, { id });
  }
}

/** As in the docs of Nest: it saves the user in the session. */
@Injectable()
class LoginGuard extends AuthGuard('local') {
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    await super.canActivate(context);
    await super.logIn(context.switchToHttp().getRequest<LoginRequest>());
    return true;
  }
}

/** Writes a response of its own, on handshakes too. */
@Catch(HttpException)
class OwnAnswer implements ExceptionFilter {
  catch(exception: HttpException, host: ArgumentsHost): void {
    if (host.getType() !== 'http') throw exception;
    const response = host.switchToHttp().getResponse<{ status(code: number): { json(body: object): void } }>();
    response.status(exception.getStatus()).json({ refused: exception.getStatus() });
  }
}

/** A middleware that answers and does not go on. */
function refuseRobots(
  request: { headers: Record<string, string | undefined> },
  response: { status(code: number): { json(body: object): void } },
  next: (error?: unknown) => void,
): void {
  if (request.headers['user-agent'] === 'robot') response.status(429).json({ by: 'middleware' });
  else next();
}

/** Another guard of the application that reads what Passport puts on requests. */
@Injectable()
class Authenticated implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{ isAuthenticated(): boolean; query: Record<string, string> }>();
    if (request.query['as'] === 'teapot') throw new HttpException('No coffee', 418);
    return request.isAuthenticated();
  }
}

@Controller()
class Accounts {
  constructor(private readonly gateway: GatewayApi) {}

  @Post('login')
  @UseGuards(LoginGuard)
  login(@Req() { user }: LoginRequest): User {
    return user;
  }

  @Post('logout')
  async logout(@Req() request: LoginRequest): Promise<object> {
    const { id } = request.user;
    await new Promise<void>((done, fail) => request.logout(error => (error ? fail(error as Error) : done())));
    return { closed: await this.gateway.revoke(id) };
  }

  @OnConnect()
  async arrived(@ClientSession() session: Session): Promise<void> {
    await session.toSet('seenAs', session.userId);
  }

  @OnTopic('me')
  me(@ClientSession() { userId }: Session): object {
    return { userId };
  }

  @OnTopic('me/settings')
  settings(@ClientSession() session: Session): object {
    return session.cloneSettings();
  }
}

@Injectable()
@UseGuards(Authenticated)
class GuardedHandshake extends SessionHandshake {}

const sessions = session({ secret: 'a secret of the test', resave: false, saveUninitialized: false });

@Module({
  imports: [
    PassportModule.register({ session: true }),
    GateModule.forRoot({
      startupWait: 0,
      providers: [
        {
          provide: HANDSHAKE_MIDDLEWARE,
          useValue: [refuseRobots, sessions, passport.initialize(), passport.session()],
        },
        { provide: HandshakeHandler, useClass: GuardedHandshake },
      ],
    }),
  ],
  controllers: [Accounts],
  providers: [LocalStrategy, UserSerializer],
})
class App {}

const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
app.use(sessions, passport.initialize(), passport.session());
app.useGlobalFilters(new OwnAnswer());
await serve(app);
