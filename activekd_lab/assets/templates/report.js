const TEMPLATES = JSON.parse(document.getElementById('templates').textContent);
const dark = matchMedia('(prefers-color-scheme: dark)'), card = document.getElementById('card');
const template = () => TEMPLATES[dark.matches ? 'dark' : 'light'];
const read = id => JSON.parse(document.getElementById(id).textContent);
const CONFIG = {responsive: true, displaylogo: false, modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d']};
const WEBGL = ['webgl2', 'webgl'].some(kind => document.createElement('canvas').getContext(kind));
const JUMP = {mode: 'immediate', frame: {duration: 0, redraw: true}, transition: {duration: 0}};
function steps(div, frames, slider) { // Plotly's own slider answers the mouse only
  div.parentNode.querySelector('.steps')?.remove();
  if (!slider) return;
  const label = document.createElement('label'), range = document.createElement('input'), said = document.createElement('output');
  Object.assign(range, {type: 'range', min: 0, max: frames.length - 1, value: slider.active || 0});
  const tell = () => said.textContent = frames[range.value].name;
  range.oninput = () => { tell(); Plotly.animate(div, [frames[range.value].name], JUMP); };
  label.className = 'steps';
  label.append(slider.currentvalue.prefix, range, said);
  tell();
  div.after(label);
}
async function draw(div) {
  const spec = read(div.dataset.spec);
  spec.layout.template = template();
  const frames = spec.frames || [], slider = (spec.layout.sliders || [])[0];
  delete spec.layout.sliders;
  for (const trace of [spec.data, ...frames.map(frame => frame.data)].flat())
    if (!WEBGL && trace.type === 'scattergl') trace.type = 'scatter';
  Plotly.purge(div);
  await Plotly.newPlot(div, spec.data, spec.layout, CONFIG);
  div.setAttribute('role', 'img');
  div.setAttribute('aria-label', spec.layout.meta.said);
  await Plotly.addFrames(div, frames);
  steps(div, frames, slider);
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
