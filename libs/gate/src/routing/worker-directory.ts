import { Injectable } from '@nestjs/common';
import { LinkNode } from '@nestgate/link';
import { type Peer, present } from '@nestgate/link/internal';
import { type Candidate, leastLoadedOf, WorkerLoads } from './worker-loads.js';

/** Maximum number of remembered modules. Above it, a known module may result in `NO_ROUTE` instead of `NO_WORKER`. */
const MAX_KNOWN_MODULES = 10_000;
const NONE: readonly Peer[] = [];

/** Who serves which module now, how many clients each worker has, and how busy it is. */
@Injectable()
export class WorkerDirectory {
  private byModule = new Map<string, Peer[]>();
  private readonly everAnnounced = new Set<string>();
  private readonly clients = new Map<Peer, number>();
  private readonly listeners = new Set<() => void>();
  private readonly loads = new WorkerLoads();

  constructor(private readonly node: LinkNode) {
    node.onPeer(() => this.refresh());
    this.refresh();
  }

  workersOf(module: string): readonly Peer[] {
    return this.byModule.get(module) ?? NONE;
  }

  /** True when some worker has announced the module since this gate started. */
  isKnown(module: string): boolean {
    return this.everAnnounced.has(module);
  }

  /** Of these workers, the one that is the least loaded: by clients of this gate, unanswered frames, and delay. */
  leastLoaded(workers: readonly Peer[]): Peer | undefined {
    return workers[leastLoadedOf(this.loadsOf(workers))];
  }

  /** How loaded these workers are, in their order. */
  loadsOf(workers: readonly Peer[]): Candidate[] {
    this.loads.refresh(workers);
    return workers.map(worker => ({ clients: this.clientsOf(worker), ...this.loads.of(worker) }));
  }

  /** The workers that serve anything now. */
  get workers(): ReadonlySet<Peer> {
    return new Set([...this.byModule.values()].flat());
  }

  /** How many clients of this gate a worker has. */
  clientsOf(worker: Peer): number {
    return this.clients.get(worker) ?? 0;
  }

  /** A client has moved from one worker to another. */
  noteMove(from: Peer | undefined, to: Peer | undefined): void {
    if (from && this.clients.has(from)) {
      const left = present(this.clients.get(from)) - 1;
      if (left > 0) this.clients.set(from, left);
      else this.clients.delete(from);
    }
    if (to) this.clients.set(to, (this.clients.get(to) ?? 0) + 1);
  }

  /** Calls back whenever workers have come, changed or gone. Returns how to stop. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private refresh(): void {
    const byModule = new Map<string, Peer[]>();
    const present = new Set(this.node.peers.values());
    for (const peer of present) {
      // A draining gate still serves its own clients when it runs their handlers.
      if (peer.info.draining && peer !== this.node.me) continue;
      for (const module of peer.info.modules) {
        const workers = byModule.get(module);
        if (workers) workers.push(peer);
        else byModule.set(module, [peer]);
        if (this.everAnnounced.size < MAX_KNOWN_MODULES) this.everAnnounced.add(module);
      }
    }
    this.byModule = byModule;
    for (const peer of this.clients.keys()) if (!present.has(peer)) this.clients.delete(peer);
    this.loads.retain(present);
    for (const listener of this.listeners) {
      try {
        listener();
      } catch (error) {
        this.node.reportDefect(error, 'link.peer');
      }
    }
  }
}
