import { connect, whenOnline } from '@nestgate/client';

addEventListener('message', ({ data }) => {
  void (async () => {
    const gate = connect(String(data));
    await whenOnline(gate);
    const reply = await gate.request<string>('echo/echo', 'from a worker');
    gate.close();
    postMessage(`${reply}: ${gate.state.name}`);
  })();
});
