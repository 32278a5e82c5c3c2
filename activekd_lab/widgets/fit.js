// Plotly draws a FigureWidget before it is on the page, at a guessed width and with its title unmeasured. A responsive
// figure draws itself again when the window changes size: say so once the box is there, and whenever its width changes.
export default {
  render({ el }) {
    let width = 0;
    const observer = new ResizeObserver(([entry]) => {
      const now = Math.round(entry.contentRect.width);
      if (now && now !== width) window.dispatchEvent(new Event("resize"));
      width = now;
    });
    el.style.width = "100%";
    observer.observe(el);
    return () => observer.disconnect();
  },
};
