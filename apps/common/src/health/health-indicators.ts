import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { HealthIndicatorService } from '@nestjs/terminus';
import { Gate } from '@nestgate/gate';
import { NodeMetrics } from '@nestgate/worker';

/** `drain` of a gate: down from the moment it is told to end, which is when it begins to refuse new clients. */
@Injectable()
export class GateDrainHealthIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly gate: Gate,
  ) {}

  check() {
    const indicator = this.indicators.check('drain');
    return this.gate.isDraining ? indicator.down('the gate is draining') : indicator.up();
  }
}

/** `start` of a gate: down while it waits for other nodes right after its start, and takes no clients yet. */
@Injectable()
export class GateStartHealthIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly gate: Gate,
  ) {}

  check() {
    const indicator = this.indicators.check('start');
    const isStarting = !this.gate.isReady && !this.gate.isDraining;
    return isStarting ? indicator.down('the gate waits for other nodes') : indicator.up();
  }
}

/** `drain` of an app without a gate: down from the moment it is told to end; its handlers go on for a while. */
@Injectable()
export class WorkerDrainHealthIndicator implements OnModuleDestroy {
  private isDraining = false;

  constructor(private readonly indicators: HealthIndicatorService) {}

  check() {
    const indicator = this.indicators.check('drain');
    return this.isDraining ? indicator.down('the worker is draining') : indicator.up();
  }

  onModuleDestroy(): void {
    this.isDraining = true;
  }
}

/**
 * `link`: down while the link is. A worker that reaches no gate is down too: that is what a wrong address looks like, and an
 * update with one has to stop before it has replaced the workers that work.
 */
@Injectable()
export class GateLinkHealthIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly node: NodeMetrics,
  ) {}

  check() {
    const indicator = this.indicators.check('link');
    const { isUp, peers } = this.node.link();
    if (isUp) return indicator.up({ peers });
    const isAlone = this.node.role !== 'gate' && peers.gate === 0;
    return indicator.down(isAlone ? 'no gate is in reach' : 'the link is down');
  }
}

/**
 * `storage`: degraded while the session storage is known to be out of reach, and never down. It is the same storage for all
 * gates: they would all be taken out at once, and with them the clients that are connected, who talk on without it.
 */
@Injectable()
export class GateStorageHealthIndicator {
  constructor(
    private readonly indicators: HealthIndicatorService,
    private readonly gate: Gate,
  ) {}

  check() {
    const indicator = this.indicators.check('storage');
    const isAvailable = this.gate.storageHandler.isAvailable as boolean | undefined;
    return isAvailable === false ? indicator.degraded('binds fail, and changes are not stored') : indicator.up();
  }
}
