import type { IncomingMessage } from 'node:http';
import {
  Body,
  type CanActivate,
  Controller,
  ForbiddenException,
  Get,
  HttpCode,
  HttpException,
  Inject,
  NotFoundException,
  Param,
  Post,
  Query,
  Req,
  Res,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { ClusterApi, GatewayApi } from '@nestgate/worker';
import { BoundedLog, failure, isOriginOf } from '@nestgate/worker/internal';
import { ADMIN_ACTIONS, isAdminAction, isContinued } from './admin-actions.js';
import { AdminExposure } from './admin-exposure.js';
import type { AdminOptions } from './admin-options.js';
import { pageFile, pageHtml } from './page-files.js';

/** The checked options. */
export const CHECKED_OPTIONS = Symbol('nestgate:checked-admin-options');

/** Nothing from elsewhere, nothing inline: text of clients can never become script. */
const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};
/** Rows of one page of a list. */
const PAGE_SIZE = 50;
/** How long a question of the page waits for gates, in milliseconds. */
const WAIT = { deadlineMs: 2_000 } as const;
const PARTIAL = { ...WAIT, partial: 'allow' } as const;
/** The header that the page sends with actions. A page of another site cannot send it without asking. */
const ACTION_HEADER = 'x-nestgate-admin';
const AUDIT_LINES = 100;

/** A request as Express gives it, or as Fastify does, with Node's under `raw`. */
type AnyRequest = IncomingMessage & { readonly raw?: IncomingMessage; readonly user?: unknown };

/** Serves the admin page, and answers its questions. */
export abstract class AdminController {
  private readonly audit = new BoundedLog('AdminAudit', AUDIT_LINES);
  private readonly log = new BoundedLog('Admin');

  constructor(
    private readonly gateway: GatewayApi,
    private readonly cluster: ClusterApi,
    private readonly exposure: AdminExposure,
    private readonly adapterHost: HttpAdapterHost,
    @Inject(CHECKED_OPTIONS) private readonly options: AdminOptions,
  ) {}

  @Get()
  page(@Req() request: AnyRequest, @Res({ passthrough: true }) response: unknown): string {
    const { url = '' } = rawOf(request);
    const [path = ''] = url.split('?', 1);
    this.open(request, response, 'text/html; charset=utf-8');
    return pageHtml(path.replace(/\/+$/, ''));
  }

  @Get('page/:file')
  file(@Param('file') name: string, @Req() request: AnyRequest, @Res({ passthrough: true }) response: unknown): string {
    const file = pageFile(name);
    if (!file) throw new NotFoundException();
    this.open(request, response, file.type);
    return file.text;
  }

  @Get('api/overview')
  overview(@Req() request: AnyRequest, @Res({ passthrough: true }) response: unknown): Promise<object> {
    return this.answer(request, response, async () => {
      const { result: nodes, missing } = await this.cluster.getNodes(PARTIAL);
      return { nodes, missing, actions: this.options.actions === true };
    });
  }

  @Get('api/sessions')
  sessions(
    @Query() query: Readonly<Record<string, unknown>>,
    @Req() request: AnyRequest,
    @Res({ passthrough: true }) response: unknown,
  ): Promise<object> {
    return this.answer(request, response, async () => {
      const [uid, group, cursor] = [textOf(query['uid']), textOf(query['group']), textOf(query['cursor'])];
      if (uid !== undefined) {
        const { result: ids, missing } = await this.gateway.getClientIdByUid(uid, PARTIAL);
        const found = await Promise.all(ids.slice(0, PAGE_SIZE).map(id => this.cluster.getClient(id, WAIT)));
        return { items: found.filter(each => each !== null), missing };
      }
      const page = await this.cluster.getClientPage({ ...PARTIAL, groups: group, cursor, limit: PAGE_SIZE });
      return { ...page.result, missing: page.missing };
    });
  }

  @Get('api/session')
  session(
    @Query('id') id: unknown,
    @Req() request: AnyRequest,
    @Res({ passthrough: true }) response: unknown,
  ): Promise<object> {
    return this.answer(request, response, async () => ({
      session: await this.cluster.getClient(textOf(id) ?? '', WAIT),
    }));
  }

