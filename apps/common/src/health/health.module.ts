import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { OperationsModule } from '../operations/operations.module.js';
import { GateHealthController } from './gate-health.controller.js';
import {
  GateDrainHealthIndicator,
  GateStartHealthIndicator,
  GateStorageHealthIndicator,
  GateLinkHealthIndicator,
  WorkerDrainHealthIndicator,
} from './health-indicators.js';
import { WorkerHealthController } from './worker-health.controller.js';

// Silent: a probe that fails every 2 s while an app drains is no error, and its response contains the reason.
const terminus = TerminusModule.forRoot({ logger: false });
const gateIndicators = [
  GateDrainHealthIndicator,
  GateStartHealthIndicator,
  GateLinkHealthIndicator,
  GateStorageHealthIndicator,
];
const workerIndicators = [WorkerDrainHealthIndicator, GateLinkHealthIndicator];

/** `/health` and `/health/ready` of an app with a `GateModule`; exports the indicators for checks of your own. */
@Module({
  imports: [terminus, OperationsModule],
  controllers: [GateHealthController],
  providers: gateIndicators,
  exports: [terminus, ...gateIndicators],
})
export class GateHealthModule {}

/** `/health` and `/health/ready` of an app with a `WorkerModule`; exports the indicators for checks of your own. */
@Module({
  imports: [terminus, OperationsModule],
  controllers: [WorkerHealthController],
  providers: workerIndicators,
  exports: [terminus, ...workerIndicators],
})
export class WorkerHealthModule {}
