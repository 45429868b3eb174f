import { Module } from '@nestjs/common';
import { ChatTopics } from './chat.topics.js';
import { EchoTopics } from './echo.topics.js';
import { FanTopics } from './fan.topics.js';
import { SessionTopics } from './session.topics.js';

/** The example topics. Import it into an app that has a `GateModule` or a `WorkerModule`. */
@Module({ controllers: [ChatTopics, EchoTopics, FanTopics, SessionTopics] })
export class HandlersModule {}
