import { loadTelemetry } from './telemetry.js';

/** The methods that push, and which argument is the topic. */
const TOPIC_AT = {
  sendToClient: 1,
  sendToCurrentClient: 0,
  sendToAll: 0,
  sendToUid: 1,
  sendToGroup: 1,
} as const;

type Push = (...args: unknown[]) => Promise<unknown>;

/**
 * Makes each push of a `GatewayApi` a span, when the application has set OpenTelemetry up. Methods of this one object are replaced, so that
 * pushes cost nothing more where it has not.
 */
export async function tracePushes(gateway: object): Promise<void> {
  const telemetry = await loadTelemetry();
  if (!telemetry) return;
  for (const [name, at] of Object.entries(TOPIC_AT)) {
    const methods = gateway as Record<string, Push>;
    const send = methods[name]?.bind(gateway);
    if (!send) continue;
    methods[name] = (...args) => {
      const topic = String(args[at]);
      const attributes = {
        'messaging.system': 'nestgate',
        'messaging.operation': 'publish',
        'messaging.destination.name': topic,
        'nestgate.method': name,
      };
      return telemetry.run(`${topic} publish`, 'producer', attributes, end => {
        const sent = send(...args);
        sent.then(() => end(), end);
        return sent;
      });
    };
  }
}
