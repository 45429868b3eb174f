import { Module } from '@nestjs/common';
import { JwtVerifier, readJwtVerifier } from '@nestgate-app/common';
import { AskTopics } from './ask.topics.js';
import { AuthTopics } from './auth.topics.js';
import { ChatTopics } from './chat.topics.js';
import { EchoTopics } from './echo.topics.js';
import { FanTopics } from './fan.topics.js';
import { SessionTopics } from './session.topics.js';
import { StreamTopics } from './stream.topics.js';

/**
 * The example topics. Import it into an app that has a `GateModule` or a `WorkerModule`. Whether tokens are needed is up to the
 * environment: see `readJwtOptions`.
 */
@Module({
  providers: [{ provide: JwtVerifier, useFactory: () => readJwtVerifier(process.env) }],
  controllers: [AskTopics, AuthTopics, ChatTopics, EchoTopics, FanTopics, SessionTopics, StreamTopics],
})
export class HandlersModule {}
