// The viewer: one object an element, kept while the page around it is redrawn. Nothing here asks the server anything.

const viewers = new WeakMap(); // element -> Viewer
const memory = new Map(); // view id -> state, so that leaving a page and coming back changes nothing

class Viewer {
  constructor(parent) {
    this.root = element("div", { class: "voxhelix", role: "group", "aria-label": "Three-plane viewer" });
    this.root.viewer = this;
    this.root.append(element("p", { class: "loading" }, "Opening the study\u2026"));
    parent.append(this.root);
    this.resize = new ResizeObserver(() => this.draw());
  }

  async show(bytes) {
    if (this.id === readViewId(bytes)) return;
    this.id = readViewId(bytes);
    const id = this.id;
    try {
      const view = await decodeView(bytes);
      if (id !== this.id) return; // another study was chosen meanwhile
      this.view = view;
    } catch (error) {
      this.root.replaceChildren(element("p", { class: "loading" }, `The study cannot be shown: ${error.message}`));
      return;
    }
    this.state = memory.get(id) ?? initialState(this.view);
    memory.set(id, this.state);
    this.build();
    this.draw();
  }

  close() {
    this.resize.disconnect();
    cancelAnimationFrame(this.frame);
    this.root.remove();
  }

  build() {
    const { view, state } = this;
    const actions = {
      window: (level, width) => this.change(() => {
        state.level = level ?? state.level;
        state.width = Math.max(1e-6, width ?? state.width);
      }),
      flip: () => this.change(() => { state.radiological = !state.radiological; }),
      crosshair: () => this.change(() => { state.crosshair = !state.crosshair; }),
      reset: () => this.reset(),
      screenshot: () => this.screenshot(),
      slice: (plane, index) => this.moveTo(PLANES[plane].through, index),
      toggle: (value) => this.change(() => {
        if (!state.overlay.hidden.delete(value)) state.overlay.hidden.add(value);
      }),
      visit: (structure) => structure.centre && this.change(() => { state.cursor = [...structure.centre]; }),
      light: (value) => this.change(() => { state.overlay.lit = value; }),
      opacity: (value) => this.change(() => { state.overlay.opacity = value; }),
      outline: (value) => this.change(() => { state.overlay.outline = value; }),
      overlay: () => this.change(() => { state.overlay.shown = !state.overlay.shown; }),
    };
    this.actions = actions;
    this.toolbar = buildToolbar(view, actions);
    this.legend = buildLegend(view, actions);
    this.status = buildStatus(view);
    this.planes = Object.fromEntries(Object.keys(PLANES).map((plane) => [plane, buildPlane(plane, view, actions)]));
    this.resize.disconnect();
    for (const [name, plane] of Object.entries(this.planes)) {
      this.listen(name, plane);
      this.resize.observe(plane.frame);
    }
    const extents = view.shape.map((n, axis) => n * view.spacing[axis]);
    const slab = extents[2] < 0.3 * Math.max(extents[0], extents[1]);
    const grid = element("div", { class: slab ? "planes slab" : "planes" }, ...Object.values(this.planes).map((plane) => plane.node));
    this.grid = grid;
    const body = element("div", { class: "body" }, grid, ...(this.legend ? [this.legend.node] : []));
    this.root.replaceChildren(this.toolbar.node, body, this.status.node);
    this.root.onkeydown = (event) => this.onKey(event);
  }

  change(apply) {
    apply();
    this.draw();
  }

  reset() {
    Object.assign(this.state, initialState(this.view));
    this.draw();
  }

  moveTo(axis, index) {
    const limit = this.view.shape[axis] - 1;
    this.change(() => {
      this.state.cursor[axis] = Math.min(limit, Math.max(0, Math.round(index)));
      if (this.state.pointer) this.state.pointer[axis] = this.state.cursor[axis];
    });
  }

  // Put the crosshair on a position in mm (RAS+).
  goTo(world) {
    const index = this.view.affine.toIndex(world);
    this.change(() => {
      this.state.cursor = index.map((value, axis) => Math.min(this.view.shape[axis] - 1, Math.max(0, Math.round(value))));
    });
  }

