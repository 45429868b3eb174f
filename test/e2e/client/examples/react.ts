// example: react
import { useEffect, useState, useSyncExternalStore } from 'react';
import type { GateClient } from '@nestgate/client';

/** Where the client stands, and what is left of its session. */
export function useGateState(gate: GateClient) {
  return useSyncExternalStore(
    listener => gate.on('state', listener),
    () => gate.state,
  );
}

/** The last pushes of a topic. */
export function usePushes<B>(gate: GateClient, topic: string, most = 100) {
  const [bodies, setBodies] = useState<readonly B[]>([]);
  useEffect(() => gate.on<B>(topic, body => setBodies(all => [...all, body].slice(-most))), [gate, topic, most]);
  return bodies;
}
// end
