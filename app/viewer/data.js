// The one message from Python: "VXV1", the length of a JSON header, the header, 16-bit voxels, deflated labels.

const PLANE_COLOURS = { axial: "#e8927c", coronal: "#7cc4a4", sagittal: "#e0bf6d" };

async function decodeView(bytes) {
  const magic = String.fromCharCode(...bytes.subarray(0, 4));
  if (magic !== "VXV1") throw new Error("The image did not arrive whole. Reload the page.");
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = numbers.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const start = 8 + length;
  const imageEnd = start + header.imageBytes;
  // A copy, because 16-bit arrays must start at an even address.
  const view = { ...header, image: new Int16Array(bytes.slice(start, imageEnd).buffer), labels: null };
  if (header.labelBytes > 0) {
    const packed = new Blob([bytes.subarray(imageEnd, imageEnd + header.labelBytes)]);
    const stream = packed.stream().pipeThrough(new DecompressionStream("deflate"));
    view.labels = new Uint8Array(await new Response(stream).arrayBuffer());
  }
  view.affine = new Affine(header.affine);
  return view;
}

// Only the header, to see whether this is the view that is already shown.
function readViewId(bytes) {
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + numbers.getUint32(4, true)))).id;
}

function initialState(view) {
  return {
    cursor: view.cursor ? [...view.cursor] : view.shape.map((n) => Math.floor((n - 1) / 2)),
    pointer: null,
    level: view.window[0],
    width: view.window[1],
    radiological: true,
    crosshair: true,
    maximised: null,
    panes: Object.fromEntries(Object.keys(PLANES).map((plane) => [plane, { zoom: 1, pan: [0, 0] }])),
    overlay: { shown: true, opacity: 0.35, outline: true, hidden: new Set(), lit: null },
  };
}

function valueAt(view, cursor) {
  const [x, y, z] = cursor.map(Math.round);
  const at = x + view.shape[0] * (y + view.shape[1] * z);
  const value = view.image[at] * view.slope + view.intercept;
  return { value, label: view.labels ? view.labels[at] : 0 };
}
