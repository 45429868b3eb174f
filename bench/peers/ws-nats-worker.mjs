/** The worker of the gate by hand. */
import { connect } from '@nats-io/transport-node';

const nats = await connect({ servers: process.env.NATS_URL });

nats.subscribe('work.echo', {
  queue: 'workers',
  callback: (_error, message) => {
    const text = message.string();
    const space = text.indexOf(' ');
    const { id, body } = JSON.parse(text.slice(space + 1));
    nats.publish(message.reply ?? '', `${text.slice(0, space)} ${JSON.stringify({ id, body })}`);
  },
});
nats.subscribe('work.out', {
  queue: 'workers',
  callback: (_error, message) => {
    const { body } = JSON.parse(message.string());
    nats.publish(`group.${body.group}`, JSON.stringify({ topic: 'fan/msg', body: body.data }));
  },
});

await nats.flush();
process.stdout.write('worker started\n');
