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
  UseGuards,
} from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { GateMetrics } from '@nestgate/gate';
import { HandlerObservers, HttpMetrics, NodeMetrics, WebhookMetrics, WorkerMetrics } from '@nestgate/worker';
import { Histogram, Registry } from 'prom-client';
import { GATE_ROWS, HTTP_ROWS, NODE_ROWS, WEBHOOK_ROWS, WORKER_ROWS } from './metrics-rows.js';
import { expose, oncePerScrape } from './metrics-exposer.js';
import { OperationsGuard } from '../operations/operations.guard.js';
import { OperationsModule } from '../operations/operations.module.js';
import { PROCESS_ROWS, processFigures } from './metrics-process.js';

/** Options of {@link MetricsModule.forRoot}. */
export interface MetricsModuleOptions {
  /** Where the metrics are; one of its own unless given. The module exports it, so that an app can add its own. */
  readonly registry?: Registry;
  /** Whether CPU and memory of the process are among them. @defaultValue true */
  readonly process?: boolean;
  /** Whether the time of each handler is measured, by topic: two looks at the clock for each frame. @defaultValue false */
  readonly handlerTimes?: boolean;
}

/** Upper bounds of the buckets of handler times, in seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Puts into the registry what this app has: a gate, handlers, or only a link, and the HTTP API. */
@Injectable()
class MetricsCollector implements OnModuleInit {
  constructor(
    private readonly moduleRef: ModuleRef,
    private readonly registry: Registry,
    private readonly withProcess: boolean,
    private readonly withHandlerTimes: boolean,
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
    const observers = this.withHandlerTimes ? this.find(HandlerObservers) : undefined;
    if (observers) timeHandlers(registry, observers);
    const http = this.find(HttpMetrics);
    if (http)
      expose(
        registry,
        HTTP_ROWS,
        oncePerScrape(() => http.snapshot()),
      );
    const webhooks = this.find(WebhookMetrics);
    if (webhooks)
      expose(
        registry,
        WEBHOOK_ROWS,
        oncePerScrape(() => webhooks.snapshot()),
      );
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

function timeHandlers(registry: Registry, observers: HandlerObservers): void {
  const histogram = new Histogram({
    name: 'nestgate_handler_seconds',
    help: 'How long handlers take, by topic.',
    labelNames: ['topic'],
    buckets: BUCKETS,
    registers: [registry],
  });
  // Topics are those of handlers, never what clients send.
  observers.add(topic => {
    const ofTopic = histogram.labels(topic);
    return seconds => ofTopic.observe(seconds);
  });
}

/** `GET /metrics`: the metrics as Prometheus reads them. */
@Controller('metrics')
@UseGuards(OperationsGuard)
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
 * Serves `/metrics` to whom `OperationsGuard` admits: the figures of `GateMetrics` and `WorkerMetrics`, whichever the app has. They
 * are read on each scrape, and cost nothing otherwise.
 */
@Module({})
export class MetricsModule {
  static forRoot({
    registry = new Registry(),
    process = true,
    handlerTimes = false,
  }: MetricsModuleOptions = {}): DynamicModule {
    return {
      module: MetricsModule,
      imports: [OperationsModule],
      controllers: [MetricsController],
      providers: [
        { provide: Registry, useValue: registry },
        {
          provide: MetricsCollector,
          useFactory: (moduleRef: ModuleRef) => new MetricsCollector(moduleRef, registry, process, handlerTimes),
          inject: [ModuleRef],
        },
      ],
      exports: [Registry],
    };
  }
}
