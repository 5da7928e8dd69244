// From voxels to the pixels of a canvas: window, overlay, outline, and the marks drawn on top.

const AIR = 0xff000000; // black, opaque; pixels are written as 0xAABBGGRR

// The window as a table over all 16-bit values: stored value -> grey.
function windowTable(view, level, width) {
  const table = new Uint8Array(65536);
  const low = level - width / 2;
  for (let stored = -32768; stored < 32768; stored++) {
    const value = stored * view.slope + view.intercept;
    table[stored + 32768] = Math.min(255, Math.max(0, Math.round(((value - low) / width) * 255)));
  }
  return table;
}

// Colours and strengths of the label values, as the render loop wants them.
function overlayTable(structures, overlay) {
  const table = { red: new Float32Array(256), green: new Float32Array(256), blue: new Float32Array(256),
                  fill: new Float32Array(256), edge: new Float32Array(256) };
  for (const { value, colour } of structures) {
    const number = parseInt(colour.slice(1), 16);
    table.red[value] = number >> 16;
    table.green[value] = (number >> 8) & 255;
    table.blue[value] = number & 255;
    if (!overlay.shown || overlay.hidden.has(value)) continue;
    const lit = overlay.lit === value;
    table.fill[value] = lit ? Math.min(1, overlay.opacity + 0.25) : overlay.opacity;
    table.edge[value] = overlay.outline || lit ? Math.max(0.9, table.fill[value]) : table.fill[value];
  }
  return table;
}

// Paint one slice at the resolution of the canvas. Grey values are interpolated; at the border between structures the
// label with the greatest share of the four neighbours wins, which gives smooth borders without inventing a label.
function paintSlice(context, view, plane, slice, projection, greys, overlay, pixelRatio) {
  const [width, height] = projection.size;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const strides = [1, view.shape[0], view.shape[0] * view.shape[1]];
  const [stepAcross, stepDown] = projection.axes.map((axis) => strides[axis]);
  const base = slice * strides[PLANES[plane].through];
  const across = projection.samples(0);
  const down = projection.samples(1);
  const voxels = view.image;
  const labels = overlay ? view.labels : null;
  const found = labels ? new Uint8Array(width * height) : null;
  for (let y = 0, at = 0; y < height; y++) {
    if (down.first[y] < 0) {
      pixels.fill(AIR, at, at + width);
      at += width;
      continue;
    }
    const row0 = base + down.first[y] * stepDown;
    const row1 = base + down.second[y] * stepDown;
    const wy = down.weight[y];
    for (let x = 0; x < width; x++, at++) {
      const first = across.first[x];
      if (first < 0) {
        pixels[at] = AIR;
        continue;
      }
      const column0 = first * stepAcross;
      const column1 = across.second[x] * stepAcross;
      const wx = across.weight[x];
      const upper = voxels[row0 + column0] * (1 - wx) + voxels[row0 + column1] * wx;
      const lower = voxels[row1 + column0] * (1 - wx) + voxels[row1 + column1] * wx;
      const grey = greys[(upper + (lower - upper) * wy + 32768.5) | 0];
      pixels[at] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
      if (labels) {
        const a = labels[row0 + column0];
        const b = labels[row0 + column1];
        const c = labels[row1 + column0];
        const d = labels[row1 + column1];
        found[at] = a === b && a === c && a === d ? a : vote(a, b, c, d, wx, wy);
      }
    }
  }
  if (found) blendLabels(pixels, found, width, height, overlay, Math.max(1, Math.round(1.25 * pixelRatio)));
  context.putImageData(image, 0, 0);
}

function vote(a, b, c, d, wx, wy) {
  const wa = (1 - wx) * (1 - wy);
  const wb = wx * (1 - wy);
  const wc = (1 - wx) * wy;
  const wd = wx * wy;
  const sa = wa + (b === a ? wb : 0) + (c === a ? wc : 0) + (d === a ? wd : 0);
  const sb = wb + (a === b ? wa : 0) + (c === b ? wc : 0) + (d === b ? wd : 0);
  const sc = wc + (a === c ? wa : 0) + (b === c ? wb : 0) + (d === c ? wd : 0);
  const sd = wd + (a === d ? wa : 0) + (b === d ? wb : 0) + (c === d ? wc : 0);
  if (sa >= sb && sa >= sc && sa >= sd) return a;
  if (sb >= sc && sb >= sd) return b;
  return sc >= sd ? c : d;
}

