import { Controller, Get, UseGuards } from '@nestjs/common';
import { HealthCheck, HealthCheckService } from '@nestjs/terminus';
import { Gate } from '@nestgate/gate';
import {
  GateDrainHealthIndicator,
  GateLinkHealthIndicator,
  GateStartHealthIndicator,
  GateStorageHealthIndicator,
} from './health-indicators.js';
import { OperationsGuard } from '../operations/operations.guard.js';

/** Whether a gate can serve, and whether it should get new clients. */
@Controller('health')
@UseGuards(OperationsGuard)
export class GateHealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly drain: GateDrainHealthIndicator,
    private readonly start: GateStartHealthIndicator,
    private readonly link: GateLinkHealthIndicator,
    private readonly storage: GateStorageHealthIndicator,
    private readonly gate: Gate,
  ) {}

  /** 200 while the process can serve, with workers or without; 503 while it drains. */
  @Get()
  @HealthCheck()
  async live() {
    const result = await this.health.check([() => this.drain.check()]);
    return { ...result, clients: this.gate.delegater.getAgentNum() };
  }

  /** 503 also while the gate does not take clients yet, and while the link is down: nobody would answer a new client here. */
  @Get('ready')
  @HealthCheck()
  ready() {
    return this.health.check([
      () => this.drain.check(),
      () => this.start.check(),
      () => this.link.check(),
      () => this.storage.check(),
    ]);
  }
}
