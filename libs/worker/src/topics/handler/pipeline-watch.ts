import type { ApplicationConfig } from '@nestjs/core';
import { watchPipelines } from '../../internals/nest.js';
import { type GlobalEnhancers, globalEnhancers, isUnchanged } from './handler-enhancers.js';

const nothing = (): void => undefined;

/**
 * Knows for which topics Nest has made the pipeline with the configuration of this app. A microservice of a hybrid app may have a
 * configuration of its own, with guards that this one knows nothing of. Which one a pipeline is made with can only be seen by its
 * being asked. It is watched only while Nest makes a pipeline, so that the application finds it as it has left it.
 */
export class PipelineWatch {
  /** By topic: what the configuration was when the pipeline was made. */
  private readonly own = new Map<string, GlobalEnhancers>();
  private isMade = false;
  private stop: () => void = nothing;

  constructor(private readonly config: ApplicationConfig | undefined) {}

  /** Nest is about to make a pipeline. */
  begin(): void {
    this.end();
    const { config } = this;
    if (config) this.stop = watchPipelines(config, () => (this.isMade = true));
  }

  /** The pipeline has been made, of the handler of this topic. */
  end(topic?: string): void {
    if (topic !== undefined && this.isMade && this.config) this.own.set(topic, globalEnhancers(this.config));
    this.isMade = false;
    this.stop();
    this.stop = nothing;
  }

  /** Whether the pipeline of a topic was made with this configuration, and nothing has been added since: that is in no pipeline. */
  isOwn(topic: string): boolean {
    const made = this.own.get(topic);
    return made !== undefined && this.config !== undefined && isUnchanged(made, this.config);
  }
}
