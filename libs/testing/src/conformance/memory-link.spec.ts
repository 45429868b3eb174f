import { afterEach, describe, expect, it } from '@jest/globals';
import { MemoryBus } from '@nestgate/link';
import { linkConformance } from './link-conformance.js';

let bus = new MemoryBus();

linkConformance(
  'memory',
  { describe, it, afterEach, expect },
  {
    createLink: () => bus.link(),
    reset: () => {
      bus = new MemoryBus();
    },
    sever: 'nodes of one process end together',
  },
);