function blendLabels(pixels, found, width, height, overlay, thickness) {
  const { red, green, blue, fill, edge } = overlay;
  for (let y = 0, at = 0; y < height; y++) {
    const up = y >= thickness ? -thickness * width : 0;
    const below = y + thickness < height ? thickness * width : 0;
    for (let x = 0; x < width; x++, at++) {
      const label = found[at];
      if (label === 0) continue;
      const left = x >= thickness ? -thickness : 0;
      const right = x + thickness < width ? thickness : 0;
      const inside = found[at + left] === label && found[at + right] === label
        && found[at + up] === label && found[at + below] === label;
      const strength = inside ? fill[label] : edge[label];
      if (strength === 0) continue;
      const keep = (pixels[at] & 255) * (1 - strength);
      const r = (keep + red[label] * strength) | 0;
      const g = (keep + green[label] * strength) | 0;
      const b = (keep + blue[label] * strength) | 0;
      pixels[at] = 0xff000000 | (b << 16) | (g << 8) | r;
    }
  }
}

// Crosshair, orientation letters, caption and scale bar.
function paintMarks(context, plane, projection, state, view, pixelRatio, colours) {
  const [width, height] = projection.size;
  const { across, down, through, label } = PLANES[plane];
  const x = projection.toPixel(0, state.cursor[across]);
  const y = projection.toPixel(1, state.cursor[down]);
  if (state.crosshair) {
    const gap = 9 * pixelRatio;
    const throughX = Object.keys(PLANES).find((name) => PLANES[name].through === across);
    const throughY = Object.keys(PLANES).find((name) => PLANES[name].through === down);
    context.lineWidth = pixelRatio;
    context.globalAlpha = 0.6;
    line(context, colours[throughX], [x, 0, x, y - gap], [x, y + gap, x, height]);
    line(context, colours[throughY], [0, y, x - gap, y], [x + gap, y, width, y]);
    context.globalAlpha = 1;
  }
  const font = (size, weight = 500) => `${weight} ${size * pixelRatio}px system-ui, sans-serif`;
  const edges = projection.edges();
  const pad = 14 * pixelRatio;
  context.textBaseline = "middle";
  context.textAlign = "center";
  context.font = font(12, 600);
  for (const [letter, cx, cy] of [[edges.left, pad, height / 2], [edges.right, width - pad, height / 2],
    [edges.top, width / 2, pad], [edges.bottom, width / 2, height - pad]]) {
    plate(context, cx - 9 * pixelRatio, cy - 9 * pixelRatio, 18 * pixelRatio, 18 * pixelRatio, pixelRatio);
    context.fillStyle = "#dfe6ee";
    context.fillText(letter, cx, cy + 0.5 * pixelRatio);
  }
  const at = `${Math.round(state.cursor[through]) + 1} / ${view.shape[through]}`;
  const gap = 7 * pixelRatio;
  const labelWidth = context.measureText(label).width;
  context.textAlign = "left";
  plate(context, 5 * pixelRatio, 5 * pixelRatio, labelWidth + context.measureText(at).width + gap * 3, 18 * pixelRatio, pixelRatio);
  context.fillStyle = colours[plane];
  context.fillText(label, 5 * pixelRatio + gap, pad + 0.5 * pixelRatio);
  context.fillStyle = "#a3afbd";
  context.font = font(12);
  context.fillText(at, 5 * pixelRatio + gap * 2 + labelWidth, pad + 0.5 * pixelRatio);
  paintScaleBar(context, projection, pixelRatio, font(11));
}

// A dark ground, so that light anatomy does not swallow the writing.
function plate(context, x, y, width, height, pixelRatio) {
  context.fillStyle = "rgba(4, 7, 11, .62)";
  context.beginPath();
  context.roundRect(x, y, width, height, 5 * pixelRatio);
  context.fill();
}

function paintScaleBar(context, projection, pixelRatio, font) {
  const [width, height] = projection.size;
  const lengths = [200, 100, 50, 20, 10, 5, 2, 1];
  const mm = lengths.find((length) => length * projection.scale < width * 0.3) ?? 1;
  const end = width - 12 * pixelRatio;
  const start = end - mm * projection.scale;
  const y = height - 12 * pixelRatio;
  const tick = 3 * pixelRatio;
  context.lineWidth = 1.5 * pixelRatio;
  plate(context, start - 6 * pixelRatio, y - 18 * pixelRatio, end - start + 12 * pixelRatio, 25 * pixelRatio, pixelRatio);
  line(context, "#a3afbd", [start, y, end, y], [start, y - tick, start, y + tick], [end, y - tick, end, y + tick]);
  context.fillStyle = "#a3afbd";
  context.font = font;
  context.textAlign = "right";
  context.fillText(mm >= 10 ? `${mm / 10} cm` : `${mm} mm`, end, y - 9 * pixelRatio);
}

function line(context, colour, ...segments) {
  context.strokeStyle = colour;
  context.beginPath();
  for (const [x0, y0, x1, y1] of segments) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
}