  @Get('api/groups')
  groups(
    @Query('cursor') cursor: unknown,
    @Req() request: AnyRequest,
    @Res({ passthrough: true }) response: unknown,
  ): Promise<object> {
    return this.answer(request, response, async () => {
      const page = await this.cluster.getGroupCountPage({ ...PARTIAL, cursor: textOf(cursor), limit: PAGE_SIZE });
      return { ...page.result, missing: page.missing };
    });
  }

  @Get('api/uids')
  uids(
    @Query('cursor') cursor: unknown,
    @Req() request: AnyRequest,
    @Res({ passthrough: true }) response: unknown,
  ): Promise<object> {
    return this.answer(request, response, async () => {
      const page = await this.cluster.getUidCountPage({ ...PARTIAL, cursor: textOf(cursor), limit: PAGE_SIZE });
      return { ...page.result, missing: page.missing };
    });
  }

  @Post('api/actions/:name')
  @HttpCode(200)
  act(
    @Param('name') name: string,
    @Body() body: unknown,
    @Req() request: AnyRequest,
    @Res({ passthrough: true }) response: unknown,
  ): Promise<object> {
    return this.answer(request, response, async () => {
      const principal = this.principalOf(request);
      try {
        if (!isAdminAction(name)) throw new NotFoundException();
        this.assertIntended(rawOf(request));
        const input = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
        const result = await ADMIN_ACTIONS[name](this.gateway, this.cluster, input);
        if (!isContinued(name, input)) this.audit.log(`${principal}: ${name} ${targetOf(input)}: done`);
        return { result };
      } catch (error) {
        this.audit.warn(`${principal}: ${name}: refused or failed: ${error instanceof Error ? error.message : ''}`);
        throw error;
      }
    });
  }

  /** @throws {ForbiddenException} for an action that the page of this app has not asked for. */
  private assertIntended({ headers }: IncomingMessage): void {
    if (this.options.actions !== true) throw new ForbiddenException('The option actions is off');
    const site = headers['sec-fetch-site'];
    const isOwn =
      headers[ACTION_HEADER] === '1' &&
      (site === undefined || site === 'same-origin') &&
      (headers.origin === undefined || isOriginOf(headers.origin, headers.host));
    if (!isOwn) throw new ForbiddenException('The request is not one of the admin page');
  }

  /** Answers a question. The errors of gates have their code and status; others are logged, and disclose nothing. */
  private async answer(request: AnyRequest, response: unknown, run: () => Promise<object>): Promise<object> {
    this.open(request, response, 'application/json; charset=utf-8');
    try {
      return await run();
    } catch (error) {
      if (error instanceof HttpException) throw error;
      const { status, body } = failure(error, result => ({ result }));
      if (status === 500) this.log.error(error);
      this.adapterHost.httpAdapter.status(response, status);
      return body;
    }
  }

  private open(request: AnyRequest, response: unknown, type: string): void {
    this.exposure.assertAllowed(rawOf(request));
    const { httpAdapter } = this.adapterHost;
    for (const [name, value] of Object.entries(HEADERS)) httpAdapter.setHeader(response, name, value);
    httpAdapter.setHeader(response, 'Content-Type', type);
  }

  private principalOf(request: AnyRequest): string {
    if (this.options.principal) return this.options.principal(request);
    const user = (request.user ?? {}) as Readonly<Record<string, unknown>>;
    const name = ['id', 'sub', 'name', 'email'].map(key => user[key]).find(each => typeof each === 'string');
    return typeof name === 'string' ? name : (rawOf(request).socket.remoteAddress ?? 'unknown');
  }
}

/** The controller at a path, behind a guard. */
export function adminControllersAt(path: string, guard: Type<CanActivate> | undefined): Type[] {
  class NestgateAdminController extends AdminController {}
  Controller(path)(NestgateAdminController);
  if (guard) UseGuards(guard)(NestgateAdminController);
  return [NestgateAdminController];
}

function rawOf(request: AnyRequest): IncomingMessage {
  return request.raw ?? request;
}

/** Text of a query: a name may stand in it twice, which is a list then. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** What an action is about, for the audit log: names, never a body. */
function targetOf(input: Readonly<Record<string, unknown>>): string {
  return ['clientId', 'uid', 'group', 'gate', 'topic']
    .flatMap(key => (typeof input[key] === 'string' ? [`${key}=${input[key]}`] : []))
    .join(' ');
}
