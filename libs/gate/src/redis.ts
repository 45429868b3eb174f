/** `@nestgate/gate/redis`: needs the optional peer `ioredis`. */
export { RedisStorage, type RedisStorageOptions } from './storage/redis-storage.js';
