// The elements around the canvases. Text that comes from outside is only ever set as textContent.

const ICONS = {
  eye: "M1.5 8s2.4-4.5 6.5-4.5S14.5 8 14.5 8 12.1 12.5 8 12.5 1.5 8 1.5 8ZM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
  reset: "M3 8a5 5 0 1 0 1.6-3.7M3 2.8v2.6h2.6",
  camera: "M2 5h2.5l1-1.8h5l1 1.8H14v8H2V5Zm6 6.2a2.4 2.4 0 1 0 0-4.8 2.4 2.4 0 0 0 0 4.8Z",
  cross: "M8 1.5v4.2M8 10.3v4.2M1.5 8h4.2M10.3 8h4.2",
  help: "M6.2 6.1a1.9 1.9 0 1 1 2.6 1.8c-.5.2-.8.6-.8 1.1v.4M8 11.7v.1M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Z",
  flip: "M8 2v12M5.5 5 2.5 8l3 3M10.5 5l3 3-3 3",
};
const HELP = [
  ["Wheel, \u2191 \u2193", "previous or next slice (Shift: five)"],
  ["Drag", "move the crosshair"],
  ["Right drag, or Shift + drag", "window: left\u2013right width, up\u2013down level"],
  ["Ctrl + wheel", "zoom"],
  ["Middle drag, or Alt + drag", "move the picture"],
  ["Double click, M", "one plane large, and back"],
  ["1 \u2013 9", "window presets"],
  ["O", "overlay on or off"],
  ["X", "crosshair on or off"],
  ["N", "radiological or neurological"],
  ["R", "reset the view"],
];

function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function iconButton(name, label, onclick) {
  return element("button", { type: "button", class: "icon", title: label, "aria-label": label, onclick }, icon(name));
}

function buildToolbar(view, actions) {
  const presets = view.presets.map((preset, index) =>
    element("button", { type: "button", class: "preset", "data-preset": preset.name, "aria-pressed": "false",
      title: `Level ${preset.level}, width ${preset.width} ${view.units}  (key ${index + 1})`,
      onclick: () => actions.window(preset.level, preset.width) }, preset.name));
  const number = (label, name, apply) => {
    const input = element("input", { type: "number", step: "any", name, "aria-label": `Window ${label.toLowerCase()}`,
      onchange: () => Number.isFinite(input.valueAsNumber) && apply(input.valueAsNumber) });
    return { input, field: element("label", { class: "number" }, element("span", {}, label), input) };
  };
  const level = number("Level", "level", (value) => actions.window(value, null));
  const width = number("Width", "width", (value) => actions.window(null, value));
  const convention = element("button", { type: "button", class: "text", onclick: actions.flip });
  const crosshair = iconButton("cross", "Crosshair on or off (X)", actions.crosshair);
  const help = element("dialog", { class: "help", "aria-label": "Mouse and keys" },
    element("h3", {}, "Mouse and keys"),
    element("dl", {}, ...HELP.flatMap(([key, text]) => [element("dt", {}, key), element("dd", {}, text)])),
    element("form", { method: "dialog" }, element("button", { class: "text" }, "Close")));
  const node = element("div", { class: "toolbar", role: "toolbar", "aria-label": "Window and view" },
    element("div", { class: "presets", role: "group", "aria-label": "Window presets" }, ...presets),
    element("div", { class: "numbers" }, level.field, width.field),
    element("div", { class: "spacer" }),
    convention, crosshair,
    iconButton("reset", "Reset the view (R)", actions.reset),
    iconButton("camera", "Save a picture of the three planes", actions.screenshot),
    iconButton("help", "Mouse and keys", () => help.showModal()), help);
  const show = (state) => {
    for (const button of presets) {
      const preset = view.presets.find((one) => one.name === button.dataset.preset);
      button.setAttribute("aria-pressed", String(preset.level === state.level && preset.width === state.width));
    }
    level.input.value = String(Math.round(state.level * 100) / 100);
    width.input.value = String(Math.round(state.width * 100) / 100);
    convention.textContent = state.radiological ? "Radiological" : "Neurological";
    convention.title = state.radiological
      ? "The patient\u2019s right is on the left of the picture. Click to swap (N)."
      : "The patient\u2019s right is on the right of the picture. Click to swap (N).";
    crosshair.setAttribute("aria-pressed", String(state.crosshair));
  };
  return { node, show };
}

