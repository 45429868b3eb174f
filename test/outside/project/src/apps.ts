import { Module } from '@nestjs/common';
import { GateModule } from '@nestgate/gate';
import { WorkerModule } from '@nestgate/worker';
import { ChatTopics, Roll, RoomsController } from './chat.js';

const link = process.env['LINK'] ?? 'memory:';

@Module({
  imports: [GateModule.forRoot({ ws: { path: '/gate' } })],
  controllers: [ChatTopics, RoomsController],
  providers: [Roll],
})
export class WholeApp {}

@Module({ imports: [GateModule.forRoot({ link, requireOnConnect: true })], controllers: [RoomsController] })
export class GateApp {}

@Module({ imports: [WorkerModule.forRoot({ link })], controllers: [ChatTopics], providers: [Roll] })
export class WorkerApp {}
