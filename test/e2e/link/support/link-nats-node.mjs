// A node on NATS in a process of its own: it echoes, and tells its parent of its peers.
import { NatsLink } from '@nestgate/link/nats';

const [url, id, role] = process.argv.slice(2);
const link = new NatsLink({ url });
const self = { id, role, epoch: 'e1', modules: [], draining: false };
const tell = (type, value) => process.send({ type, value });
await link.open(self, {
  onFrame: (from, frame) => link.send(from, frame),
  onPeer: change => tell('peer', 'id' in change ? `${change.type} ${change.id}` : `${change.type} ${change.node.id}`),
  onStatus: isUp => tell('status', isUp),
  onDrain: () => undefined,
});
tell('open', id);
process.on('disconnect', () => process.exit());