function buildPlane(plane, view, actions) {
  const { label, through } = PLANES[plane];
  const canvas = element("canvas", { tabindex: "0", role: "img", "data-plane": plane,
    "aria-label": `${label} plane. Arrow keys change the slice.` });
  const slider = element("input", { type: "range", min: "0", max: String(view.shape[through] - 1), step: "1",
    "aria-label": `${label} slice`, oninput: () => actions.slice(plane, slider.valueAsNumber) });
  const frame = element("div", { class: "frame" }, canvas);
  const node = element("figure", { class: `plane ${plane}` }, frame, slider);
  node.style.setProperty("--plane", PLANE_COLOURS[plane]);
  return { node, frame, canvas, slider };
}

function buildLegend(view, actions) {
  if (!view.structures.length) return null;
  const rows = view.structures.map((structure) => {
    const { value, display, colour, millilitres } = structure;
    const eye = element("button", { type: "button", class: "eye", "aria-pressed": "true", "data-structure": value,
      "aria-label": `Show ${display}`, title: "Show or hide", onclick: () => actions.toggle(value) }, icon("eye"));
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = colour;
    const volume = millilitres === null ? "" : `${millilitres < 10 ? millilitres.toFixed(1) : Math.round(millilitres)} ml`;
    const name = element("button", { type: "button", class: "name", title: "Go to its centre",
      onclick: () => actions.visit(structure) },
      swatch, element("span", { class: "label" }, display), element("span", { class: "volume" }, volume));
    const node = element("li", { onpointerenter: () => actions.light(value), onpointerleave: () => actions.light(null) },
      name, eye);
    return { node, eye, value };
  });
  const opacity = element("input", { type: "range", min: "0", max: "100", "aria-label": "Opacity of the overlay",
    oninput: () => actions.opacity(opacity.valueAsNumber / 100) });
  const outline = element("input", { type: "checkbox", onchange: () => actions.outline(outline.checked) });
  const all = element("button", { type: "button", class: "text", title: "Overlay on or off (O)", onclick: actions.overlay });
  const node = element("aside", { class: "legend", "aria-label": "Structures" },
    element("header", {}, element("h3", {}, "Structures"), all),
    element("ul", {}, ...rows.map((row) => row.node)),
    element("footer", {},
      element("label", { class: "slider" }, element("span", {}, "Opacity"), opacity),
      element("label", { class: "check" }, outline, element("span", {}, "Outline"))));
  const show = ({ overlay }) => {
    node.classList.toggle("off", !overlay.shown);
    all.textContent = overlay.shown ? "Hide all" : "Show all";
    opacity.value = String(Math.round(overlay.opacity * 100));
    outline.checked = overlay.outline;
    for (const row of rows) {
      const visible = !overlay.hidden.has(row.value);
      row.eye.setAttribute("aria-pressed", String(visible));
      row.node.classList.toggle("hidden", !visible);
    }
  };
  return { node, show };
}

function buildStatus(view) {
  const fields = Object.fromEntries(["position", "value", "structure", "grid"].map((name) =>
    [name, element("span", { class: name })]));
  const node = element("div", { class: "status", role: "status", "aria-live": "off" },
    fields.position, fields.value, fields.structure, element("span", { class: "spacer" }), fields.grid,
    element("span", { class: "notice" }, "Research use only"));
  fields.grid.textContent = view.grid;
  // What is under the pointer while it is over a plane, else under the crosshair.
  const show = (state) => {
    const place = state.pointer ?? state.cursor;
    const { value, label } = valueAt(view, place);
    const structure = view.structures.find((one) => one.value === label);
    fields.position.textContent = `${describePosition(view.affine.toWorld(place))} mm`;
    fields.value.textContent = `${view.units === "HU" ? Math.round(value) : Number(value.toPrecision(4))} ${view.units}`;
    fields.structure.textContent = structure ? structure.display : "";
    fields.structure.style.setProperty("--colour", structure ? structure.colour : "transparent");
    node.dataset.position = view.affine.toWorld(state.cursor).map((mm) => mm.toFixed(2)).join(" ");
  };
  return { node, show };
}
