import { Controller, Get, type OnModuleDestroy, ServiceUnavailableException } from '@nestjs/common';

/** Whether this process can serve: 200 when it can, 503 while it drains. */
@Controller('health')
export class WorkerHealthController implements OnModuleDestroy {
  private draining = false;

  @Get()
  check() {
    if (this.draining) throw new ServiceUnavailableException({ status: 'draining' });
    return { status: 'ok' };
  }

  onModuleDestroy(): void {
    this.draining = true;
  }
}
