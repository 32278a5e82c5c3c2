// Three classes in a triangle: drag label, teacher and student, and see what pulls the student where. Each handle also
// takes the arrow keys; Python hears where they are.
const CORNERS = [[260, 30], [60, 350], [460, 350]], NS = "http://www.w3.org/2000/svg";
const place = (p) => [0, 1].map((i) => CORNERS.reduce((sum, c, k) => sum + p[k] * c[i], 0));
const mix = (a, b, share) => a.map((v, k) => share * v + (1 - share) * b[k]);
const fit = (p) => { const q = p.map((v) => Math.max(v, 0.01)), sum = q.reduce((a, b) => a + b); return q.map((v) => v / sum); };

function weights([x, y]) {  // of the corners at a point of the plane
  const [[ax, ay], [bx, by], [cx, cy]] = CORNERS, area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy);
  const a = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) / area, b = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) / area;
  return fit([a, b, 1 - a - b]);
}

function draw(parent, name, attributes, text) {
  const e = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  if (text) e.textContent = text;
  return parent.appendChild(e);
}

function render({ model, el }) {
  const svg = draw(el, "svg", { viewBox: "0 0 520 390", class: "akd-tug", role: "group", "aria-label": "Three classes in a triangle" });
  const stage = draw(svg, "g", {}), handles = {};
  const arrow = (from, to, color, width) => {
    const [[x, y], [u, v]] = [from, to].map(place), long = Math.hypot(u - x, v - y), turn = (Math.atan2(v - y, u - x) * 180) / Math.PI;
    if (long < 3) return;
    draw(stage, "line", { x1: x, y1: y, x2: u, y2: v, stroke: color, "stroke-width": width });
    draw(stage, "path", { d: "M-11 -6L0 0L-11 6z", fill: color, transform: `translate(${u} ${v}) rotate(${turn})` });
  };
  const show = () => {
    const [y, t, s, share, one] = ["label", "teacher", "student", "ce_share", "one_head"].map((key) => model.get(key));
    stage.replaceChildren();
    draw(stage, "polygon", { points: CORNERS.map((c) => c.join()).join(" "), fill: "none", stroke: "currentColor", "stroke-opacity": 0.6 });
    CORNERS.forEach(([x, v], k) => draw(stage, "text", { x, y: v + (k ? 28 : -12), class: "name" }, model.get("class_names")[k]));
    arrow(s, mix(y, s, share), model.get("colors")[0], 3);
    arrow(s, mix(t, s, 1 - share), model.get("colors")[1], 3);
    if (one) {
      const rest = mix(y, t, share), [x, v] = place(rest);
      arrow(s, rest, "currentColor", 2);
      draw(stage, "path", { d: `M${x - 7} ${v - 7}l14 14m0 -14l-14 14`, stroke: "currentColor", "stroke-width": 2 });
      draw(stage, "text", { x: x + 12, y: v + 22 }, "one head rests here");
    }
    for (const [key, p] of Object.entries({ label: y, teacher: t, student: s })) {
      const [x, v] = place(p), said = p.map((q, k) => `${model.get("class_names")[k]} ${Math.round(100 * q)} %`).join(", ");
      handles[key].setAttribute("transform", `translate(${x} ${v})`);
      handles[key].setAttribute("aria-label", `${key}: ${said}; arrow keys move it`);
    }
  };
  const move = (key, point) => {
    const p = weights(point), top = p.indexOf(Math.max(...p));
    model.set(key, key === "label" ? [0, 1, 2].map((k) => +(k === top)) : p);
    model.save_changes();
  };
  const at = (event) => { const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()); return [p.x, p.y]; };
  const colors = { label: model.get("colors")[0], teacher: model.get("colors")[1], student: "currentColor" };
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  for (const [key, color] of Object.entries(colors)) {
    const handle = draw(svg, "g", { tabindex: 0, role: "button", class: "handle", "data-lm-suppress-shortcuts": "true" });
    draw(handle, "circle", { r: 11, fill: color });
    draw(handle, "text", key === "student" ? { x: -17, y: 5, "text-anchor": "end" } : { x: 17, y: 5 }, key);
    handle.addEventListener("pointerdown", (event) => { handle.setPointerCapture(event.pointerId); handle.focus(); event.preventDefault(); });
    handle.addEventListener("pointermove", (event) => { if (handle.hasPointerCapture(event.pointerId)) move(key, at(event)); });
    handle.addEventListener("keydown", (event) => {
      const step = steps[event.key], far = key === "label" ? 260 : 8, here = place(model.get(key));
      if (!step) return;
      move(key, here.map((v, i) => v + far * step[i]));
      event.preventDefault();
      event.stopPropagation();
    });
    handles[key] = handle;
  }
  model.on("change", show);
  show();
  hear(model.widget_manager, model.get("own"));
}
export default { render };
