// The training loss of an iteration's trials over the budget, and its difference to the baseline's.
"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);

const Curves = (() => {
  const { baseline, rows, points } = DATA.curves;
  const HEIGHT = 170, LEFT = 50, RIGHT = 10, TOP = 8, BOTTOM = 34, GAP = 28, NARROW = 520;
  const SETTLED = Math.floor(points / 8);  // the first eighth does not set the scale: it would flatten the rest

  const has = (i) => i in rows;
  const mean = (curves) => curves[0].map((_, k) => curves.reduce((sum, curve) => sum + curve[k], 0) / curves.length);
  const minus = (text) => text.replace("-", "−");

  function element(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function ticks(low, high) {
    const rough = (high - low) / 3;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(n * step);
    return [found, Math.max(0, -Math.floor(Math.log10(step)))];
  }

  // One plot: its lines are [class, values]; the ends of its scale come from the settled part of all lines.
  function plot(width, title, lines, signed) {
    const settled = lines.flatMap(([, values]) => values.slice(SETTLED)).concat(signed ? [0] : []);
    let [low, high] = [Math.min(...settled), Math.max(...settled)];
    const room = (high - low || Math.abs(high) * 0.01 || 1) * 0.08;
    low -= room;
    high += room;
    const [inner, tall] = [width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
    const x = (share) => share * inner;
    const y = (value) => tall * (high - value) / (high - low);
    const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": title });
    const [places, digits] = ticks(low, high);
    for (const place of places) {
      const text = (signed && place > digits / 1e9 ? "+" : "") + place.toFixed(digits);
      const at = TOP + y(place);
      svg.append(element("path", { class: "grid", d: `M${LEFT} ${at}h${inner}` }));
      svg.append(element("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end" }, minus(Math.abs(place) < 1e-12 ? "0" : text)));
    }
    for (const [share, text, anchor] of [[0, "0", "start"], [0.5, "50%", "middle"], [1, "100% of the budget", "end"]]) {
      svg.append(element("text", { x: LEFT + x(share), y: HEIGHT - BOTTOM + 16, "text-anchor": anchor }, text));
    }
    svg.append(element("text", { class: "about", x: LEFT, y: HEIGHT - 3 }, title));
    const frame = element("svg", { x: LEFT, y: TOP, width: inner, height: tall });  // cuts what is beyond the scale
    if (signed) frame.append(element("path", { class: "zero", d: `M0 ${y(0)}h${inner}` }));
    for (const [name, values] of lines) {
      const d = values.map((value, k) => `${x((k + 0.5) / points).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
      frame.append(element("path", { class: name, d: `M${d}` }));
    }
    svg.append(frame);
    return svg;
  }

  function legend(kept, several) {
    const list = document.createElement("ul");
    list.className = "legend";
    const items = [[kept ? "keep" : "candidate", several ? "this change, each trial" : "this change"]];
    if (baseline.length) items.push(["baseline", "baseline"]);
    for (const [name, text] of items) {
      const item = document.createElement("li");
      item.append(element("svg", { class: "line", viewBox: "0 0 18 12", width: 18, height: 12 },
        element("path", { class: name, d: "M0 6h18" })), text);
      list.append(item);
    }
    return list;
  }

  function endings(i) {
    const last = (curves) => mean(curves).at(-1);
    const end = last(rows[i]);
    const text = `Over the last ${points}nd of the budget: ${end.toFixed(3)} nats per token`;
    if (!baseline.length) return text + ".";
    const difference = end - last(baseline);
    const sign = difference > 0 ? "+" : "";
    return `${text}, the baseline ${last(baseline).toFixed(3)} (${minus(sign + difference.toFixed(3))}). ` +
      "This is the loss on training text; the verdict rests on val_bpb.";
  }

  // Fills the element with the curves of row i, in one or two columns as its width allows.
  function fill(place, i) {
    const kept = DATA.kinds[DATA.columns.kind[i]] === "keep";
    const wide = Math.max(260, Math.min(860, place.clientWidth || 640));
    const both = baseline.length > 0;
    const each = both && wide >= NARROW ? Math.floor((wide - GAP) / 2) : wide;
    const name = kept ? "keep" : "candidate";
    const lines = [...baseline.map((curve) => ["baseline", curve]), ...rows[i].map((curve) => [name, curve])];
    const plots = document.createElement("div");
    plots.className = "curves";
    plots.append(plot(each, "training loss, nats per token", lines, false));
    if (both) {
      const base = mean(baseline);
      const gap = mean(rows[i]).map((value, k) => value - base[k]);
      plots.append(plot(each, "difference to the baseline, lower is better", [[name, gap]], true));
    }
    const about = document.createElement("p");
    about.className = "hint";
    about.textContent = endings(i);
    place.replaceChildren(legend(kept, rows[i].length > 1), plots, about);
  }

  const best = document.getElementById("best-curve");
  if (best && has(best.dataset.row)) fill(best, Number(best.dataset.row));
  return { has, fill };
})();
