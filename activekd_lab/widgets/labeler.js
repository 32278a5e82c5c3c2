// The front end of Labeler: an image, a button a class, and keys. All state is in Python; keys and clicks are sent there.
const STYLE = `
.akd-labeler { outline: none; padding: 8px; max-width: 620px; border: 2px solid transparent; border-radius: 8px; }
.akd-labeler:focus-within, .akd-labeler:focus { border-color: #0072b2; }
.akd-labeler img { width: 256px; height: 256px; object-fit: contain; image-rendering: pixelated; cursor: zoom-in; border-radius: 6px; }
.akd-labeler img.large { width: min(560px, 95%); height: auto; cursor: zoom-out; }
.akd-labeler .classes, .akd-labeler .acts { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 8px; }
.akd-labeler button { padding: 4px 10px; font-size: 13px; cursor: pointer; }
.akd-labeler kbd { opacity: 0.65; margin-right: 5px; }
.akd-labeler progress { width: 256px; display: block; margin-top: 8px; }`;
const ACTS = [["u", "undo"], ["s", "later"], ["x", "in no class"], ["?", "ask the model"]];

function button(key, text, send) {
  const made = document.createElement("button");
  const hint = document.createElement("kbd");
  hint.textContent = key;
  made.append(...(key ? [hint] : []), text);
  made.onclick = () => send();
  return made;
}

function render({ model, el }) {
  const box = document.createElement("div"), image = document.createElement("img"), words = document.createElement("p");
  const classes = document.createElement("div"), acts = document.createElement("div"), style = document.createElement("style");
  const progress = document.createElement("progress");
  box.className = "akd-labeler"; box.tabIndex = 0;
  box.dataset.lmSuppressShortcuts = "true"; // JupyterLab's own single-key shortcuts stay out of it
  box.setAttribute("aria-label", "Labeler: the keys on the buttons label, u undoes, s puts off, x is in no class, ? asks the model");
  classes.className = "classes"; acts.className = "acts"; style.textContent = STYLE;
  words.setAttribute("role", "status");
  let waiting = false; // for the next picture: what comes before it would label an image that nobody saw
  const send = (content) => {
    box.focus();
    if (waiting) return;
    waiting = true;
    model.send({ ...content, id: model.get("image_id") });
  };
  image.onclick = () => image.classList.toggle("large");
  const keys = model.get("class_keys"), known = new Set([...keys, ...ACTS.map(([key]) => key)]);
  known.delete("");
  model.get("class_names").forEach((name, i) => classes.append(button(keys[i], name, () => send({ label: i }))));
  ACTS.forEach(([key, text]) => acts.append(button(key, text, () => send({ key }))));
  box.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !known.has(event.key)) return;
    event.preventDefault(); event.stopPropagation();
    if (!event.repeat) send({ key: event.key });
  };
  const draw = () => {
    waiting = false;
    image.src = model.get("image"); image.alt = model.get("alt"); image.hidden = !model.get("image");
    words.textContent = model.get("words");
    progress.max = model.get("total"); progress.value = model.get("done");
  };
  model.on("change:turn", draw); // set last in each update
  draw();
  hear(model.widget_manager, model.get("own"));
  box.append(style, image, progress, words, classes, acts);
  el.append(box);
  return () => model.off("change:turn", draw);
}
export default { render };
