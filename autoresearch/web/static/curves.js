// The training-loss curves on a canvas.
"use strict";
const LossCurves = (() => {
  const { byId, make, colour } = Live;
  const LEFT = 52, RIGHT = 12, TOP = 8, BOTTOM = 24;
  const STYLES = { baseline: ["muted", [6, 4], 1.4], best: ["accent", [], 2.2], last: ["quiet", [], 1.6], open: ["ink", [], 1.8] };
  const canvas = byId("curves");
  let lines = [];

  const draw = Live.onceAFrame(() => {
    if (!lines.length || canvas.clientWidth === 0) return;
    const { context: c, width, height } = Live.prepare(canvas);
    const all = lines.flatMap((line) => line.points);
    let low = Math.min(...all), high = Math.max(...all);
    if (high === low) { low -= 0.5; high += 0.5; }
    const y = (v) => TOP + (1 - (v - low) / (high - low)) * (height - TOP - BOTTOM);
    c.textBaseline = "middle";
    c.fillStyle = colour("muted");
    c.strokeStyle = colour("line");
    for (const tick of Live.ticks(low, high, 4)) {
      c.beginPath(); c.moveTo(LEFT, y(tick)); c.lineTo(width - RIGHT, y(tick)); c.stroke();
      c.textAlign = "right";
      c.fillText(String(Number(tick.toPrecision(4))), LEFT - 8, y(tick));
    }
    c.textAlign = "center";
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const x = LEFT + part * (width - LEFT - RIGHT);
      c.fillText(`${100 * part}%`, Math.min(x, width - 18), height - 8);
    }
    for (const line of lines) {
      const [name, dash, wide] = STYLES[line.kind] || STYLES.last;
      c.strokeStyle = colour(name);
      c.setLineDash(dash);
      c.lineWidth = wide;
      c.beginPath();
      line.points.forEach((v, n) => c.lineTo(LEFT + ((n + 1) / line.points.length) * (width - LEFT - RIGHT), y(v)));
      c.stroke();
    }
    c.setLineDash([]);
  });

  function show(data) {
    lines = data;
    byId("curves-section").hidden = !lines.length;
    const classes = { baseline: "dashed", best: "accent", last: "quiet", open: "ink" };
    byId("curves-legend").replaceChildren(...lines.map((line) => {
      const li = make("li");
      li.append(make("i", `key line ${classes[line.kind] || ""}`), document.createTextNode(line.name));
      return li;
    }));
    draw();
  }

  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return { show };
})();
