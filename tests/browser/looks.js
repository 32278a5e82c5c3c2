// Returns the visible texts of plots and outputs with colour and box, the colours of marks, and controls without focus or name.
() => {
  const seen = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const rgb = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
  const roots = [...document.querySelectorAll('.jp-OutputArea-output, .js-plotly-plot')].filter(seen);
  const texts = [], marks = new Set(), controls = new Set(), met = new Set();
  for (const root of roots) {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode()); ) {
      const parent = node.parentElement, said = node.textContent.trim();
      if (met.has(node) || !said || !seen(parent) || parent.closest('style, script, .akd-said, .modebar, option, defs')) continue;
      met.add(node);
      const range = document.createRange(), look = getComputedStyle(parent);
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect(), svg = parent instanceof SVGElement;
      if (box.width > 1) texts.push([said, rgb(svg ? look.fill : look.color), [box.x, box.y, box.width, box.height]]);
    }
    for (const path of root.querySelectorAll('.scatterlayer path.point, .scatterlayer path.js-line, .bars .point path')) {
      const look = getComputedStyle(path), fill = look.fill === 'none' ? look.stroke : look.fill;
      if (fill.startsWith('rgb') && seen(path) && Number(look.opacity) >= 0.5) marks.add(fill);
    }
    for (const bad of root.querySelectorAll('g.slider-container, g.updatemenu-button')) if (seen(bad)) controls.add('a slider or button of Plotly');
    for (const e of root.querySelectorAll('input, button, select, textarea, [role=slider], [tabindex]')) {
      if (!seen(e) || e.disabled) continue;
      const named = e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || e.title
        || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent
        || e.closest('.widget-inline-hbox')?.querySelector('.widget-label')?.textContent;
      if (!named?.trim()) controls.add(`no name: ${e.outerHTML.slice(0, 90)}`);
      if (e.tabIndex < 0) controls.add(`no focus: ${e.outerHTML.slice(0, 90)}`);
    }
  }
  return { texts, marks: [...marks].map(rgb), controls: [...controls] };
}
