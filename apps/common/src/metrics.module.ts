import {
  Controller,
  type DynamicModule,
  Get,
  Header,
  Injectable,
  Module,
  type OnModuleInit,
  Res,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { GateMetrics } from '@nestgate/gate';
import { NodeMetrics, WorkerMetrics } from '@nestgate/worker';
import { Registry } from 'prom-client';
import { GATE_ROWS, NODE_ROWS, WORKER_ROWS } from './metrics-rows.js';
import { expose, oncePerScrape } from './metrics-exposer.js';
import { PROCESS_ROWS, processFigures } from './metrics-process.js';

/** Options of {@link MetricsModule.forRoot}. */
export interface MetricsModuleOptions {
  /** Where the metrics are; one of its own unless given. The module exports it, so that an app can add its own. */
  readonly registry?: Registry;
  /** Whether CPU and memory of the process are among them. @defaultValue true */
  readonly process?: boolean;
}

/** Puts into the registry what this app has: a gate, handlers, or only a link. */
@Injectable()
class MetricsCollector implements OnModuleInit {
  constructor(
    private readonly moduleRef: ModuleRef,
    private readonly registry: Registry,
    private readonly withProcess: boolean,
  ) {}

  onModuleInit(): void {
    const { registry } = this;
    const gate = this.find(GateMetrics);
    const worker = this.find(WorkerMetrics);
    const node = this.find(NodeMetrics);
    const gateFigures = gate && oncePerScrape(() => gate.snapshot());
    const workerFigures = worker && oncePerScrape(() => worker.snapshot());
    const nodeFigures = gateFigures ?? workerFigures ?? (node && oncePerScrape(() => node.snapshot()));
    if (nodeFigures) expose(registry, NODE_ROWS, nodeFigures);
    if (gateFigures) expose(registry, GATE_ROWS, gateFigures);
    if (workerFigures) expose(registry, WORKER_ROWS, workerFigures);
    if (this.withProcess) expose(registry, PROCESS_ROWS, oncePerScrape(processFigures));
  }

  /** Wherever it is: the module of a gate need not be global. */
  private find<T>(type: Type<T>): T | undefined {
    try {
      return this.moduleRef.get<T>(type, { strict: false });
    } catch {
      return undefined;
    }
  }
}

/** `GET /metrics`: the metrics as Prometheus reads them. */
@Controller('metrics')
class MetricsController {
  constructor(
    private readonly registry: Registry,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  @Get()
  @Header('Cache-Control', 'no-store')
  async read(@Res({ passthrough: true }) response: unknown): Promise<string> {
    this.adapterHost.httpAdapter.setHeader(response, 'Content-Type', this.registry.contentType);
    return this.registry.metrics();
  }
}

/**
 * Serves `/metrics` on the port of the app: the figures of `GateMetrics` and `WorkerMetrics`, whichever the app has. They are
 * read when somebody asks, and cost nothing else. They name no client, uid or group; still, a proxy in front of clients should
 * not pass on the path.
 */
@Module({})
export class MetricsModule {
  static forRoot({ registry = new Registry(), process = true }: MetricsModuleOptions = {}): DynamicModule {
    return {
      module: MetricsModule,
      controllers: [MetricsController],
      providers: [
        { provide: Registry, useValue: registry },
        {
          provide: MetricsCollector,
          useFactory: (moduleRef: ModuleRef) => new MetricsCollector(moduleRef, registry, process),
          inject: [ModuleRef],
        },
      ],
      exports: [Registry],
    };
  }
}
