// The charts show SPAN of the server's time, drawn a moment late so that a line always reaches the edge.
const SPAN = 60_000;
const still = matchMedia('(prefers-reduced-motion: reduce)');

// palette resolves the colours of the style sheet for the canvas.
const palette = (() => {
  const probe = document.body.appendChild(document.createElement('i'));
  probe.hidden = true;
  const read = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colors = {};
  colors.refresh = () => {
    for (const name of ['ink', 'soft', 'grid', 'accent', 'replay', 'red', 'card']) colors[name] = read(name);
    colors.paint = Array.from(document.querySelectorAll('.paint'), (_, i) => read(`paint-${i}`));
    colors.hatch = null;
    colors.version = (colors.version ?? 0) + 1;
  };
  colors.refresh();
  return colors;
})();

class Chart {
  // lines: [{ of: sample => number | undefined, weight: 'main' | 'thin' | 'faint' }], main one last.
  constructor(canvas, { lines, top, label, grow = false, captions = false, rest = 1500 }) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d');
    this.lines = lines;
    this.top = top;
    this.label = label;
    this.grow = grow; // the scale follows the data, in calm steps
    this.captions = captions;
    this.rest = rest; // milliseconds without a sample that break a line
    this.scale = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = Math.min(devicePixelRatio || 1, 2);
    if (this.width === width && this.height === height && this.ratio === ratio) return;
    Object.assign(this, { width, height, ratio });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
  }

  // draw draws samples as they lie at the server's time now. holes are the absences: {from, until,
  // filled: 0..1, count}.
  draw(samples, holes, now) {
    const c = this.context;
    const { width, height } = this;
    if (!width || !height) return;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.clearRect(0, 0, width, height);

    const target = this.top(samples) || 1;
    const calm = this.grow && this.scale && !still.matches;
    this.scale = calm ? this.scale + (target - this.scale) * 0.12 : target;
    this.target = target;
    const floor = height - 17;
    const plot = {
      x: (t) => width - ((now - t) / SPAN) * width,
      y: (v) => floor - (Math.min(v, this.scale * 1.05) / this.scale) * (floor - 14),
      floor,
    };
    this.grid(plot);

    const visible = holes.map((h) => ({ ...h, left: Math.max(plot.x(h.from), 0), right: Math.min(plot.x(h.until ?? now), width) }))
      .filter((h) => h.right > 0 && h.right > h.left);
    for (const h of visible) this.hole(h, plot);

    // Outside the holes in the ordinary colours, inside them in those of replay, as far as it has come.
    c.save();
    c.beginPath();
    c.rect(0, 0, width, height);
    for (const h of visible) c.rect(h.left, 0, h.right - h.left, height);
    c.clip('evenodd');
    this.trace(samples, plot, palette.accent);
    c.restore();
    for (const h of visible) {
      if (!h.filled) continue;
      c.save();
      c.beginPath();
      c.rect(h.left, 0, (h.right - h.left) * h.filled, height);
      c.clip();
      this.trace(samples, plot, palette.replay);
      c.restore();
    }
  }

  grid(plot) {
    const c = this.context;
    c.lineWidth = 1;
    c.strokeStyle = palette.grid;
    c.fillStyle = palette.soft;
    c.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(plot.y(this.scale * part)) + 0.5;
      c.beginPath();
      c.moveTo(0, y);
      c.lineTo(this.width, y);
      c.stroke();
    }
    c.textBaseline = 'alphabetic';
    c.textAlign = 'left';
    c.fillText(this.label(this.target), 0, 10);
    c.fillText('60 s ago', 0, this.height - 2);
    c.textAlign = 'right';
    c.fillText('now', this.width, this.height - 2);
  }

  hole(h, plot) {
    const c = this.context;
    const span = h.right - h.left;
    const edge = h.left + span * h.filled;
    if (edge > h.left) {
      c.globalAlpha = 0.13;
      c.fillStyle = palette.replay;
      c.fillRect(h.left, 14, edge - h.left, plot.floor - 14);
      c.globalAlpha = 1;
    }
    if (edge < h.right) {
      c.globalAlpha = 0.32;
      c.fillStyle = this.hatch();
      c.fillRect(edge, 14, h.right - edge, plot.floor - 14);
      c.globalAlpha = 1;
    }
    if (!this.captions) return;
    const text = h.until == null ? 'nothing arrives' : h.filled === 1 && h.count ? `${h.count} replayed` : '';
    if (!text) return;
    c.fillStyle = h.until == null ? palette.red : palette.replay;
    c.textBaseline = 'alphabetic';
    const wide = c.measureText(text).width;
    if (h.left + wide > this.width) {
      c.textAlign = 'right';
      c.fillText(text, this.width, 10);
    } else if (h.left > 44) {
      c.textAlign = 'left';
      c.fillText(text, h.left, 10);
    }
  }

  hatch() {
    if (palette.hatch) return palette.hatch;
    const size = 14;
    const tile = new OffscreenCanvas(size, size);
    const c = tile.getContext('2d');
    c.strokeStyle = palette.red;
    c.lineWidth = 1.4;
    c.beginPath();
    for (const at of [-size, 0, size]) {
      c.moveTo(at - 1, size + 1);
      c.lineTo(at + size + 1, -1);
    }
    c.stroke();
    return (palette.hatch = this.context.createPattern(tile, 'repeat'));
  }

  trace(samples, plot, color) {
    const c = this.context;
    c.lineJoin = 'round';
    c.lineCap = 'round';
    for (const { of, weight } of this.lines) {
      const main = weight === 'main';
      const pieces = this.pieces(samples, of, plot);
      if (main) {
        const shade = c.createLinearGradient(0, 14, 0, plot.floor);
        shade.addColorStop(0, color);
        shade.addColorStop(1, color.replace('rgb(', 'rgba(').replace(')', ', 0)'));
        c.globalAlpha = 0.2;
        c.fillStyle = shade;
        for (const piece of pieces) {
          c.beginPath();
          c.moveTo(piece[0].x, plot.floor);
          for (const p of piece) c.lineTo(p.x, p.y);
          c.lineTo(piece.at(-1).x, plot.floor);
          c.fill();
        }
      }
      c.globalAlpha = main ? 1 : weight === 'thin' ? 0.6 : 0.3;
      c.strokeStyle = main || color === palette.replay ? color : palette.soft;
      c.lineWidth = main ? 2 : 1.2;
      for (const piece of pieces) {
        c.beginPath();
        for (const p of piece) c.lineTo(p.x, p.y);
        c.stroke();
      }
      c.globalAlpha = 1;
    }
  }

  // pieces breaks a line where samples are missing: it never draws what was not measured.
  pieces(samples, of, plot) {
    const all = [];
    let piece = null;
    let before = -Infinity;
    for (const s of samples) {
      const v = of(s);
      if (v === undefined) continue;
      if (!piece || s.t - before > this.rest) all.push((piece = []));
      piece.push({ x: plot.x(s.t), y: plot.y(v) });
      before = s.t;
    }
    return all;
  }
}
