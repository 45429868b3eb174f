import { Deadline, type DeadlineWheel } from '@nestgate/link/internal';
import { type AnswerError, type Body, GateError, isErrorCode } from '@nestgate/protocol';
import type { ClientAgent } from '../client/client-agent.js';
import type { OpenAsks } from '../client/frame-intake.js';

/** Calls that one client may have unanswered. */
const MAX_OPEN = 32;
/** Longest code of an answer. */
const MAX_CODE = 64;
/** Codes of nestgate that speak of nodes: a client that answers with one would be taken for a lost node. */
const NODE_CODE = /^(?:NODE_|LINK_|UNKNOWN_OPERATION|PARTIAL_RESULT|SESSION_NOT_FOUND)/;

/** A call that its client has not answered. It ends once. */
class Ask extends Deadline {
  constructor(
    readonly succeed: (body: Body) => void,
    readonly fail: (error: GateError) => void,
    private readonly onExpire: () => void,
  ) {
    super();
  }

  override expire(): void {
    this.onExpire();
  }
}

/** The calls that one client has not answered. Made with the first one. */
export class AgentAsks implements OpenAsks {
  private readonly open = new Map<number, Ask>();
  private last = 0;

  constructor(
    private readonly agent: ClientAgent,
    private readonly wheel: DeadlineWheel,
  ) {}

  /**
   * Calls the client. Resolves with its answer.
   * @throws {GateError} the error of the client; `NO_HANDLER` when its codec has no calls, `LIMIT_EXCEEDED`, `TIMEOUT` at the deadline,
   * `SESSION_NOT_FOUND` when the client is gone.
   */
  call(topic: string, body: Body, deadline: number): Promise<Body> {
    const { agent, open } = this;
    if (agent.isClosed) throw new GateError('SESSION_NOT_FOUND');
    if (!agent.wire.ask) throw new GateError('NO_HANDLER', 'The codec of the client has no calls');
    if (open.size >= MAX_OPEN) {
      agent.counters.add('limits_exceeded', 'asks');
      throw new GateError('LIMIT_EXCEEDED', `The client has not answered ${MAX_OPEN} calls`);
    }
    const number = ++this.last;
    const answer = new Promise<Body>((resolve, reject) => {
      const ask = new Ask(resolve, reject, () => this.take(number)?.fail(new GateError('TIMEOUT')));
      open.set(number, ask);
      this.wheel.add(ask, deadline);
    });
    agent.noteAsks(open.size);
    if (!agent.sendFrame(agent.wire.ask(topic, body, number))) {
      this.take(number)?.fail(new GateError(agent.isClosed ? 'SESSION_NOT_FOUND' : 'SLOW_CONSUMER'));
    }
    return answer;
  }

  answer(number: number, body: Body, error: AnswerError | undefined): boolean {
    const ask = this.take(number);
    if (!ask) return false;
    if (error) ask.fail(callError(error));
    else ask.succeed(body);
    return true;
  }

  end(): void {
    for (const number of this.open.keys()) this.take(number)?.fail(new GateError('SESSION_NOT_FOUND'));
  }

  private take(number: number): Ask | undefined {
    const ask = this.open.get(number);
    if (!ask) return undefined;
    this.open.delete(number);
    this.wheel.remove(ask);
    this.agent.noteAsks(this.open.size);
    return ask;
  }
}

/** The error of a client, which may be anything. */
function callError({ code, message }: AnswerError): GateError {
  const isUsable = code !== '' && code.length <= MAX_CODE && !code.startsWith('$');
  if (!isUsable || (isErrorCode(code) && NODE_CODE.test(code))) return new GateError('INTERNAL', message);
  return new GateError(code, message);
}
