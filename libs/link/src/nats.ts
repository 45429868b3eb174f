/** `@nestgate/link/nats`: needs the optional peer `@nats-io/transport-node`. */
export { type NatsCounters, NatsLink, type NatsLinkOptions } from './drivers/nats/nats-link.js';
