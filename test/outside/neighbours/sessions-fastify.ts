/** An HTTP login with @fastify/session, whose cookie lets WebSocket clients in; and a signed cookie of @fastify/cookie. */
import { fastifyCookie } from '@fastify/cookie';
import { fastifySession } from '@fastify/session';
import { Body, Controller, Injectable, Module, Post, Req, Res, UnauthorizedException } from '@nestjs/common';
import { HttpAdapterHost, NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { GateModule, HandshakeHandler, type HandshakeRequest } from '@nestgate/gate';
import { ClientSession, OnTopic, type Session } from '@nestgate/worker';
import { FastifySessionHandshake } from './recipe.js';
import { serve } from './serve.js';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface Session {
    user?: { readonly id: string };
  }
}

@Controller()
class Accounts {
  @Post('login')
  login(@Body('username') id: string, @Req() request: FastifyRequest): object {
    request.session.user = { id };
    return { id };
  }

  @Post('remember')
  remember(@Body('username') id: string, @Res({ passthrough: true }) reply: FastifyReply): object {
    reply.setCookie('remembered', id, { signed: true, path: '/' });
    return { id };
  }

  @OnTopic('me')
  me(@ClientSession() { userId }: Session): object {
    return { userId };
  }
}

/** A signed cookie, where there is no session. */
@Injectable()
class RememberingHandshake extends HandshakeHandler {
  constructor(
    private readonly sessions: FastifySessionHandshake,
    private readonly host: HttpAdapterHost,
  ) {
    super();
  }

  override async handshake(request: HandshakeRequest) {
    const { remembered } = request.cookies;
    if (remembered === undefined) return this.sessions.handshake(request);
    const { valid, value } = this.host.httpAdapter.getInstance<FastifyInstance>().unsignCookie(remembered);
    if (!valid) throw new UnauthorizedException();
    return { userId: value };
  }
}

@Module({
  imports: [
    GateModule.forRoot({
      startupWait: 0,
      providers: [FastifySessionHandshake, { provide: HandshakeHandler, useClass: RememberingHandshake }],
    }),
  ],
  controllers: [Accounts],
})
class App {}

const app = await NestFactory.create<NestFastifyApplication>(App, new FastifyAdapter(), { logger: ['error', 'warn'] });
const secret = 'a secret of the test, of 32 characters or more';
await app.register(fastifyCookie, { secret });
await app.register(fastifySession, { secret, cookie: { secure: false } });
await serve(app);
