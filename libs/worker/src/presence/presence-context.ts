import { BaseRpcContext } from '@nestjs/microservices';

/** What a handler of presence gets as `@Ctx()`. */
export class PresenceContext extends BaseRpcContext<[]> {
  constructor() {
    super([]);
  }
}
