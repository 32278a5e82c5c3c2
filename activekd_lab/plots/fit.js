// What the figures of a widget must know of their page. Plotly draws a FigureWidget before it is on the page, at a guessed
// width: a responsive one draws itself again when the window changes size, so say so once the box is there, and whenever
// its width changes. Python hears whether the page is dark, whether the browser has WebGL, and when the figures are drawn.
const dark = () => document.body.dataset.jpThemeLight === "false" || document.body.classList.contains("vscode-dark")
  || document.documentElement.getAttribute("theme") === "dark";
const webgl = () => { const canvas = document.createElement("canvas"); return !!(canvas.getContext("webgl2") || canvas.getContext("webgl")); };

// JupyterLab takes arrows and Enter from a control that has the focus, unless it bears this mark itself.
const own = (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true");

export default {
  render({ model, el }) {
    let width = 0;
    const plots = () => {
      const box = el.closest(".widget-vbox");
      return [...(box?.querySelectorAll(".js-plotly-plot") ?? [])].filter((plot) => plot.closest(".widget-vbox") === box);
    };
    const there = () => plots().length >= model.get("figures").length;
    const drawn = new Promise((resolve) => {
      const look = setInterval(() => { if (there()) { clearInterval(look); resolve(); } }, 100);
    });
    const heard = model.get("figures").map((id) => hear(model.widget_manager, id, drawn));
    Promise.all([drawn, ...heard]).then(() => {  // what Python sent before that may be lost: let it say all again
      if (!heard.length) return;
      model.set("drawn", model.get("drawn") + 1);
      model.save_changes();
    });
    const name = () => {
      const box = el.closest(".widget-vbox");
      box?.addEventListener("focusin", own);  // the same function again changes nothing
      const labels = model.get("labels");
      plots().forEach((plot, i) => { if (labels[i]) { plot.setAttribute("role", "img"); plot.setAttribute("aria-label", labels[i]); } });
    };
    const tell = () => {
      if (model.get("dark") === dark()) return;
      model.set("dark", dark());
      model.save_changes();
    };
    const wrong = ({ _fullLayout: drawn, clientWidth }) => drawn?.autosize
      && (Math.abs(drawn.width - clientWidth) > 1 || drawn.width > el.clientWidth + 1);
    const fit = (tries) => {  // a figure that Python draws meanwhile may miss it, so look again
      window.dispatchEvent(new Event("resize"));
      if (tries) setTimeout(() => { if (plots().some(wrong)) fit(tries - 1); }, 500);
    };
    const sized = new ResizeObserver(([entry]) => {
      const now = Math.round(entry.contentRect.width);
      if (now && now !== width) fit(6);
      width = now;
      name();
    });
    const themed = new MutationObserver(tell);
    themed.observe(document.body, { attributeFilter: ["data-jp-theme-light", "class"] });
    themed.observe(document.documentElement, { attributeFilter: ["theme"] });
    el.style.width = "100%";
    sized.observe(el);
    if (!webgl()) { model.set("webgl", false); model.save_changes(); }
    tell();
    return () => { sized.disconnect(); themed.disconnect(); };
  },
};
