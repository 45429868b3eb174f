/** @nestjs/schedule: jobs that push. The process ends by itself when the app is closed, if nothing keeps it. */
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cron, Interval, ScheduleModule, Timeout } from '@nestjs/schedule';
import { GateModule } from '@nestgate/gate';
import { GatewayApi } from '@nestgate/worker';
import { serve } from './serve.js';

@Injectable()
class Jobs {
  private ticks = 0;

  constructor(private readonly gateway: GatewayApi) {}

  @Interval(20)
  async tick(): Promise<void> {
    await this.gateway.sendToAll('jobs/tick', { tick: ++this.ticks });
  }

  @Cron('* * * * * *')
  async everySecond(): Promise<void> {
    await this.gateway.sendToAll('jobs/second', null);
  }

  @Timeout(0)
  async once(): Promise<void> {
    await this.gateway.sendToAll('jobs/once', null);
  }
}

@Module({ imports: [ScheduleModule.forRoot(), GateModule.forRoot({ startupWait: 0 })], providers: [Jobs] })
class App {}

const app = await NestFactory.create(App, { logger: ['error', 'warn'] });
process.once('SIGUSR2', () => {
  void app.close().then(() => console.log('closed'));
});
await serve(app);
