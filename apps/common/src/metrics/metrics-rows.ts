import type { GateCounter, GateFigures } from '@nestgate/gate';
import type {
  HttpFigures,
  LinkFigures,
  NodeFigures,
  PeerBacklog,
  WebhookFigures,
  WorkerFigures,
} from '@nestgate/worker';

/** One metric: its name and text, and how it is read from the figures of an app. */
export interface MetricRow<S> {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  /** The one label that it has, if any. Its values come from code, never from clients. */
  readonly label?: string;
  /** The value; with a label, one for each of its values. */
  read(figures: S): number | Readonly<Record<string, number>>;
}

const MS_PER_SECOND = 1_000;
const NONE: Readonly<Record<string, number>> = {};

/** What every node has: its link, and its event loop. */
export const NODE_ROWS: readonly MetricRow<NodeFigures>[] = [
  gauge('nestgate_draining', '1 while the app takes nothing new because it is about to end.', f =>
    Number(f.isDraining),
  ),
  gauge('nestgate_link_up', '1 while a gate can work with what it is sent, else 0.', f => Number(f.link.isUp)),
  gauge('nestgate_link_peers', 'Other nodes that this one knows, by role.', f => f.link.peers, 'role'),
  gauge(
    'nestgate_link_gates_missing',
    'Gates lost a moment ago, which may come back, and configured gates that were never reached.',
    f => f.link.missingGates,
  ),
  gauge(
    'nestgate_link_requests_waiting',
    'Requests of this node that wait for the answer of another.',
    f => f.link.requestsWaiting,
  ),
  gauge(
    'nestgate_link_backlog_messages',
    'Messages that wait here until their peer has taken those before, by role of the peer.',
    f => byRole(f.link, peer => peer.messages),
    'role',
  ),
  gauge(
    'nestgate_link_backlog_bytes',
    'Bytes that wait here until their peer has taken those before, by role of the peer.',
    f => byRole(f.link, peer => peer.bytes),
    'role',
  ),
  counter('nestgate_link_gaps_total', 'Batches that a peer sent and that never came.', f => f.link.counters.gaps),
  counter(
    'nestgate_link_corrupt_total',
    'Batches and messages that were malformed, or came from nobody known.',
    f => f.link.counters.corrupt,
  ),
  counter(
    'nestgate_link_refused_total',
    'Messages that were not taken, because the link or a gate was out of reach, or their peer was full.',
    f => f.link.counters.refused,
  ),
  counter(
    'nestgate_link_uncertain_total',
    'Messages that were accepted and have not arrived, or may not have.',
    f => f.link.counters.uncertain,
  ),
  counter('nestgate_link_late_total', 'Answers that came after their request had ended.', f => f.link.counters.late),
  counter(
    'nestgate_link_truncated_total',
    'Errors that were cut before they were sent.',
    f => f.link.counters.truncated,
  ),
  counter(
    'nestgate_defects_total',
    'Errors that nothing expected, by where they were caught: defects of a hook, or of nestgate.',
    f => f.defects,
    'place',
  ),
  gauge(
    'nestgate_event_loop_delay_seconds',
    'How late the event loop was since the last reading: half of the time, 99 % of the time, at most.',
    ({ loopDelay: { p50, p99, max } }) => ({
      p50: p50 / MS_PER_SECOND,
      p99: p99 / MS_PER_SECOND,
      max: max / MS_PER_SECOND,
    }),
    'statistic',
  ),
];

