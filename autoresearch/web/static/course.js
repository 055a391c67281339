// The course of the run on a canvas: 10,000 iterations are drawn in one frame.
"use strict";
const Course = (() => {
  const { byId, make, colour } = Live;
  const LEFT = 62, RIGHT = 12, TOP = 10, BOTTOM = 26, LANE = 16;
  const KEEP = 0, REVERT = 1;
  let rows = [], course = null, places = [];
  const canvas = byId("course");

  // Where a row stands: a gain over several seeds is paired, so it is taken from the baseline.
  function valueOf(row) {
    if (row[4] && row[3] !== null && course.baseline !== null) return course.baseline * (1 + course.sign * -row[3]);
    return row[2];
  }

  const draw = Live.onceAFrame(() => {
    if (!course || canvas.clientWidth === 0) return;
    const { context: c, width, height } = Live.prepare(canvas);
    const lanes = [...new Set(rows.filter((r) => r[2] === null).map((r) => r[5]))].sort();
    const bottom = height - BOTTOM - lanes.length * LANE;
    const last = Math.max(10, rows.length ? rows[rows.length - 1][0] : 1);
    const x = (iter) => LEFT + (width - LEFT - RIGHT) * (iter / last);
    const y = (value) => {
      const v = Math.min(course.high, Math.max(course.low, value));
      const part = (v - course.low) / (course.high - course.low);
      return bottom - part * (bottom - TOP);
    };
    c.textBaseline = "middle";
    grid(c, x, y, width, height, last);
    places = [];
    points(c, x, y, bottom, lanes);
    best(c, x, y);
    labels(c, bottom, lanes);
  });

  function grid(c, x, y, width, height, last) {
    c.lineWidth = 1;
    c.strokeStyle = colour("line");
    c.fillStyle = colour("muted");
    c.textAlign = "right";
    for (const tick of Live.ticks(course.low, course.high, 5)) {
      c.beginPath(); c.moveTo(LEFT, y(tick)); c.lineTo(width - RIGHT, y(tick)); c.stroke();
      c.fillText(Live.number(tick), LEFT - 8, y(tick));
    }
    c.textAlign = "center";
    for (const tick of Live.ticks(0, last, width < 500 ? 4 : 8)) {
      if (Number.isInteger(tick)) c.fillText(tick.toLocaleString("en"), Math.min(x(tick), width - 20), height - 9);
    }
    for (const [value, name, dash] of [[course.baseline, "muted", [6, 4]], [course.needed, "quiet", [1, 4]]]) {
      if (value === null) continue;
      c.strokeStyle = colour(name);
      c.setLineDash(dash);
      c.lineWidth = 1.4;
      c.beginPath(); c.moveTo(LEFT, y(value)); c.lineTo(width - RIGHT, y(value)); c.stroke();
    }
    c.setLineDash([]);
  }

  function points(c, x, y, bottom, lanes) {
    const accent = colour("accent"), quiet = colour("quiet"), ink = colour("muted");
    const size = rows.length > 3000 ? 1.6 : rows.length > 600 ? 2.4 : 3.6;
    const keeps = [];
    c.globalAlpha = 0.7;
    for (const row of rows) {
      const value = valueOf(row);
      const px = x(row[0]);
      const py = value === null ? bottom + LANE * (lanes.indexOf(row[5]) + 0.6) : y(value);
      places.push([px, py, row]);
      if (row[5] === KEEP) { keeps.push([px, py]); continue; }
      c.fillStyle = row[5] === REVERT ? quiet : ink;
      if (row[5] === REVERT) { c.beginPath(); c.arc(px, py, size, 0, 7); c.fill(); }
      else c.fillRect(px - size * 0.8, py - size * 0.8, 1.6 * size, 1.6 * size);
    }
    c.globalAlpha = 1;
    c.fillStyle = accent;
    for (const [px, py] of keeps) { c.beginPath(); c.arc(px, py, size + 0.8, 0, 7); c.fill(); }
  }

  function best(c, x, y) {
    if (course.baseline === null) return;
    let held = course.baseline;
    c.strokeStyle = colour("accent");
    c.lineWidth = 2;
    c.beginPath();
    c.moveTo(x(0), y(held));
    for (const row of rows) {
      const value = valueOf(row);
      if (row[5] !== KEEP || value === null || !(course.higher ? value > held : value < held)) continue;
      c.lineTo(x(row[0]), y(held));
      held = value;
      c.lineTo(x(row[0]), y(held));
    }
    if (rows.length) c.lineTo(x(rows[rows.length - 1][0]), y(held));
    c.stroke();
  }

  function labels(c, bottom, lanes) {
    c.textAlign = "left";
    c.fillStyle = colour("muted");
    lanes.forEach((kind, n) => c.fillText(course.kinds[kind], 0, bottom + LANE * (n + 0.6)));
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    let found = null, least = 400;
    for (const [x, y, row] of places) {
      const d = (x - px) ** 2 + (y - py) ** 2;
      if (d < least) { least = d; found = row; }
    }
    byId("course-hint").textContent = found
      ? `${found[0].toLocaleString("en")}: ${found[1]}, ${found[6]}${found[3] === null ? "" : `, ${signed(found[3])}`}${found[7] ? ` (${found[7]})` : ""}`
      : "Point at a mark to see its iteration.";
  }

  const signed = (fraction) => {
    const text = (100 * fraction).toFixed(2);
    return (text.startsWith("-") ? "−" + text.slice(1) : "+" + text) + "%";
  };

  function show(data) {
    course = data;
    byId("course-section").hidden = false;
    byId("course-about").textContent =
      `${course.metric}, ${course.higher ? "higher" : "lower"} is better. Compare a point with the dashed line, the baseline, not with the point before it.`;
    const key = (className, text) => {
      const li = make("li");
      li.append(make("i", `key ${className}`), document.createTextNode(text));
      return li;
    };
    byId("course-legend").replaceChildren(...[
      key("dot accent", course.kinds[KEEP]), key("dot", course.kinds[REVERT]), key("line accent", "best so far"),
      ...(course.baseline === null ? [] : [key("line dashed", `baseline ${course.baseline_text}`)]),
      ...(course.needed === null ? [] : [key("line dashed quiet", "needed for a keep")]),
    ]);
    draw();
  }

  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // Iterations of a parallel run are closed in another order than they were proposed in.
  const inOrder = (all) => all.slice().sort((a, b) => a[0] - b[0]);
  return { show, signed, rows: (all) => { rows = inOrder(all); draw(); }, count: () => places.length };
})();