  // However many changes come, there is one painting a frame.
  draw() {
    if (!this.view || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  paint() {
    const { view, state } = this;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const key = `${state.level}/${state.width}`;
    if (this.greyKey !== key || this.greyView !== view) {
      this.greys = windowTable(view, state.level, state.width);
      this.greyKey = key;
      this.greyView = view;
    }
    const overlay = view.labels ? overlayTable(view.structures, state.overlay) : null;
    this.grid.dataset.maximised = state.maximised ?? "";
    for (const [name, plane] of Object.entries(this.planes)) {
      const width = Math.round(plane.frame.clientWidth * ratio);
      const height = Math.round(plane.frame.clientHeight * ratio);
      const { through } = PLANES[name];
      plane.slider.value = String(state.cursor[through]);
      if (!width || !height) continue;
      if (plane.canvas.width !== width || plane.canvas.height !== height) Object.assign(plane.canvas, { width, height });
      const context = plane.canvas.getContext("2d", { alpha: false });
      const projection = this.projection(name);
      this.paintBase(context, name, plane, projection, overlay, ratio);
      paintMarks(context, name, projection, state, view, ratio, PLANE_COLOURS);
    }
    this.toolbar.show(state);
    this.status.show(state);
    this.legend?.show(state);
    this.root.dataset.painted = String(Number(this.root.dataset.painted ?? 0) + 1);
  }

  // A slice is computed once; moving the crosshair over it costs a copy.
  paintBase(context, name, plane, projection, overlay, ratio) {
    const { view, state } = this;
    const slice = state.cursor[PLANES[name].through];
    const { hidden, ...rest } = state.overlay;
    const key = JSON.stringify([this.id, slice, projection, this.greyKey, rest, [...hidden]]);
    if (plane.key !== key) {
      plane.base ??= document.createElement("canvas");
      const { width, height } = context.canvas;
      if (plane.base.width !== width || plane.base.height !== height) Object.assign(plane.base, { width, height });
      paintSlice(plane.base.getContext("2d", { alpha: false }), view, name, slice, projection, this.greys, overlay, ratio);
      plane.key = key;
    }
    context.drawImage(plane.base, 0, 0);
  }

  projection(name) {
    const { canvas } = this.planes[name];
    return new Projection(name, this.view, canvas.width, canvas.height, this.state.panes[name], this.state.radiological);
  }

  // The canvas pixel at which a position in mm (RAS+) appears in a plane.
  locate(name, world) {
    const index = this.view.affine.toIndex(world);
    const projection = this.projection(name);
    return projection.axes.map((axis, screen) => projection.toPixel(screen, index[axis]));
  }

  listen(name, { canvas }) {
    let drag = null;
    const pixel = (event) => {
      const box = canvas.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
    };
    // The voxel under the pointer; outside of the picture the nearest one.
    const voxel = (event) => {
      const projection = this.projection(name);
      const place = pixel(event);
      const found = [...this.state.cursor];
      projection.axes.forEach((axis, screen) => {
        const index = Math.round(projection.toIndex(screen, place[screen]));
        found[axis] = Math.min(this.view.shape[axis] - 1, Math.max(0, index));
      });
      return found;
    };
    const pick = (event) => this.change(() => { this.state.cursor = voxel(event); });
    canvas.addEventListener("pointerdown", (event) => {
      const mode = event.button === 1 || event.altKey ? "pan" : event.button === 2 || event.shiftKey ? "window" : "pick";
      drag = { mode, at: [event.clientX, event.clientY] };
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      if (mode === "pick") pick(event);
      event.preventDefault();
    });
    canvas.addEventListener("pointerleave", () => {
      this.state.pointer = null;
      this.status.show(this.state);
    });
    canvas.addEventListener("pointermove", (event) => {
      this.state.pointer = voxel(event);
      if (!drag) {
        this.status.show(this.state);
        return;
      }
      const [dx, dy] = [event.clientX - drag.at[0], event.clientY - drag.at[1]];
      drag.at = [event.clientX, event.clientY];
      if (drag.mode === "pick") pick(event);
      else if (drag.mode === "pan") this.pan(name, dx / canvas.clientWidth, dy / canvas.clientHeight);
      else this.dragWindow(dx, dy);
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { drag = null; });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.maximise(name));
    let rest = 0;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) {
        this.zoom(name, Math.exp(-event.deltaY / 300), pixel(event));
        return;
      }
      // A wheel clicks in steps of about 100, a touchpad sends many small ones.
      rest += event.deltaMode === 1 ? event.deltaY * 40 : event.deltaY;
      const steps = Math.trunc(rest / 40);
      if (!steps) return;
      rest -= steps * 40;
      const { through } = PLANES[name];
      this.moveTo(through, this.state.cursor[through] - Math.sign(steps) * Math.max(1, Math.floor(Math.abs(steps) / 2)));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowRight: 1, PageUp: 5, ArrowDown: -1, ArrowLeft: -1, PageDown: -5 }[event.key];
      const { through } = PLANES[name];
      if (step) this.moveTo(through, this.state.cursor[through] + step * (event.shiftKey ? 5 : 1));
      else if (event.key === "Home") this.moveTo(through, 0);
      else if (event.key === "End") this.moveTo(through, Infinity);
      else if (event.key.toLowerCase() === "m") this.maximise(name);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  onKey(event) {
    if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
    const preset = this.view.presets[Number(event.key) - 1];
    const keys = { o: "overlay", x: "crosshair", n: "flip", r: "reset" };
    const action = keys[event.key.toLowerCase()];
    if (preset) this.actions.window(preset.level, preset.width);
    else if (action) this.actions[action]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  dragWindow(dx, dy) {
    const speed = Math.max(1, this.state.width / 300);
    const round = (value) => (this.view.units === "HU" ? Math.round(value) : value);
    this.change(() => {
      this.state.width = Math.max(this.view.units === "HU" ? 1 : 1e-6, round(this.state.width + dx * speed));
      this.state.level = round(this.state.level + dy * speed);
    });
  }

  pan(name, dx, dy) {
    const pane = this.state.panes[name];
    this.change(() => { pane.pan = [pane.pan[0] + dx, pane.pan[1] + dy]; });
  }

  // Zoom so that what is under the pointer stays there.
  zoom(name, factor, [x, y]) {
    const pane = this.state.panes[name];
    const { canvas } = this.planes[name];
    const zoom = Math.min(20, Math.max(0.5, pane.zoom * factor));
    const ratio = zoom / pane.zoom;
    const about = [x / canvas.width - 0.5, y / canvas.height - 0.5];
    this.change(() => {
      pane.pan = pane.pan.map((shift, axis) => about[axis] - (about[axis] - shift) * ratio);
      pane.zoom = zoom;
    });
  }

  maximise(name) {
    this.change(() => { this.state.maximised = this.state.maximised === name ? null : name; });
  }

  // One picture of the planes as they stand on the page, with window, convention and notice below.
  screenshot() {
    const canvases = Object.values(this.planes).map((plane) => plane.canvas).filter((canvas) => canvas.offsetParent);
    const ratio = canvases[0].width / canvases[0].clientWidth;
    const frame = this.grid.getBoundingClientRect();
    const footer = 30 * ratio;
    const sheet = document.createElement("canvas");
    sheet.width = Math.round(frame.width * ratio);
    sheet.height = Math.round(frame.height * ratio + footer);
    const context = sheet.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, sheet.width, sheet.height);
    for (const canvas of canvases) {
      const box = canvas.getBoundingClientRect();
      context.drawImage(canvas, Math.round((box.left - frame.left) * ratio), Math.round((box.top - frame.top) * ratio));
    }
    context.fillStyle = "#8c99a8";
    context.font = `${13 * ratio}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const { level, width, radiological } = this.state;
    const text = `Level ${level}, width ${width} ${this.view.units} \u00b7 ${radiological ? "radiological" : "neurological"} `
      + "convention \u00b7 voxhelix, research use only";
    context.fillText(text, 10 * ratio, sheet.height - footer / 2);
    sheet.toBlob((blob) => {
      const link = element("a", { href: URL.createObjectURL(blob), download: "voxhelix-view.png" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
}

// Streamlit calls this whenever the arguments change, always with the same element while the key stays.
export default function mount({ data, parentElement }) {
  let viewer = viewers.get(parentElement);
  if (!viewer) {
    viewer = new Viewer(parentElement);
    viewers.set(parentElement, viewer);
  }
  if (data) viewer.show(data);
  return () => {
    viewer.close();
    viewers.delete(parentElement);
  };
}
