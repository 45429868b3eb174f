import { Controller, Get, ServiceUnavailableException } from '@nestjs/common';
import { Gate } from '@nestgate/gate';

/** Whether this process can serve: 200 when it can, 503 while it drains. */
@Controller('health')
export class GateHealthController {
  constructor(private readonly gate: Gate) {}

  @Get()
  check() {
    if (!this.gate.isReady) throw new ServiceUnavailableException({ status: 'draining' });
    return { status: 'ok', clients: this.gate.delegater.getAgentNum() };
  }
}
