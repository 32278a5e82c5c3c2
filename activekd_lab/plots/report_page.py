"""The report's page: HTML frame, style sheet and the script that draws, switches tabs and shows thumbnails."""

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title><style>{css}</style></head>
<body><main><header><h1>{title}</h1><p class="lead">{note}</p><nav>{nav}</nav></header>{sections}
<footer><h2>How this was made</h2>{foot}</footer></main>
<div id="card" hidden><i></i></div>
<script>{plotly}</script><script>const TEMPLATES={templates};</script><script>{js}</script></body></html>
"""

CSS = """
:root{--ink:#1d2530;--muted:#5b6675;--line:#e1e6ed;--page:#f4f6f9;--card:#fff;--hot:#D55E00}
@media (prefers-color-scheme:dark){
:root{--ink:#e8ecf2;--muted:#9aa6b5;--line:#2c3542;--page:#11161d;--card:#171d26}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 Inter,'Segoe UI','Helvetica Neue',Arial,sans-serif}
main{max-width:1200px;margin:0 auto;padding:36px 24px 48px}
h1{font-size:30px;letter-spacing:-.02em;margin:0 0 6px}
h2{font-size:22px;letter-spacing:-.01em;margin:40px 0 8px}
h3{font-size:14px;margin:0 0 6px;color:var(--muted);font-weight:600}
p{margin:0 0 14px;max-width:78ch}
.lead,.muted{color:var(--muted)}
nav a{color:var(--hot);margin-right:18px;text-decoration:none}
.block{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:14px 18px;margin:16px 0;
overflow:hidden}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 9px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--muted);font-weight:600;font-size:13px}
td small{color:var(--muted);display:block;font-size:11px;line-height:1.2}
th:first-child,td:first-child{text-align:left}
tr:last-child td{border-bottom:0}
.best{font-weight:700}
tr.teacher td{color:var(--muted);font-style:italic}
.key{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:8px}
.key.open{background:none!important;border:2px solid}
.tabs{display:flex;flex-wrap:wrap;gap:6px;margin:2px 0 4px}
.tabs button{font:inherit;font-size:13px;color:var(--ink);background:none;border-radius:99px;
border:1px solid var(--line);padding:4px 13px;cursor:pointer}
.tabs button[aria-selected=true]{border-color:var(--hot);color:var(--hot);font-weight:600}
.plot{width:100%}
footer table td{text-align:left;white-space:normal;overflow-wrap:anywhere}
footer td:first-child{width:220px;color:var(--muted)}
#card{position:fixed;z-index:9;pointer-events:none;padding:5px;background:var(--card);border:1px solid var(--line);
border-radius:9px;box-shadow:0 4px 18px #0003}
#card i{display:block;width:96px;height:96px;background-repeat:no-repeat}
#card[hidden]{display:none}
@media print{.tabs{display:none}
.block{break-inside:avoid}}
"""

JS = """
const dark = matchMedia('(prefers-color-scheme: dark)'), card = document.getElementById('card');
const template = () => TEMPLATES[dark.matches ? 'dark' : 'light'];
const read = id => JSON.parse(document.getElementById(id).textContent);
const CONFIG = {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']};
async function draw(div) {
  const spec = read(div.dataset.spec);
  spec.layout.template = template();
  Plotly.purge(div);
  await Plotly.newPlot(div, spec.data, spec.layout, CONFIG);
  if (spec.frames) await Plotly.addFrames(div, spec.frames);
  const sheet = div.dataset.sheet && read(div.dataset.sheet);
  if (!sheet) return;
  const slot = new Map(sheet.ids.map((id, i) => [id, i]));
  div.on('plotly_hover', e => show(sheet, slot.get(e.points[0].customdata), e.event));
  div.on('plotly_unhover', () => card.hidden = true);
}
function show(sheet, i, event) {
  if (i === undefined) return;
  const zoom = 96 / sheet.tile, style = card.firstChild.style;
  style.backgroundImage = `url(${sheet.uri})`;
  style.backgroundSize = `${sheet.columns * 96}px auto`;
  style.backgroundPosition = `-${(i % sheet.columns) * 96}px -${Math.floor(i / sheet.columns) * 96}px`;
  style.imageRendering = zoom > 1.5 ? 'pixelated' : 'auto';
  card.style.left = Math.min(event.clientX + 18, innerWidth - 120) + 'px';
  card.style.top = Math.max(8, event.clientY - 130) + 'px';
  card.hidden = false;
}
for (const div of document.querySelectorAll('.plot')) draw(div);
for (const button of document.querySelectorAll('.tabs button')) button.onclick = () => {
  for (const other of button.parentNode.children) other.setAttribute('aria-selected', other === button);
  const div = button.closest('.block').querySelector('.plot');
  div.dataset.spec = button.dataset.spec;
  draw(div);
};
dark.addEventListener('change', () => {
  for (const div of document.querySelectorAll('.plot')) Plotly.relayout(div, {template: template()});
});
"""