/** The counters of a gate with their label; a new counter must be added here. */
const COUNTERS: Readonly<Record<GateCounter, readonly [label: string, help: string]>> = {
  frames_refused: ['code', 'Frames answered with an error, by its code.'],
  frames_abandoned: ['reason', 'Frames that nobody has handled because their client had gone while they waited.'],
  reads_paused: ['reason', 'Times that the gate has stopped reading a client, by reason.'],
  packs_dropped: ['reason', 'Packs that were not sent to their client, by reason.'],
  slow_clients: ['reason', 'Times that more waited for a client than may, by what was too much.'],
  answers_dropped: ['reason', 'Answers to requests whose client did not wait any more, by reason.'],
  streams_ended: ['how', 'Streams, by how they have ended.'],
  items_dropped: ['reason', 'Items of streams that were not sent to their client, by reason.'],
  frames_ignored: ['frame', 'Frames of clients about a stream or call that does not exist, by what they are.'],
  handshakes_refused: ['status', 'Handshakes refused, by HTTP status, or by reason for TCP clients.'],
  connections_closed: ['code', 'Connections that the gate has ended, by close code.'],
  binds_refused: ['reason', 'Clients that were not bound to a uid, by reason.'],
  claims_refused: ['reason', 'Logins announced by another node that were refused, by reason.'],
  logins_probed: ['outcome', 'Clients asked whether they are alive, because another one wants their uid, by outcome.'],
  sessions_moved: ['outcome', 'Sessions that another gate has asked for, by what became of it.'],
  clients_rebalanced: [
    'what',
    'Clients that were given to a worker that has joined, or asked to move to another gate, by what they were to move to.',
  ],
  moves_in_doubt: ['reason', 'Sessions that came from another gate and may miss messages, by reason.'],
  calls_dropped: ['reason', 'What other nodes wanted, dropped after the gate had stood still, by reason.'],
  revocations_forgotten: ['reason', 'Revocations that were forgotten before their time, by reason.'],
  limits_exceeded: ['what', 'Changes of sessions that a limit has refused, by what there was too much of.'],
  events_lost: ['event', 'Clients whose coming or going no worker has heard of, though one listens.'],
  sessions_detached: ['code', 'Times that a resumable session has lost its connection, by close code.'],
  sessions_resumed: ['where', 'Times that a session has gone on with another connection, by where it was.'],
  resumes_refused: ['code', 'Attempts to resume a session that were refused, by code.'],
  sessions_expired: ['reason', 'Sessions that ended because they were without a connection, by reason.'],
  receipts_refused: [
    'reason',
    'Acknowledgements of clients that a sender wanted to wait for, and the gate did not, by reason.',
  ],
  resume_gaps: ['why', 'Times that a client was told that messages are missing, by why.'],
  sessions_spooled: ['what', 'Sessions that were written to disk at the end, or read from it at the start.'],
  spools_refused: ['reason', 'What of the sessions on disk was not used, or could not be written, by reason.'],
  storage_failures: ['code', 'Calls of the storage that failed, by code.'],
};

/** What apps with a `GateModule` have. */
export const GATE_ROWS: readonly MetricRow<GateFigures>[] = [
  gauge('nestgate_connections', 'Clients that are connected.', f => f.clients.connected),
  gauge('nestgate_sessions_detached', 'Sessions without a connection that are kept.', f => f.resume.detached),
  gauge('nestgate_resume_bytes', 'Bytes of messages that are kept for resumable sessions.', f => f.resume.bytes),
  gauge('nestgate_sessions_bound', 'Clients that are bound to a uid.', f => f.clients.bound),
  gauge('nestgate_uids', 'Uids that have a client on this gate.', f => f.clients.uids),
  gauge('nestgate_groups', 'Groups that have a member on this gate.', f => f.clients.groups),
  counter('nestgate_frames_received_total', 'Frames of clients taken up, heartbeats included.', f => f.frames.received),
  counter('nestgate_frames_handled_total', 'Frames whose handler has ended without an error.', f => f.frames.handled),
  gauge('nestgate_frames_unanswered', 'Frames that are being handled, or wait for a worker.', f => f.frames.unanswered),
  gauge(
    'nestgate_frames_waiting_for_worker',
    'Frames for whose module there is no worker at the moment.',
    f => f.frames.waitingForWorker,
  ),
  counter('nestgate_packs_queued_total', 'Packs taken to be sent to clients.', f => f.outbox.queued),
  gauge('nestgate_outbox_packs', 'Packs that wait for clients to take them.', f => f.outbox.packs),
  gauge('nestgate_outbox_bytes', 'Bytes that wait for clients to take them.', f => f.outbox.bytes),
  gauge(
    'nestgate_outbox_largest_bytes',
    'Bytes that wait for the client for which most are waiting.',
    f => f.outbox.largestBytes,
  ),
  gauge('nestgate_storage_up', '0 while the storage is known to be out of reach.', f => Number(f.storageUp)),
  ...Object.entries(COUNTERS).map(([name, [label, help]]) =>
    counter<GateFigures>(`nestgate_${name}_total`, help, f => f.counts[name] ?? NONE, label),
  ),
];

