/** A node, as the overview has it. */
export interface AdminNode {
  readonly id: string;
  readonly role: string;
  readonly version: string;
  readonly uptimeMs: number;
  readonly cpu: number;
  readonly loopDelayMs: number;
  readonly memoryBytes: number;
  readonly isDraining: boolean;
  readonly isLinkUp: boolean;
  readonly gate?: { readonly clients: number; readonly framesReceived: number; readonly packsQueued: number };
  readonly handlers?: { readonly running: number; readonly waiting: number; readonly clients: number };
}

export interface Overview {
  readonly nodes: readonly AdminNode[];
  readonly missing: readonly string[];
  readonly actions: boolean;
}

export interface SessionRow {
  readonly clientId: string;
  readonly uid: string;
  readonly network: string;
  readonly ip: string;
  readonly connectedAt: number;
  readonly isAway: boolean;
}

export interface SessionDetail extends SessionRow {
  readonly groups: readonly string[];
  readonly settings: object;
  readonly worker: string;
  readonly received: number;
  readonly sent: number;
  readonly unanswered: number;
  readonly queuedPacks: number;
  readonly queuedBytes: number;
  readonly isPaused: boolean;
}

export interface Listed<T> {
  readonly items: T;
  readonly cursor?: string;
  readonly missing: readonly string[];
}

const BASE = document.body.dataset['base'] ?? '';

/** Asks the server of the page. @throws {Error} with the message that it answers with. */
export async function ask<T>(path: string, query: Readonly<Record<string, string | undefined>> = {}): Promise<T> {
  const given = Object.entries(query).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
  );
  const search = new URLSearchParams(given).toString();
  return answerOf<T>(
    await fetch(`${BASE}/api/${path}${search && `?${search}`}`, { headers: { Accept: 'application/json' } }),
  );
}

/** Has the server do something. @throws {Error} */
export async function act(name: string, input: object): Promise<unknown> {
  const response = await fetch(`${BASE}/api/actions/${name}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Nestgate-Admin': '1' },
    body: JSON.stringify(input),
  });
  return (await answerOf<{ result: unknown }>(response)).result;
}

async function answerOf<T>(response: Response): Promise<T> {
  const body = (await response.json().catch(() => ({}))) as T & { error?: { message?: string }; message?: string };
  if (response.ok) return body;
  throw new Error(body.error?.message ?? body.message ?? `The server has answered ${response.status}`);
}
