import { Body, Controller, HttpCode, HttpException, Inject, Param, Post } from '@nestjs/common';
import type { INestApplication } from '@nestjs/common';
import { ClientProxy, ClientsModule } from '@nestjs/microservices';
import { type Link, MemoryBus } from '@nestgate/link';
import { createTestCluster, type FakeClient, type TestCluster, type TestClusterOptions } from '@nestgate/testing';
import { GateClientProxy, type GateError } from '@nestgate/worker';
import { catchError, type Observable } from 'rxjs';
import { type LinkName, LinkSupply } from '../../support/links.js';
import { startApp } from '../../../support/start-app.js';

/** An HTTP service that asks gates for whatever its own clients post, without looking at it. */
@Controller()
export class OperatorController {
  constructor(@Inject('GATES') readonly gates: ClientProxy) {}

  @Post('send/:pattern')
  @HttpCode(200)
  send(@Param('pattern') pattern: string, @Body() data: unknown): Observable<unknown> {
    return this.gates.send<unknown>(pattern, data).pipe(catchError(refuse));
  }

  @Post('emit/:pattern')
  @HttpCode(200)
  emit(@Param('pattern') pattern: string, @Body() data: unknown): Observable<unknown> {
    return this.gates.emit<unknown>(pattern, data).pipe(catchError(refuse));
  }
}

function refuse({ code, message, details }: GateError): never {
  throw new HttpException({ code, message, details }, 400);
}

/** What the service has answered. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Two gates, and an HTTP service that is on the same link with a `GateClientProxy` of its own. */
export class Operators {
  private constructor(
    readonly cluster: TestCluster,
    readonly service: INestApplication,
    private readonly url: string,
  ) {}

  static async open(supply: LinkSupply, name: LinkName, gate: TestClusterOptions['gate'] = {}): Promise<Operators> {
    const bus = new MemoryBus();
    const gates = 2;
    const link: (role: 'gate' | 'worker' | 'api', index: number) => Link =
      (name === 'memory' ? undefined : await supply.forCluster(gates)) ?? (() => bus.link());
    const cluster = await createTestCluster({ gates, gate, link });
    const options = { link: link('api', 0), nodeId: 'operators', deadlineMs: 2_000 };
    const service = await startApp({
      imports: [ClientsModule.register([{ name: 'GATES', customClass: GateClientProxy, options }])],
      controllers: [OperatorController],
    });
    return new Operators(cluster, service, await service.getUrl());
  }

  get gates(): GateClientProxy {
    return this.service.get('GATES');
  }

  send(pattern: string, data: unknown = {}): Promise<Answer> {
    return this.post(`send/${pattern}`, data);
  }

  emit(pattern: string, data: unknown = {}): Promise<Answer> {
    return this.post(`emit/${pattern}`, data);
  }

  /** A client of each of the two gates. */
  clients(): Promise<FakeClient[]> {
    return Promise.all([0, 1].map(gate => this.cluster.connect({ gate })));
  }

  async close(): Promise<void> {
    await this.service.close();
    await this.cluster.close();
  }

  private async post(path: string, data: unknown): Promise<Answer> {
    const response = await fetch(`${this.url}/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(data),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  }
}
