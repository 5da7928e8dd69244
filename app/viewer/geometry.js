// Where a voxel stands on the screen, and back. The volume is RAS+: index 0 grows to the patient's right, 1 to the
// front, 2 to the head. Axes are numbered so throughout.

const PLANES = {
  axial: { through: 2, across: 0, down: 1, label: "Axial" },
  coronal: { through: 1, across: 0, down: 2, label: "Coronal" },
  sagittal: { through: 0, across: 1, down: 2, label: "Sagittal" },
};
const LETTERS = [["L", "R"], ["P", "A"], ["I", "S"]]; // low index, high index

// Whether high indices stand at the left (or top) edge. Front and head are up, the face looks left, and in the
// radiological convention the patient's right is at the viewer's left, as if seen from the feet.
function isFlipped(axis, radiological) {
  return axis === 0 ? radiological : true;
}

// The map between one plane's voxels and the pixels of its canvas.
class Projection {
  constructor(plane, view, width, height, pane, radiological) {
    const { across, down } = PLANES[plane];
    const { shape, spacing, focus } = view;
    this.axes = [across, down];
    this.flips = [isFlipped(across, radiological), isFlipped(down, radiological)];
    this.counts = [shape[across], shape[down]];
    this.steps = [spacing[across], spacing[down]];
    this.size = [width, height];
    // At zoom 1 the pane shows all that is not air, with a little room around it.
    const extents = this.axes.map((axis, screen) => (focus[axis][1] - focus[axis][0] + 1) * this.steps[screen]);
    const fit = Math.min((width * 0.95) / extents[0], (height * 0.95) / extents[1]);
    this.scale = fit * pane.zoom; // canvas pixels per mm
    this.middle = this.axes.map((axis, screen) => this.place(screen, (focus[axis][0] + focus[axis][1]) / 2));
    this.shift = [pane.pan[0] * width, pane.pan[1] * height];
  }

  // Counted from the left or top edge instead of from the low index.
  place(axis, index) {
    return this.flips[axis] ? this.counts[axis] - 1 - index : index;
  }

  // Continuous voxel index (0 is the centre of the first voxel) -> canvas pixel, on screen axis 0 (across) or 1 (down).
  toPixel(axis, index) {
    const offset = this.place(axis, index) - this.middle[axis];
    return this.size[axis] / 2 + this.shift[axis] + offset * this.steps[axis] * this.scale;
  }

  toIndex(axis, pixel) {
    const offset = (pixel - this.size[axis] / 2 - this.shift[axis]) / (this.scale * this.steps[axis]);
    return this.place(axis, offset + this.middle[axis]);
  }

  // For every pixel of a screen axis: the two voxels it lies between and the weight of the second; -1 is outside.
  samples(axis) {
    const n = this.counts[axis];
    const length = this.size[axis];
    const first = new Int32Array(length);
    const second = new Int32Array(length);
    const weight = new Float32Array(length);
    for (let pixel = 0; pixel < length; pixel++) {
      const index = this.toIndex(axis, pixel + 0.5);
      if (index < -0.5 || index > n - 0.5) {
        first[pixel] = -1;
        continue;
      }
      const inside = Math.min(n - 1, Math.max(0, index));
      first[pixel] = Math.floor(inside);
      second[pixel] = Math.min(n - 1, first[pixel] + 1);
      weight[pixel] = inside - first[pixel];
    }
    return { first, second, weight };
  }

  // Letters at left, right, top and bottom.
  edges() {
    const [a, d] = this.axes;
    const [low, high] = LETTERS[a];
    const [bottom, top] = LETTERS[d];
    return {
      left: this.flips[0] ? high : low,
      right: this.flips[0] ? low : high,
      top: this.flips[1] ? top : bottom,
      bottom: this.flips[1] ? bottom : top,
    };
  }
}

// The stored map between voxel indices and mm (RAS+), both ways.
class Affine {
  constructor(rows) {
    this.rows = rows;
    this.inverse = invert3(rows);
  }

  toWorld(index) {
    return this.rows.slice(0, 3).map((row) => row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3]);
  }

  toIndex(world) {
    const offset = world.map((value, axis) => value - this.rows[axis][3]);
    return this.inverse.map((row) => row[0] * offset[0] + row[1] * offset[1] + row[2] * offset[2]);
  }
}

function invert3(m) {
  const minor = (r, c) => {
    const [r0, r1] = [0, 1, 2].filter((i) => i !== r);
    const [c0, c1] = [0, 1, 2].filter((i) => i !== c);
    return m[r0][c0] * m[r1][c1] - m[r0][c1] * m[r1][c0];
  };
  const cofactor = (r, c) => ((r + c) % 2 ? -1 : 1) * minor(r, c);
  const determinant = m[0][0] * cofactor(0, 0) + m[0][1] * cofactor(0, 1) + m[0][2] * cofactor(0, 2);
  return [0, 1, 2].map((r) => [0, 1, 2].map((c) => cofactor(c, r) / determinant));
}

// "R 12.3  A 4.0  S 55.1", naming the direction instead of a sign.
function describePosition(world) {
  return world
    .map((value, axis) => `${LETTERS[axis][value < 0 ? 0 : 1]} ${Math.abs(value).toFixed(1)}`)
    .join("   ");
}
