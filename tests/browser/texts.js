// Returns what is wrong with the texts of the page's plots: two that overlap, or one cut off by its figure.
() => {
  const inside = 1; // pixels that boxes may touch
  const seen = element => element.checkVisibility({opacityProperty: true, visibilityProperty: true});
  // A text's corners on the screen. Its box is higher than its letters, so 15% of the font size goes, above and below.
  const corners = text => {
    const box = text.getBBox(), turn = text.getScreenCTM(), slack = 0.15 * parseFloat(getComputedStyle(text).fontSize);
    const [x, y, right, bottom] = [box.x + inside, box.y + slack, box.x + box.width - inside, box.y + box.height - slack];
    return [[x, y], [right, y], [right, bottom], [x, bottom]].map(([a, b]) => new DOMPoint(a, b).matrixTransform(turn));
  };
  const sides = shape => shape.map((p, i) => [shape[(i + 1) % 4].x - p.x, shape[(i + 1) % 4].y - p.y]);
  const apart = (one, two) => [...sides(one), ...sides(two)].some(([dx, dy]) => {
    const [a, b] = [one, two].map(shape => shape.map(p => p.x * dy - p.y * dx));
    return Math.max(...a) < Math.min(...b) || Math.max(...b) < Math.min(...a);
  });
  const problems = [];
  for (const plot of document.querySelectorAll('.js-plotly-plot')) {
    const frame = plot.getBoundingClientRect(), name = plot.querySelector('.gtitle')?.textContent ?? plot.id;
    const texts = [...plot.querySelectorAll('svg text')].filter(t => t.textContent.trim() && seen(t) && t.getBBox().width > 0);
    const shapes = texts.map(corners), said = texts.map(t => JSON.stringify(t.textContent.trim()));
    shapes.forEach((shape, i) => {
      if (shape.some(p => p.x < frame.left - 1 || p.x > frame.right + 1 || p.y < frame.top - 1 || p.y > frame.bottom + 1))
        problems.push(`${name}: ${said[i]} is cut off`);
      for (let j = 0; j < i; j++) if (!apart(shape, shapes[j])) problems.push(`${name}: ${said[j]} overlaps ${said[i]}`);
    });
  }
  return problems;
}
