// Fills the figures with points and draws them in the theme's colours, each when it comes near the window.
"use strict";
const Plots = (() => {
  const FIGURES = JSON.parse(document.getElementById("plots").textContent);
  const C = DATA.columns;
  const shown = new Map();  // element id -> the views that Bokeh made
  const begun = new Set();  // element ids whose drawing has begun
  const coarse = matchMedia("(pointer: coarse)").matches;

  const emptySource = () => ({ x: [], y: [], head: [], figures: [], why: [] });

  function addPoint(source, i, x, y) {
    source.x.push(x);
    source.y.push(y);
    const number = C.iter[i].toLocaleString("en");
    source.head.push(C.value[i] === null ? number : `${number} · ${Table.change(i)}`);
    const measured = C.bpb[i] === null ? [] : [Table.number(C.bpb[i], 4), Table.signed(C.gain[i]) + interval(i)];
    source.figures.push([...measured, C.names[C.end[i]]].join(" · "));
    source.why.push(C.texts[C.why[i]] || C.texts[C.reason[i]]);
  }

  // The interval of a gain over several seeds, in parentheses.
  const interval = (i) => Table.interval(i) && ` (${Table.interval(i)})`;

  // By rule sequential a gain is paired by seed, and a point is as far from the baseline as its gain says.
  const Y = C.y || C.bpb;

  function keepIntervals() {
    const bars = { x: [], low: [], high: [] };
    const { baseline } = DATA.course;
    for (let i = 0; i < C.iter.length; i++) {
      if (DATA.kinds[C.kind[i]] !== "keep" || C.low[i] === null) continue;
      bars.x.push(C.iter[i]);
      bars.low.push(baseline * (1 - C.high[i]));
      bars.high.push(baseline * (1 - C.low[i]));
    }
    return bars;
  }

  function coursePoints() {
    const found = C.low ? { interval: keepIntervals() } : {};
    const { high, lanes } = DATA.course;
    for (let i = 0; i < C.iter.length; i++) {
      const kind = DATA.kinds[C.kind[i]];
      const off = Y[i] !== null && Y[i] > high;
      const name = off ? "off scale" : kind;
      const y = off || Y[i] === null ? lanes[name] : Y[i];
      addPoint(found[name] ||= emptySource(), i, C.iter[i], y);
    }
    return found;
  }

  // Spreads the points of one value sideways, by a step that depends only on the iteration number.
  const jitter = (i) => ((C.iter[i] * 0.618034) % 1 - 0.5) * 0.44;

  // The area of a mark grows with the number of seeds that its gain is the mean of.
  const sizeOf = (i) => DATA.markSize * Math.sqrt(1 + (Math.max(1, C.seeds[i]) - 1) / 3);

  function panelPoints({ knob, kind, low, high, floor }) {
    const found = {};
    const name = C.names.indexOf(knob);
    for (let i = 0; i < C.iter.length; i++) {
      if (C.knob[i] !== name || C.gain[i] === null || C.value[i] === null) continue;
      const gain = 100 * C.gain[i];
      const off = gain < low;
      const x = kind === "factors" ? [Table.value(i), jitter(i)] : C.value[i];
      const source = found[off ? "off scale" : DATA.kinds[C.kind[i]]] ||= emptySource();
      addPoint(source, i, x, off ? floor : gain);
      if (!C.seeds) continue;
      (source.size ||= []).push(sizeOf(i));
      if (C.seeds[i] < 2 || C.low[i] === null || off) continue;
      const bars = found[`interval-${DATA.kinds[C.kind[i]]}`] ||= { x: [], low: [], high: [] };
      bars.x.push(x);
      bars.low.push(Math.max(low, 100 * C.low[i]));
      bars.high.push(Math.min(high, 100 * C.high[i]));
    }
    return found;
  }

  const asData = (points) => ({ data: { type: "map", entries: Object.entries(points) } });

  // The attributes of the figure's named objects.
  function attributesFor(place) {
    const panel = DATA.panels[place];
    const points = panel ? panelPoints(panel) : coursePoints();
    const sources = Object.entries(points).map(([name, columns]) => [name, asData(columns)]);
    return new Map([...Object.entries(panel ? panel.fill : {}), ...sources]);
  }

  // The figure's JSON with its data, and with the theme's colours instead of the light ones.
  function filledFigure(place) {
    const fill = attributesFor(place);
    const { light, dark } = DATA.colours;
    const isDark = Page.theme() === "dark";
    const colours = new Map(Object.keys(light).map((name) => [light[name], isDark ? dark[name] : light[name]]));
    const figure = FIGURES[place === "course" ? place : DATA.panels[place].kind];
    return JSON.parse(JSON.stringify(figure), (key, value) => {
      if (typeof value === "string") return colours.get(value) || value;
      const attributes = value && value.type === "object" && value.attributes;
      if (!attributes) return value;
      if (fill.has(attributes.name)) Object.assign(attributes, fill.get(attributes.name));
      if (coarse && value.name === "Toolbar") attributes.active_drag = null;  // so that a finger scrolls the page
      return value;
    });
  }

  async function show(place) {
    const element = document.getElementById(place);
    const before = shown.get(place);
    if (before) before.clear();
    element.replaceChildren();
    const views = await Bokeh.embed.embed_item(filledFigure(place), element);
    shown.set(place, views);
    performance.mark(place);
    if (place === "course") addReset(views);
  }

  // Shows the button "Whole run" while the plot is zoomed in.
  function addReset(views) {
    const button = document.querySelector(".reset");
    const plot = views.roots[0].model;
    const { start, end } = plot.x_range;
    const update = () => button.classList.toggle("zoomed", plot.x_range.start > start || plot.x_range.end < end);
    plot.x_range.change.connect(update);
    button.hidden = false;
    button.onclick = () => plot.x_range.setv({ start, end });
    update();
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      draw(entry.target.id);
    }
  }, { rootMargin: "600px 0px" });

  // Draws a plot once; later calls do nothing.
  async function draw(place) {
    if (begun.has(place)) return;
    begun.add(place);
    near.unobserve(document.getElementById(place));
    await show(place);
  }

  // Plots that were never in view are drawn when the browser is idle, one at a time: what is printed must be there before.
  const whenIdle = window.requestIdleCallback || ((action) => setTimeout(action, 200));
  async function drawNext() {
    const place = places.find((name) => !begun.has(name) && document.getElementById(name).offsetParent !== null);
    if (!place) return;
    await draw(place);
    whenIdle(drawNext);
  }

  // A finger does not hover: after a tap the plot gets a synthetic mouse event, once it has handled the end of the touch.
  function tapped(event) {
    const target = event.composedPath()[0];
    target.blur();  // the focus ring is for keyboard users
    if (event.pointerType !== "touch") return;
    const mouse = new PointerEvent("pointermove", { pointerType: "mouse", pointerId: 1, isPrimary: true, bubbles: true });
    const { pageX, pageY } = event;  // a new event would ignore the scroll position
    Object.defineProperties(mouse, { pageX: { value: pageX }, pageY: { value: pageY } });
    setTimeout(() => target.dispatchEvent(mouse), 30);
  }

  Bokeh.set_log_level("warn");
  const places = [...document.querySelectorAll(".plot")].map((element) => element.id);
  for (const place of places) {
    near.observe(document.getElementById(place));
    document.getElementById(place).addEventListener("pointerup", tapped);
  }
  // On a phone all knob panels but the first are folded; a plot is drawn when its panel is opened.
  if (matchMedia("(max-width: 700px)").matches) {
    for (const panel of [...document.querySelectorAll("details.panel")].slice(1)) panel.open = false;
  }
  // What is printed or saved as PDF has everything: folded parts are opened, and plots drawn that were never in view.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
    for (const place of places) draw(place);
  });
  addEventListener("afterprint", () => { for (const part of opened) part.open = false; });
  Page.onTheme(() => { for (const place of shown.keys()) show(place); });
  addEventListener("load", () => whenIdle(drawNext));
  return { places, shown, show };
})();
