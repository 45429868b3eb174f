/** The style of the page: works from 320 pixels on, light and dark. */
export const PAGE_STYLE = `
:root {
  --back: #f6f7f9; --card: #ffffff; --text: #16191f; --faint: #5b6472; --line: #d9dde4; --accent: #1d5fd1; --bad: #b3261e;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #101318; --card: #191e26; --text: #e8ebf0; --faint: #9aa4b2; --line: #2c333e; --accent: #7fb0ff; --bad: #ff8a80;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 1rem; padding: .75rem 1rem 0; }
h1 { margin: 0; font-size: 1.25rem; }
h2 { margin: 1.25rem 0 .5rem; font-size: 1.05rem; }
#status { margin: 0; color: var(--faint); }
#status.bad, .bad { color: var(--bad); }
nav { display: flex; flex-wrap: wrap; gap: .4rem; padding: .75rem 1rem; }
main { padding: 0 1rem 2rem; outline: none; }
button, input, textarea { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .75rem; max-width: 100%; }
button { cursor: pointer; min-height: 2.4rem; }
button[aria-pressed="true"], button.main { border-color: var(--accent); color: var(--accent); font-weight: 600; }
button.danger { border-color: var(--bad); color: var(--bad); }
button.link { border: 0; background: none; padding: 0; min-height: 0; color: var(--accent); text-decoration: underline; overflow-wrap: anywhere; text-align: left; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(9rem, 100%), 1fr)); gap: .75rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .75rem; min-width: 0; }
.card h3 { margin: 0; font-size: .85rem; font-weight: 500; color: var(--faint); }
.card strong { font-size: 1.5rem; font-weight: 600; }
svg { display: block; width: 100%; height: 4rem; margin-top: .4rem; }
svg polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.table { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .5rem .75rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; font-variant-numeric: tabular-nums; }
tr:last-child td { border-bottom: 0; }
th { color: var(--faint); font-weight: 500; font-size: .85rem; }
form, .row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: end; margin: .75rem 0; }
label { display: grid; gap: .2rem; color: var(--faint); font-size: .85rem; flex: 1 1 12rem; }
label input, label textarea { color: var(--text); font-size: 1rem; width: 100%; }
dialog { width: min(44rem, calc(100vw - 1rem)); max-height: 90vh; overflow: auto; color: inherit; background: var(--back); border: 1px solid var(--line); border-radius: .8rem; padding: 1rem; }
dialog::backdrop { background: rgb(0 0 0 / .5); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .25rem 1rem; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
@media (max-width: 40rem) {
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  tr { display: block; padding: .5rem .25rem; border-bottom: 1px solid var(--line); }
  tr:last-child { border-bottom: 0; }
  td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .2rem .6rem; white-space: normal; overflow-wrap: anywhere; }
  td::before { content: attr(data-head); color: var(--faint); white-space: nowrap; }
  td:empty { display: none; }
}
`;
