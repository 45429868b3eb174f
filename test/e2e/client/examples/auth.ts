// example: auth
import { connect, type ConnectOptions } from '@nestgate/client';

export function signedIn(url: string, showLogin: () => void, options: ConnectOptions = {}) {
  const gate = connect(url, {
    ...options,
    // The first time, after it has expired or was refused, and before it expires. Nothing: the user has signed out.
    async token() {
      const response = await fetch('/api/token', { method: 'POST' });
      return response.status === 401 ? null : ((await response.json()) as { token: string }).token;
    },
  });
  gate.on('state', state => {
    if (state.name === 'ended') showLogin();
  });
  return gate;
}
// end