/** What apps with handlers have. */
export const WORKER_ROWS: readonly MetricRow<Pick<WorkerFigures, 'handlers'>>[] = [
  gauge('nestgate_handlers_running', 'Frames whose handler runs.', f => f.handlers.running),
  gauge(
    'nestgate_handlers_waiting',
    'Frames that wait here for an earlier one of their client.',
    f => f.handlers.waiting,
  ),
  gauge('nestgate_handlers_clients', 'Clients whose frames this app handles.', f => f.handlers.clients),
  gauge('nestgate_handlers_streams', 'Streams that run, or wait for their turn.', f => f.handlers.streams),
  counter(
    'nestgate_handlers_abandoned_total',
    'Producers of streams that have gone on after nobody wanted their items.',
    f => f.handlers.abandoned,
  ),
];

/** What apps with a `GatewayHttpModule` have. */
export const HTTP_ROWS: readonly MetricRow<HttpFigures>[] = [
  gauge('nestgate_http_in_flight', 'Requests of the HTTP API that are being handled.', f => f.inFlight),
  counter('nestgate_http_handled_total', 'Requests that were handled without an error.', f => f.handled),
  counter('nestgate_http_operations_total', 'Operations of these requests.', f => f.operations),
  counter('nestgate_http_refused_total', 'Refused requests and failed operations, by code.', f => f.refused, 'code'),
  counter('nestgate_http_replayed_total', 'Answers repeated for the same Idempotency-Key.', f => f.replayed),
  counter('nestgate_http_forgotten_total', 'Remembered answers that were forgotten early.', f => f.forgotten),
];

/** What apps with a `WebhookModule` have. */
export const WEBHOOK_ROWS: readonly MetricRow<WebhookFigures>[] = [
  gauge('nestgate_webhook_in_flight', 'Requests to endpoints that are not answered.', f => f.inFlight),
  gauge('nestgate_webhook_queued', 'Events that wait to be sent.', f => f.queued),
  gauge('nestgate_webhook_endpoints_down', 'Endpoints that do not answer.', f => f.down),
  counter('nestgate_webhook_delivered_total', 'Events that were answered.', f => f.delivered, 'event'),
  counter('nestgate_webhook_failed_total', 'Attempts that have failed.', f => f.failed, 'reason'),
  counter('nestgate_webhook_dropped_total', 'Events that were given up.', f => f.dropped, 'reason'),
];

function gauge<S>(name: string, help: string, read: MetricRow<S>['read'], label?: string): MetricRow<S> {
  return { name, type: 'gauge', help, label, read };
}

function counter<S>(name: string, help: string, read: MetricRow<S>['read'], label?: string): MetricRow<S> {
  return { name, type: 'counter', help, label, read };
}

/** Sums, so that a series does not come with each node that comes. */
function byRole({ backlog }: LinkFigures, read: (peer: PeerBacklog) => number): Record<string, number> {
  const sums = { gate: 0, worker: 0, api: 0 };
  for (const peer of backlog) sums[peer.role] += read(peer);
  return sums;
}
