import { readFileSync } from 'node:fs';
import { PAGE_STYLE } from './page-style.js';

/** A file of the page. */
export interface PageFile {
  readonly type: string;
  readonly text: string;
}

const SCRIPTS: ReadonlySet<string> = new Set([
  'main.js',
  'api.js',
  'charts.js',
  'dom.js',
  'views.js',
  'session-view.js',
  'tap-view.js',
]);
const SCRIPT_TYPE = 'text/javascript; charset=utf-8';

/** A file of the page by its name; `undefined` when there is none. */
export function pageFile(name: string): PageFile | undefined {
  if (name === 'style.css') return { type: 'text/css; charset=utf-8', text: PAGE_STYLE };
  return SCRIPTS.has(name) ? { type: SCRIPT_TYPE, text: scriptText(name) } : undefined;
}

/** Built scripts are beside this file; where the sources are run, in `dist`. */
function scriptText(name: string): string {
  try {
    return readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');
  } catch {
    return readFileSync(new URL(`../dist/page/${name}`, import.meta.url), 'utf8');
  }
}

/** The page. `base` is its path, which has been matched by the router. */
export function pageHtml(base: string): string {
  const path = base.replace(/[^A-Za-z0-9_~/-]/g, '');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>nestgate</title>
<link rel="stylesheet" href="${path}/page/style.css">
<script type="module" src="${path}/page/main.js"></script>
</head>
<body data-base="${path}">
<header>
<h1>nestgate</h1>
<p id="status" role="status">loading</p>
</header>
<nav aria-label="Views">
<button type="button" data-view="nodes" aria-pressed="true">Nodes</button>
<button type="button" data-view="sessions" aria-pressed="false">Sessions</button>
<button type="button" data-view="groups" aria-pressed="false">Groups</button>
<button type="button" data-view="uids" aria-pressed="false">Users</button>
</nav>
<main id="view" tabindex="-1"></main>
<dialog id="detail" aria-labelledby="detail-title"></dialog>
<dialog id="confirm" aria-labelledby="confirm-text"></dialog>
</body>
</html>
`;
}
