// The table of every iteration: one page of rows at a time, so that 10,000 cost as little as fifty.
"use strict";
const Table = (() => {
  const C = DATA.columns;
  const count = C.iter.length;
  const HIGH_FIRST = new Set(["gain", "time"]);  // columns whose largest values are the most interesting
  const dash = "-";
  const state = { key: "iter", descending: false, kind: -1, words: [], page: 0 };
  let order = [];

  const number = (value, digits) => value === null ? dash : value.toFixed(digits);

  function signed(fraction) {
    if (fraction === null) return dash;
    const text = (100 * fraction).toFixed(2);
    return (text.startsWith("-") ? "−" + text.slice(1) : "+" + text) + "%";
  }

  // The interval of a gain over several seeds; empty for one seed.
  const interval = (i) => C.low && C.low[i] !== null && C.seeds[i] > 1
    ? `${signed(C.low[i]).slice(0, -1)} to ${signed(C.high[i])}` : "";

  function duration(seconds) {
    if (seconds === null) return dash;
    if (seconds < 10) return seconds.toFixed(2) + " s";
    const two = (n) => String(n).padStart(2, "0");
    const whole = Math.round(seconds);
    if (whole < 60) return whole + " s";
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
    const hours = Math.round(seconds / 3600);
    return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
  }

  const value = (i) => {
    const v = C.value[i];
    return typeof v === "number" && !Number.isInteger(v) ? String(Number(v.toPrecision(6))) : String(v);
  };
  const change = (i) => C.value[i] === null ? dash : `${C.names[C.knob[i]]} = ${value(i)}`;
  const allReasons = (i) => [C.texts[C.reason[i]], C.texts[C.why[i]]].filter(Boolean).join(" ");

  // The sort keys; texts are compared in the reader's language, numbers inside them by value.
  const collator = new Intl.Collator("en", { numeric: true });
  const keyOf = {
    iter: (i) => C.iter[i], bpb: (i) => C.bpb[i], gain: (i) => C.gain[i], time: (i) => C.time[i],
    interval: (i) => interval(i) ? C.low[i] : null,
    end: (i) => C.names[C.end[i]], source: (i) => C.names[C.source[i]], why: allReasons,
  };

  function compare(key) {
    if (key === "change") {
      return (a, b) => collator.compare(C.names[C.knob[a]], C.names[C.knob[b]]) || plain(C.value[a], C.value[b]);
    }
    const keys = new Array(count);
    for (const i of order) keys[i] = keyOf[key](i);
    return (a, b) => plain(keys[a], keys[b]);
  }

  function plain(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return collator.compare(String(a), String(b));
  }

  const missing = (key, i) => {
    const v = key === "change" ? C.value[i] : keyOf[key](i);
    return v === null || v === "";
  };

  function filterAndSort() {
    order = [];
    for (let i = 0; i < count; i++) if (matches(i)) order.push(i);
    const by = compare(state.key);
    const sign = state.descending ? -1 : 1;
    const present = order.filter((i) => !missing(state.key, i));
    const absent = order.filter((i) => missing(state.key, i));  // last in both directions
    order = present.sort((a, b) => sign * by(a, b) || a - b).concat(absent);
    state.page = Math.max(0, Math.min(state.page, Math.ceil(order.length / DATA.pageRows) - 1));
  }

  function matches(i) {
    if (state.kind >= 0 && C.kind[i] !== state.kind) return false;
    if (!state.words.length) return true;
    const text = `${C.iter[i]} ${change(i)} ${C.names[C.end[i]]} ${C.names[C.source[i]]} ${allReasons(i)}`.toLowerCase();
    return state.words.every((word) => text.includes(word));
  }

  function row(i) {
    const tr = document.createElement("tr");
    tr.className = DATA.kinds[C.kind[i]].replace(" ", "-");
    const cell = (name, text, numeric) => {
      const td = document.createElement("td");
      td.className = numeric ? name + " num" : name;
      td.textContent = text;
      tr.append(td);
      return td;
    };
    cell("iter", C.iter[i].toLocaleString("en"), true);
    if (Curves.has(i)) cell("change", "").append(unfolding(tr, i));
    else cell("change", change(i));
    cell("bpb", number(C.bpb[i], 4), true);
    cell("gain", signed(C.gain[i]), true);
    cell("interval", interval(i));
    cell("end", C.names[C.end[i]]);
    cell("source", C.names[C.source[i]] || dash);
    cell("time", duration(C.time[i]), true);
    const why = cell("why", "");
    if (C.reason[i]) {
      const reason = document.createElement("span");
      reason.className = "reason";
      reason.textContent = C.texts[C.reason[i]];
      why.append(reason, " ");
    }
    why.append(C.texts[C.why[i]]);
    return tr;
  }

  // The change as a button that shows the loss curves of the row below it, and hides them again.
  function unfolding(tr, i) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "unfold";
    button.textContent = change(i);
    button.title = "training loss";
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) tr.nextElementSibling.remove();
      else unfold(tr, i);
    });
    return button;
  }

  function unfold(tr, i) {
    const below = document.createElement("tr");
    below.className = "details";
    const td = document.createElement("td");
    td.colSpan = tr.children.length;
    below.append(td);
    tr.after(below);
    Curves.fill(td, i);
  }

  function draw() {
    const from = state.page * DATA.pageRows;
    const body = document.querySelector("#rows tbody");
    body.replaceChildren(...order.slice(from, from + DATA.pageRows).map(row));
    for (const th of document.querySelectorAll("#rows th")) {
      const isSortKey = th.firstElementChild.dataset.key === state.key;
      if (isSortKey) th.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
    pager(from);
  }

  function pager(from) {
    const bar = document.getElementById("pager");
    const [back, label, next] = bar.children;
    const to = Math.min(from + DATA.pageRows, order.length);
    const n = (x) => x.toLocaleString("en");
    label.textContent = order.length ? `${n(from + 1)} to ${n(to)} of ${n(order.length)}` : "none";
    back.disabled = from === 0;
    next.disabled = to === order.length;
    bar.hidden = false;
  }

  function sort(key) {
    state.descending = state.key === key ? !state.descending : HIGH_FIRST.has(key);
    state.key = key;
    state.page = 0;
    filterAndSort();
    draw();
  }

  const kindName = (kind) => (DATA.kindNames || {})[kind] || kind;

  function chips() {
    const bar = document.querySelector(".chips");
    const totals = DATA.kinds.map((_, kind) => C.kind.reduce((sum, k) => sum + (k === kind), 0));
    const add = (kind, name, total) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${name} ${total.toLocaleString("en")}`;
      button.setAttribute("aria-pressed", String(kind === state.kind));
      button.addEventListener("click", () => {
        state.kind = kind;
        state.page = 0;
        for (const other of bar.children) other.setAttribute("aria-pressed", String(other === button));
        filterAndSort();
        draw();
      });
      bar.append(button);
    };
    add(-1, "all", count);
    totals.forEach((total, kind) => { if (total) add(kind, kindName(DATA.kinds[kind]), total); });
  }

  function start() {
    if (!count) return;
    chips();
    for (const button of document.querySelectorAll("#rows th button")) {
      button.addEventListener("click", () => sort(button.dataset.key));
    }
    document.getElementById("search").addEventListener("input", (event) => {
      state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      state.page = 0;
      filterAndSort();
      draw();
    });
    document.getElementById("pager").addEventListener("click", (event) => {
      const step = Number(event.target.dataset.step || 0);
      if (!step) return;
      state.page += step;
      draw();
      document.querySelector("#rows").scrollIntoView({ block: "start" });
    });
    document.getElementById("controls").hidden = false;
    filterAndSort();
    draw();  // the HTML has the first page of rows already, but without what only a script can do
  }

  start();
  return { change, value, signed, number, interval };
})();
