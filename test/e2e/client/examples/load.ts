// example: load
import { connect, type ConnectOptions } from '@nestgate/client';

export function room(
  url: string,
  name: string,
  show: (lines: readonly string[]) => void,
  options: ConnectOptions = {},
) {
  let lines: string[] = [];
  const gate = connect(url, {
    ...options,
    // Called for each new session, and after each gap. Pushes are held until it is done.
    async load() {
      await gate.request('room/join', name);
      lines = await gate.request<string[]>('room/lines', name);
      show(lines);
    },
  });
  gate.on('room/said', (line: string) => show((lines = [...lines, line])));
  return gate;
}
// end
