import { Controller, Get, UseGuards } from '@nestjs/common';
import { HealthCheck, HealthCheckService } from '@nestjs/terminus';
import { GateLinkHealthIndicator, WorkerDrainHealthIndicator } from './health-indicators.js';
import { OperationsGuard } from '../operations/operations.guard.js';

/** Whether a worker can serve, and whether it is connected to those whom it serves. */
@Controller('health')
@UseGuards(OperationsGuard)
export class WorkerHealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly drain: WorkerDrainHealthIndicator,
    private readonly link: GateLinkHealthIndicator,
  ) {}

  /** 200 while the process can serve, 503 while it drains. */
  @Get()
  @HealthCheck()
  live() {
    return this.health.check([() => this.drain.check()]);
  }

  /** 503 also while no gate is in reach. */
  @Get('ready')
  @HealthCheck()
  ready() {
    return this.health.check([() => this.drain.check(), () => this.link.check()]);
  }
}
