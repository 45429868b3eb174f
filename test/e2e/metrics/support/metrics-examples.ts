import { Controller, Get } from '@nestjs/common';
import { GateMetrics } from '@nestgate/gate';
import { WorkerMetrics } from '@nestgate/worker';

// example: stats
@Controller('stats')
export class StatsController {
  constructor(
    private readonly gate: GateMetrics,
    private readonly worker: WorkerMetrics, // in a gate too: it may have handlers
  ) {}

  @Get()
  read() {
    const { clients, outbox, counts, loopDelay } = this.gate.snapshot();
    return {
      clients: clients.connected,
      waitingBytes: outbox.bytes,
      dropped: counts['packs_dropped'] ?? {},
      loopDelayMs: loopDelay.p99,
      running: this.worker.snapshot().handlers.running,
    };
  }
}
// end
