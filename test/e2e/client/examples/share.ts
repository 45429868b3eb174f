// example: share
import type { ConnectOptions } from '@nestgate/client';
import { connectShared } from '@nestgate/client/share';

export function inboxOf(user: string, options: ConnectOptions = {}) {
  // Tabs with the same name share a connection: one for each user.
  return connectShared('wss://example.com/gate', { ...options, name: `inbox of ${user}` });
}
// end
