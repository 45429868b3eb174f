import { Module } from '@nestjs/common';
import { GateModule } from '@nestgate/gate';
import { ai } from './ai.contract.js';
import { AiTopics } from './ai.topics.js';
import { LocalModel } from './local-model.js';

/** With `resume` an answer goes on where it was when the connection comes back. */
@Module({
  imports: [GateModule.forRoot({ resume: {}, contracts: [ai], strict: true })],
  controllers: [AiTopics],
  providers: [LocalModel],
})
export class AppModule {}
